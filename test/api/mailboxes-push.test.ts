import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { connectMailbox, deliver } from '#test/google'
import { createWorld, read, type World } from '#test/world'

const AUDIENCE = 'http://inlet.test/webhooks/gmail/push'
const ACCOUNT = 'push@test.iam.gserviceaccount.com'
const ISSUER = 'http://issuer.test'
const PATH = '/webhooks/gmail/push?token=test-only-webhook-secret'

let keys: CryptoKeyPair
let jwks: string
beforeAll(async () => {
  keys = (await generateKeyPair('RS256', { extractable: true })) as CryptoKeyPair
  jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'push-key', alg: 'RS256', use: 'sig' }],
  })
})

function pushWorld(): World {
  const world = createWorld({ GOOGLE_JWKS_URL: 'http://keys.test/certs', GOOGLE_ISSUER: ISSUER })
  world.fetch = async (input) =>
    new Request(input).url === 'http://keys.test/certs'
      ? new Response(jwks, { headers: { 'Content-Type': 'application/json' } })
      : new Response('', { status: 599 })
  return world
}

interface Claims {
  aud?: string
  iss?: string
  email?: string
  email_verified?: boolean
  exp?: number
}

function sign(claims: Claims = {}, key: CryptoKey = keys.privateKey): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({
    aud: AUDIENCE,
    iss: ISSUER,
    email: ACCOUNT,
    email_verified: true,
    iat: now,
    exp: now + 3600,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'push-key' })
    .sign(key)
}

const body = (email: string) => ({
  message: { data: btoa(JSON.stringify({ emailAddress: email, historyId: '1' })), messageId: '1' },
  subscription: 'projects/test/subscriptions/gmail',
})

describe('POST /webhooks/gmail/push', () => {
  it('refuses a push that is not Google’s own, and syncs nothing', async () => {
    const world = pushWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(createWorld(), org)
    await deliver(mailbox.email)
    const before = await world.ctx().mailboxes(mailbox.id).status()
    const stranger = (await generateKeyPair('RS256')) as CryptoKeyPair
    const now = Math.floor(Date.now() / 1000)
    const tokens = {
      'wrong audience': await sign({ aud: 'https://elsewhere.test' }),
      'wrong issuer': await sign({ iss: 'https://evil.test' }),
      'wrong key': await sign({}, stranger.privateKey),
      'another service account': await sign({ email: 'other@test.iam.gserviceaccount.com' }),
      'an unverified account': await sign({ email_verified: false }),
      expired: await sign({ exp: now - 3600 }),
      'no token': undefined,
      'no JWT': 'abc',
      'alg none': `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify({ aud: AUDIENCE, iss: ISSUER, email: ACCOUNT, email_verified: true, exp: now + 60 }))}.`,
    }
    for (const [name, token] of Object.entries(tokens)) {
      const response = await world.request('POST', PATH, {
        ...(token === undefined ? {} : { token }),
        body: body(mailbox.email),
      })
      expect([name, response.status]).toEqual([name, 401])
    }
    expect(
      (
        await world.request('POST', '/webhooks/gmail/push?token=wrong', {
          token: await sign(),
          body: body(mailbox.email),
        })
      ).status,
    ).toBe(401)
    expect(
      (
        await world.request('POST', '/webhooks/gmail/push', {
          token: await sign(),
          body: body(mailbox.email),
        })
      ).status,
    ).toBe(401)
    expect(await world.ctx().mailboxes(mailbox.id).status()).toEqual(before)
  })

  it('answers 204 within one round trip, also for an unknown mailbox', async () => {
    const world = pushWorld()
    const response = await world.request('POST', PATH, {
      token: await sign(),
      body: body('nobody@inlet.test'),
    })
    expect({ status: response.status, timing: response.headers.get('Server-Timing') }).toEqual({
      status: 204,
      timing: expect.stringContaining('desc="1"'),
    })
  })

  it('names the field of a notification that cannot be read, and refuses a body of 5 MB', async () => {
    const world = pushWorld()
    const token = await sign()
    expect(
      await read(await world.request('POST', PATH, { token, body: { message: { data: '%%%' } } })),
    ).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ path: 'message.data' }] } })
    expect(await read(await world.request('POST', PATH, { token, body: '{"message":' }))).toMatchObject({
      status: 400,
      body: { code: 'invalid' },
    })
    expect(
      (await world.request('POST', PATH, { token, body: { message: { data: 'A'.repeat(5_000_000) } } }))
        .status,
    ).toBe(413)
  })

  it('wakes the mailbox: the same push fifty times at once is one alarm', async () => {
    const world = pushWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(createWorld(), org)
    const token = await sign()
    const statuses = await Promise.all(
      Array.from(
        { length: 50 },
        async () =>
          (await world.request('POST', PATH, { token, body: body(mailbox.email.toUpperCase()) })).status,
      ),
    )
    expect(new Set(statuses)).toEqual(new Set([204]))
  })

  it('asks for another try when the keys cannot be fetched', async () => {
    const world = createWorld({ GOOGLE_JWKS_URL: 'http://keys.test/certs', GOOGLE_ISSUER: ISSUER })
    world.fetch = async () => {
      throw new Error('down')
    }
    expect(
      (await world.request('POST', PATH, { token: await sign(), body: body('a@inlet.test') })).status,
    ).toBe(503)
  })
})
