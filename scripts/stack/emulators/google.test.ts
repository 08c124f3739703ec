import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { freePort } from '../free-ports.ts'
import { googleClient, mime, MODIFY, SALES } from './google-client.ts'
import { startGoogle } from './google.ts'
import type { EmulatorServer } from './server.ts'

const OTHER = 'other@inlet.test'
const TOPIC = 'projects/inlet-local/topics/gmail'

let stateDir: string
let google: EmulatorServer
let worker: Server
let port: number
let workerPort: number
let pushes: { url: string; authorization: string; body: { message: { data: string } } }[] = []
let pushStatus = 204

async function start(): Promise<void> {
  google = await startGoogle({
    port,
    stateDir,
    client: { id: 'cid', secret: 'sec', redirectUris: ['http://127.0.0.1/back'] },
    accounts: [
      { email: SALES, name: 'Sales' },
      { email: OTHER, name: 'Other' },
    ],
    push: {
      url: `http://127.0.0.1:${workerPort}/webhooks/gmail/push?token=t`,
      issuer: 'https://issuer.test',
      audience: 'https://audience.test',
      serviceAccount: 'push@inlet.test',
    },
  })
}

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'inlet-google-'))
  worker = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      pushes.push({
        url: request.url ?? '',
        authorization: request.headers.authorization ?? '',
        body: body as never,
      })
      response.writeHead(pushStatus).end()
    })
  })
  workerPort = await freePort()
  await new Promise<void>((resolve) => worker.listen(workerPort, '127.0.0.1', resolve))
  port = await freePort()
  await start()
})

afterAll(async () => {
  await google.close()
  worker.closeAllConnections()
  worker.close()
  rmSync(stateDir, { recursive: true, force: true })
})

beforeEach(async () => {
  pushes = []
  pushStatus = 204
  await fetch(`${google.url}/_shim/faults`, { method: 'DELETE' })
  await fetch(`${google.url}/_shim/stats`, { method: 'DELETE' })
})

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return JSON.parse(text)
}

const { control, consent, token, signIn, gmail } = googleClient(() => google.url)

it('answers 401 for a token that was never issued, that expired and that was revoked', async () => {
  expect((await gmail('made-up', 'GET', 'profile')).json).toMatchObject({
    error: { code: 401, status: 'UNAUTHENTICATED' },
  })
  const first = await signIn()
  expect((await gmail(first.access_token, 'GET', 'profile')).json).toMatchObject({ emailAddress: SALES })
  await control('expire-tokens', {})
  expect((await gmail(first.access_token, 'GET', 'profile')).status).toBe(401)
  const second = await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token })
  expect((await gmail(second.access_token, 'GET', 'profile')).status).toBe(200)
  const revoked = await fetch(`${google.url}/oauth2/revoke?token=${second.access_token}`, { method: 'POST' })
  expect(revoked.status).toBe(200)
  expect((await gmail(second.access_token, 'GET', 'profile')).status).toBe(401)
  expect(await token({ grant_type: 'refresh_token', refresh_token: first.refresh_token })).toMatchObject({
    status: 400,
    error: 'invalid_grant',
  })
})

it('lets a person refuse a scope or everything', async () => {
  const trimmed = await signIn(SALES, { deny_scope: MODIFY })
  expect(trimmed.scope).toBe('openid email')
  expect((await gmail(trimmed.access_token, 'GET', 'messages')).status).toBe(403)
  const { location } = await consent({ error: 'access_denied' })
  expect(Object.fromEntries(location.searchParams)).toEqual({ error: 'access_denied', state: 's' })
})

it('signs the id token with a key of its key set', async () => {
  const { id_token } = await signIn()
  const keys = createRemoteJWKSet(new URL(`${google.url}/oauth2/v3/certs`))
  const { payload } = await jwtVerify(id_token, keys, { issuer: `http://127.0.0.1:${port}`, audience: 'cid' })
  expect(payload['email']).toBe(SALES)
})

