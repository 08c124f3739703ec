// The emulated Google, as a test uses it: consent without a person, mail from outside, and everything that goes wrong.
import { inject } from 'vitest'
import { signOperatorToken } from '#http/auth'
import './provided'
import { read, type TestOrganization, type World } from './world'

const base = inject('googleUrl')
// 80 accounts are seeded; each call takes the next, so that no two tests of a file share one.
let next = Math.floor(Math.random() * 80)

export function takeAccount(): string {
  next = (next + 1) % 80
  return `box${next}@inlet.test`
}

export async function shim<T = Record<string, unknown>>(
  control: string,
  body: unknown = {},
  method = 'POST',
): Promise<T> {
  const response = await fetch(`${base}/_shim/${control}`, {
    method,
    ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`shim ${control}: ${response.status} ${text}`)
  return (text === '' ? {} : JSON.parse(text)) as T
}

export async function operatorToken(world: World): Promise<string> {
  return (await signOperatorToken(world.ctx(), 'operator')).access_token
}

/** Begins the authorization as the operator. */
export async function beginConnect(
  world: World,
  org: TestOrganization,
  body: Record<string, unknown> = {},
): Promise<URL> {
  const answer = await world.request('POST', `/admin/clients/${org.id}/connect/google`, {
    token: await operatorToken(world),
    body,
  })
  const { status, body: json } = await read<{ authorization_url: string }>(answer)
  if (status !== 200) throw new Error(`connect: ${status} ${JSON.stringify(json)}`)
  return new URL(json.authorization_url)
}

/** What the consent page would post; answers the path of the callback. */
export async function consent(
  authorization: URL,
  email: string,
  extra: Record<string, string> = {},
): Promise<string> {
  const form = new URLSearchParams({ ...Object.fromEntries(authorization.searchParams), email, ...extra })
  const response = await fetch(`${base}/o/oauth2/v2/auth/callback`, {
    method: 'POST',
    body: form,
    redirect: 'manual',
  })
  const location = response.headers.get('location')
  if (response.status !== 302 || location === null)
    throw new Error(`consent: ${response.status} ${await response.text()}`)
  const url = new URL(location)
  return `${url.pathname}${url.search}`
}

export interface ConnectedMailbox {
  id: string
  email: string
}

export async function connectMailbox(
  world: World,
  org: TestOrganization,
  email = takeAccount(),
): Promise<ConnectedMailbox> {
  const callback = await consent(await beginConnect(world, org), email)
  const response = await world.request('GET', callback)
  const page = await response.text()
  const id = /data-mailbox-id="([^"]+)"/.exec(page)?.[1]
  if (response.status !== 200 || id === undefined) throw new Error(`callback: ${response.status} ${page}`)
  return { id, email }
}

export interface Delivery {
  /** The message as it is; wins over the simple fields. */
  raw?: string
  from?: string
  subject?: string
  body?: string
  html?: string
  message_id?: string
  in_reply_to?: string
  headers?: Record<string, string>
  auth?: 'pass' | 'fail' | 'none'
}

/** A mail from outside, in the inbox of `to`. */
export async function deliver(to: string, mail: Delivery = {}): Promise<{ id: string; threadId: string }> {
  return shim('deliver', {
    from: 'Ada Buyer <ada@buyer.test>',
    subject: 'Pricing?',
    body: 'Hello, what do 10 seats cost? Thanks, Ada',
    ...mail,
    to,
  })
}
