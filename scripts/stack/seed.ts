// The demo organization, made through the product's own API the way a person would make it. Every step also works
// when it has been done before, so a first run that was killed is simply continued.
import { StartError } from './say.ts'
import type { LocalFile } from './local-file.ts'
import { ACCOUNTS, DEMO } from './worker-env.ts'

interface Call {
  method?: string
  token?: string
  body?: unknown
  expect?: number[]
}

interface Answer {
  status: number
  json: Record<string, unknown>
}

export async function seedDemo(local: LocalFile): Promise<void> {
  const call = caller(local.urls.api)
  const { organizationId, userToken } = await demoOrganization(call, local)
  const { json } = await call('/admin/login', { method: 'POST', body: local.operator, expect: [200] })
  const token = text(json['access_token'])
  await call(`/admin/clients/${organizationId}`, {
    method: 'PATCH',
    token,
    body: {
      slug: DEMO.slug,
      reply_mode: 'auto',
      undo_seconds: 0,
      ...(local.urls.slack_webhook ? { slack_webhook_url: local.urls.slack_webhook } : {}),
    },
    expect: [200],
  })
  // Consent can be given without a person only to the emulator.
  if (local.urls.google) await connectMailbox(call, organizationId, token, local.urls.api)
  // Shown once, so it is asked for once.
  local.demo.site_token ??= await createSiteToken(call, userToken)
}

async function createSiteToken(call: Caller, token: string): Promise<string> {
  const { json } = await call('/api/v1/site-tokens', {
    method: 'POST',
    token,
    body: { name: 'Local stack' },
    expect: [201],
  })
  return text(json['token'])
}

type Caller = ReturnType<typeof caller>

async function demoOrganization(
  call: Caller,
  { demo }: LocalFile,
): Promise<{ organizationId: string; userToken: string }> {
  const registered = await call('/api/v1/auth/register', {
    method: 'POST',
    body: {
      name: DEMO.name,
      email: demo.email,
      password: demo.password,
      organization_name: demo.organization,
    },
    expect: [201, 409],
  })
  const session =
    registered.status === 201
      ? registered
      : await call('/api/v1/auth/login', {
          method: 'POST',
          body: { email: demo.email, password: demo.password },
          expect: [200, 401],
        })
  if (session.status === 401) {
    throw new StartError(
      'this database has the demo organization of another DATA_DIR; its sign-in is in that local.json',
    )
  }
  const userToken = text(session.json['access_token'])
  const me = await call('/api/v1/auth/me', { token: userToken, expect: [200] })
  const organizationId = organizationOf(me.json) ?? organizationOf(session.json)
  if (!organizationId) throw new StartError('GET /api/v1/auth/me names no organization')
  return { organizationId, userToken }
}

function organizationOf(json: Record<string, unknown>): string | undefined {
  const user = (json['user'] ?? json) as Record<string, unknown>
  const organization = (user['organization'] ?? json['organization']) as Record<string, unknown> | undefined
  return text(organization?.['id'] ?? user['organization_id'] ?? user['org_id']) || undefined
}

async function connectMailbox(
  call: Caller,
  organizationId: string,
  token: string,
  api: string,
): Promise<void> {
  if (await isConnected(call, organizationId, token)) return
  const { json } = await call(`/admin/clients/${organizationId}/connect/google`, {
    method: 'POST',
    token,
    body: {},
    expect: [200, 201],
  })
  const authorization = new URL(text(json['authorization_url']))
  const consented = await fetch(`${authorization.origin}/o/oauth2/v2/auth/callback`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams([...authorization.searchParams, ['email', ACCOUNTS[0]?.email ?? '']]),
  })
  const location = consented.headers.get('location')
  if (!location) throw new StartError(`the emulated Google did not consent (${consented.status})`)
  // BASE_URL may be an address outside; the Worker is here.
  const { pathname, search } = new URL(location)
  const back = await fetch(`${api}${pathname}${search}`, { redirect: 'manual' })
  const page = await back.text()
  if (back.status >= 400)
    throw new StartError(`the OAuth callback answered ${back.status}: ${page.slice(0, 300)}`)
  if (!(await isConnected(call, organizationId, token)))
    throw new StartError('the demo mailbox did not connect')
}

async function isConnected(call: Caller, organizationId: string, token: string): Promise<boolean> {
  const { json } = await call(`/admin/clients/${organizationId}/connection-status`, { token, expect: [200] })
  const mailboxes = (json['mailboxes'] ?? []) as { email?: string; status?: string }[]
  return mailboxes.some(({ email, status }) => email === DEMO.mailbox && status === 'connected')
}

/** Calls the product; an answer that is not expected becomes an error that says what was asked. */
export function caller(api: string) {
  return async (path: string, { method = 'GET', token, body, expect }: Call = {}): Promise<Answer> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    })
    const answer = await response.text()
    if (expect && !expect.includes(response.status)) {
      throw new StartError(`${method} ${path} answered ${response.status}: ${answer.slice(0, 300)}`)
    }
    let json: Record<string, unknown> = {}
    try {
      json = JSON.parse(answer) as Record<string, unknown>
    } catch {
      // A page, or nothing.
    }
    return { status: response.status, json }
  }
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')