it('leaves out what is empty and forgets history below the floor', async () => {
  const { access_token } = await signIn(OTHER)
  const { historyId } = (await gmail(access_token, 'GET', 'profile')).json as { historyId: string }
  expect(BigInt(historyId) > 0n).toBe(true)
  const list = await gmail(access_token, 'GET', `history?startHistoryId=${historyId}`)
  expect(list).toMatchObject({ status: 200, json: { historyId } })
  expect(list.json).not.toHaveProperty('history')
  expect((await gmail(access_token, 'GET', 'messages?q=from:nobody')).json).not.toHaveProperty('messages')
  await control('expire-history', { email: OTHER })
  expect((await gmail(access_token, 'GET', `history?startHistoryId=${historyId}`)).status).toBe(404)
  const { historyId: fresh } = (await gmail(access_token, 'GET', 'profile')).json as { historyId: string }
  expect((await gmail(access_token, 'GET', `history?startHistoryId=${fresh}`)).status).toBe(200)
  await control('deliver', { to: OTHER, subject: 'later' })
  expect((await gmail(access_token, 'GET', `history?startHistoryId=${fresh}`)).json).toHaveProperty('history')
})

it('refuses a bad message and an unknown thread', async () => {
  const { access_token } = await signIn()
  const good = mime(['To: a@b.test', 'Subject: x', '', 'hi'])
  expect((await gmail(access_token, 'POST', 'messages/send', { raw: '%%%' })).status).toBe(400)
  expect(
    (await gmail(access_token, 'POST', 'messages/send', { raw: mime(['Subject: x', '', 'hi']) })).status,
  ).toBe(400)
  expect((await gmail(access_token, 'POST', 'drafts', { message: {} })).status).toBe(400)
  expect(
    (await gmail(access_token, 'POST', 'drafts', { message: { raw: good, threadId: 'none' } })).status,
  ).toBe(404)
  expect((await gmail(access_token, 'POST', 'drafts', { message: { raw: good } })).status).toBe(200)
})

it('watches for seven days and pushes a signed hint until it is acknowledged', async () => {
  const { access_token } = await signIn()
  const watch = await gmail(access_token, 'POST', 'watch', { topicName: TOPIC, labelIds: ['INBOX'] })
  expect(Number(watch.json['expiration']) - Date.now()).toBeGreaterThan(6.9 * 86_400_000)
  expect((await gmail(access_token, 'POST', 'watch', { topicName: `${TOPIC}2` })).status).toBe(400)
  pushStatus = 503
  const delivered = (await control('deliver', {
    to: SALES,
    from: 'ada@buyer.test',
    subject: 'Hi',
    body: 'é',
  })) as {
    id: string
    historyId: string
  }
  await expect.poll(() => pushes.length).toBe(1)
  pushStatus = 204
  await expect.poll(() => pushes.length, { timeout: 3000 }).toBe(2)
  const { url, authorization, body } = pushes[1] ?? {
    url: '',
    authorization: '',
    body: { message: { data: '' } },
  }
  expect(url).toBe('/webhooks/gmail/push?token=t')
  expect(JSON.parse(Buffer.from(body.message.data, 'base64url').toString())).toEqual({
    emailAddress: SALES,
    historyId: delivered.historyId,
  })
  const keys = createRemoteJWKSet(new URL(`${google.url}/oauth2/v3/certs`))
  const { payload } = await jwtVerify(authorization.slice(7), keys, {
    issuer: 'https://issuer.test',
    audience: 'https://audience.test',
  })
  expect(payload).toMatchObject({ email: 'push@inlet.test', email_verified: true })
  const raw = (await gmail(access_token, 'GET', `messages/${delivered.id}?format=raw`)).json['raw']
  expect(Buffer.from(String(raw), 'base64url').toString()).toMatch(
    /^Delivered-To: sales@inlet\.test\r\n[\s\S]*dmarc=pass/,
  )
})

