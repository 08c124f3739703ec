// EMULATORS=off and base URLs: the product against `emulate` as it comes from npm, with nothing of ours in front of it. There is
// no push, no profile and no delivery between mailboxes there: identity comes from the id_token, the first cursor from the watch.
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../../scripts/stack/free-ports.ts'
import { composeMail } from '../../scripts/stack/emulators/google/mail.ts'
import { inquiry, Product } from './product.ts'
import { freePorts, newDataDir, ROOT, startStack, until } from './stack.ts'

const MAILBOX = 'sales@inlet.test'
const CLIENT = { client_id: 'bare-client', client_secret: 'bare-secret' }
const MODIFY = 'https://www.googleapis.com/auth/gmail.modify'

let google: string
let api: number
let emulator: ChildProcess

beforeAll(async () => {
  api = await freePorts()
  const port = await freePort()
  google = `http://127.0.0.1:${port}`
  const seed = join(newDataDir(), 'seed.json')
  writeFileSync(
    seed,
    JSON.stringify({
      google: {
        // The emulator takes any unknown token for its first user's.
        users: [{ email: 'sentinel@invalid.test' }, { email: MAILBOX, name: 'Sales Desk' }],
        oauth_clients: [{ ...CLIENT, name: 'Inlet', redirect_uris: [redirectUri()] }],
      },
    }),
  )
  const entry = join(ROOT, 'node_modules', 'emulate', 'dist', 'index.js')
  emulator = spawn(
    process.execPath,
    [entry, 'start', '--port', String(port), '--service', 'google', '--seed', seed],
    { stdio: 'ignore' },
  )
  await until(
    'emulate answers',
    async () =>
      await fetch(google).then(
        () => true,
        () => false,
      ),
  )
})

afterAll(async () => {
  if (emulator.exitCode !== null) return
  emulator.kill('SIGKILL')
  await once(emulator, 'exit')
})

const redirectUri = () => `http://127.0.0.1:${api}/oauth/google/callback`

it('connects a mailbox, finds a mail by polling, and answers it from there', async () => {
  const stack = await startStack({
    port: api,
    env: {
      EMULATORS: 'off',
      GOOGLE_CLIENT_ID: CLIENT.client_id,
      GOOGLE_CLIENT_SECRET: CLIENT.client_secret,
      GOOGLE_AUTH_URL: `${google}/o/oauth2/v2/auth`,
      GOOGLE_TOKEN_URL: `${google}/oauth2/token`,
      GOOGLE_REVOKE_URL: `${google}/oauth2/revoke`,
      // What it calls itself, wherever it listens.
      GOOGLE_ISSUER: google.replace('127.0.0.1', 'localhost'),
      GOOGLE_JWKS_URL: `${google}/oauth2/v3/certs`,
      GMAIL_API_BASE: google,
    },
  })
  expect(stack.processes().map(({ name }) => name)).not.toContain('emulators')
  expect(stack.local.urls).toMatchObject({ google: null, slack: null })
  const product = new Product(stack)
  expect(await product.connections()).toEqual([])
  const { status, page } = await product.connect(MAILBOX)
  expect({ status, page }).toMatchObject({ status: 200, page: expect.stringContaining('Status: connected') })
  expect(await product.connections()).toMatchObject([
    { email: MAILBOX, status: 'connected', last_error: null },
  ])

  const gmail = await mailClient()
  const mail = inquiry('bare')
  const imported = await gmail('POST', 'messages/import', {
    raw: (await composeMail({ ...mail, to: MAILBOX })).toString('base64url'),
    labelIds: ['INBOX', 'UNREAD'],
  })
  await product.poll()
  const sent = await until('the reply in SENT', async () => {
    const { messages = [] } = await gmail<{ messages?: { id: string }[] }>('GET', 'messages?labelIds=SENT')
    return messages.length > 0 ? messages : undefined
  })
  expect(sent).toHaveLength(1)
  const reply = await gmail<{ threadId: string; labelIds: string[]; raw: string }>(
    'GET',
    `messages/${sent[0]?.id}?format=raw`,
  )
  expect(reply).toMatchObject({ threadId: imported['threadId'], labelIds: ['SENT'] })
  const head = Buffer.from(reply.raw, 'base64url').toString()
  expect(head).toContain(`In-Reply-To: ${mail.message_id}`)
  expect(head).toContain(`References: ${mail.message_id}`)
  await until('the send is noted', async () =>
    (await product.sends()).some(({ kind, state }) => kind === 'reply' && state === 'sent'),
  )
  expect((await product.leads()).map(({ contact }) => contact.email)).toEqual(['ada@bare.test'])
})

/** The mailbox's own client, signed in as a person would be. */
async function mailClient() {
  const verifier = randomBytes(32).toString('base64url')
  const consented = await fetch(`${google}/o/oauth2/v2/auth/callback`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({
      email: MAILBOX,
      redirect_uri: redirectUri(),
      scope: `openid email ${MODIFY}`,
      state: 's',
      client_id: CLIENT.client_id,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }),
  })
  const code = new URL(consented.headers.get('location') ?? '').searchParams.get('code') ?? ''
  const issued = await fetch(`${google}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      ...CLIENT,
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri(),
      code_verifier: verifier,
    }),
  })
  const { access_token } = (await issued.json()) as { access_token: string }
  return async <T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${google}/gmail/v1/users/me/${path}`, {
      method,
      headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (response.status !== 200)
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (await response.json()) as T
  }
}