it('pushes nothing when it is switched off or the mailbox is not watched', async () => {
  await control('push', { on: false })
  await control('deliver', { to: SALES })
  await control('push', { on: true })
  await control('deliver', { to: OTHER })
  await control('deliver', { to: SALES })
  await expect.poll(() => pushes.length).toBe(1)
})

it('injects faults, also after the provider has done its work', async () => {
  const { access_token } = await signIn()
  const created = await gmail(access_token, 'POST', 'drafts', {
    message: { raw: mime(['To: a@b.test', '', 'x']) },
  })
  const id = String(created.json['id'])
  await control('faults', [
    { path_pattern: '/drafts/send', method: 'POST', after_commit: true },
    {
      path_pattern: '/profile',
      status: 429,
      headers: { 'retry-after': '7' },
      body: { error: { code: 429 } },
      times: 2,
    },
  ])
  await expect(gmail(access_token, 'POST', 'drafts/send', { id })).rejects.toThrow()
  expect((await gmail(access_token, 'GET', `drafts/${id}`)).status).toBe(404)
  expect((await gmail(access_token, 'GET', 'profile')).status).toBe(429)
  expect((await gmail(access_token, 'GET', 'profile')).status).toBe(429)
  expect((await gmail(access_token, 'GET', 'profile')).status).toBe(200)
  const stats = (await (await fetch(`${google.url}/_shim/stats`)).json()) as Record<
    string,
    Record<string, number>
  >
  expect(stats['requests']).toMatchObject({
    'POST /gmail/v1/users/:userId/drafts/send': 1,
    'GET /gmail/v1/users/me/profile': 3,
  })
  expect(stats['tokens']).toEqual({ authorization_code: 1 })
})

it('delivers what one account sends to another, without its Bcc', async () => {
  const { access_token } = await signIn()
  const raw = mime([
    'From: sales@inlet.test',
    `To: Other <${OTHER}>`,
    'Bcc: secret@b.test',
    'Subject: Across',
    '',
    'hi',
  ])
  await gmail(access_token, 'POST', 'messages/send', { raw })
  const other = await signIn(OTHER)
  const found = await gmail(other.access_token, 'GET', 'messages?q=subject:Across')
  const [message] = found.json['messages'] as { id: string }[]
  const seen = await gmail(other.access_token, 'GET', `messages/${message?.id}?format=raw`)
  expect(Buffer.from(String(seen.json['raw']), 'base64url').toString()).not.toMatch(/bcc/i)
})

it('goes on after a restart where it ended: mail, drafts, history, watches and tokens', async () => {
  const { access_token, refresh_token, id_token } = await signIn()
  const draft = await gmail(access_token, 'POST', 'drafts', {
    message: { raw: mime(['To: a@b.test', '', 'kept']) },
  })
  const before = await gmail(access_token, 'GET', 'profile')
  const { watches } = (await control('watches', {})) as { watches: unknown }
  await google.close()
  await start()
  // The first request may still go out on a connection of the old server.
  await expect.poll(async () => (await fetch(`${google.url}/_shim/stats`)).status).toBe(200)
  expect(await gmail(access_token, 'GET', 'profile')).toEqual(before)
  expect((await gmail(access_token, 'GET', `drafts/${String(draft.json['id'])}`)).status).toBe(200)
  expect(((await control('watches', {})) as { watches: unknown }).watches).toEqual(watches)
  const again = await token({ grant_type: 'refresh_token', refresh_token })
  expect((await gmail(again.access_token, 'GET', 'profile')).json).toMatchObject({ emailAddress: SALES })
  const { id_token: later } = await signIn()
  expect(decodeJwt(later).sub).toBe(decodeJwt(id_token).sub)
  const sent = await gmail(access_token, 'POST', 'drafts/send', { id: draft.json['id'] })
  expect(sent.json['labelIds']).toEqual(['SENT'])
})
