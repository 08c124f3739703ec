// One suite for every mail provider. A provider joins by an entry in `setups`: an account that works, mail that arrives, and
// the faults that its kind knows.
import { afterEach, describe, expect, it } from 'vitest'
import { findProvider, type MailApi, type MailProvider, type Tokens } from '#features/mailboxes'
import type { Result } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { deliver, shim, takeAccount } from '#test/google'
import { createWorld } from '#test/world'

interface Setup {
  name: string
  provider: MailProvider
  account(): string
  /** What the person's browser would do; answers the query of the callback. */
  consent(
    authorization_url: string,
    account: string,
    extra?: Record<string, string>,
  ): Promise<URLSearchParams>
  arrive(account: string, mail: { subject: string; from: string }): Promise<void>
  fault(rule: {
    path_pattern: string
    status?: number
    headers?: Record<string, string>
    body?: unknown
    drop?: boolean
    after_commit?: boolean
  }): Promise<void>
  forgetHistory(account: string): Promise<void>
  revoke(account: string): Promise<void>
  paths: { changes: string; send: string }
}

function required(provider: MailProvider | undefined): MailProvider {
  if (!provider) throw new Error('not registered')
  return provider
}

const setups: Setup[] = [
  {
    name: 'google',
    provider: required(findProvider('google')),
    account: takeAccount,
    consent: async (authorization_url, account, extra = {}) => {
      const url = new URL(authorization_url)
      const body = new URLSearchParams({ ...Object.fromEntries(url.searchParams), email: account, ...extra })
      const response = await fetch(`${url.origin}/o/oauth2/v2/auth/callback`, {
        method: 'POST',
        body,
        redirect: 'manual',
      })
      return new URL(response.headers.get('location') ?? '').searchParams
    },
    arrive: async (account, mail) => void (await deliver(account, mail)),
    fault: async (rule) => void (await shim('faults', rule)),
    forgetHistory: async (email) => void (await shim('expire-history', { email })),
    revoke: async (email) => void (await shim('revoke', { email })),
    paths: { changes: '/history', send: '/drafts/send' },
  },
]

const secrets = { state: 'state-1', nonce: 'nonce-1', code_verifier: 'v'.repeat(43) }
// RFC 7636: base64url of the verifier's SHA-256.
async function challenge(): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(secrets.code_verifier))
  return btoa(String.fromCharCode(...new Uint8Array(digest)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.failure.kind} ${result.failure.code}`)
  return result.value
}

const raw = (subject: string) =>
  btoa(
    [
      'To: ada@buyer.test',
      `Subject: ${subject}`,
      `Message-ID: <${crypto.randomUUID()}@inlet.test>`,
      '',
      'Hello',
    ].join('\r\n'),
  )
    .replaceAll('+', '-')
    .replaceAll('/', '_')

describe.each(setups)('the mail provider $name', (setup) => {
  const { provider } = setup
  const ctx: Ctx = createWorld().ctx()

  afterEach(async () => {
    await shim('faults', {}, 'DELETE')
  })

  async function grant(account: string, extra: Record<string, string> = {}) {
    const url = provider.authorizationUrl(ctx.config, {
      ...secrets,
      code_challenge: await challenge(),
      login_hint: null,
    })
    return provider.exchange(ctx, await setup.consent(url, account, extra), secrets)
  }

  async function connected(): Promise<{ account: string; api: MailApi; tokens: Tokens }> {
    const account = setup.account()
    const { access_token, refresh_token, expires_at } = value(await grant(account))
    return {
      account,
      api: { ctx, access_token },
      tokens: { access_token, refresh_token: refresh_token ?? '', expires_at },
    }
  }

  async function searchAll(api: MailApi, page: string | null = null): Promise<string[]> {
    const since = new Date(Date.now() - 3600_000)
    const { messages, next_page } = value(await provider.searchSince(api, since, page))
    const ids = messages.map(({ id }) => id)
    return next_page === null ? ids : [...ids, ...(await searchAll(api, next_page))]
  }

  it('exchanges a code for tokens, scopes and the identity of the account', async () => {
    const account = setup.account()
    const granted = value(await grant(account))
    expect(granted.account.email).toBe(account)
    expect(granted.account.subject).not.toBe('')
    expect(granted.refresh_token).not.toBeNull()
    expect(provider.missingScopes(granted.scopes)).toEqual([])
  })

  it('refuses a state, nonce or verifier that is not ours, and a denial, as permanent', async () => {
    const url = provider.authorizationUrl(ctx.config, {
      ...secrets,
      code_challenge: await challenge(),
      login_hint: null,
    })
    const account = setup.account()
    for (const wrong of [{ state: 'other' }, { nonce: 'other' }, { code_verifier: 'w'.repeat(43) }]) {
      const result = await provider.exchange(ctx, await setup.consent(url, account), { ...secrets, ...wrong })
      expect([wrong, result.ok]).toEqual([wrong, false])
    }
    expect(
      await provider.exchange(ctx, await setup.consent(url, account, { error: 'access_denied' }), secrets),
    ).toMatchObject({ ok: false, failure: { kind: 'permanent' } })
  })

  it('refreshes, and calls a revoked grant auth but an outage transient', async () => {
    const { account, tokens } = await connected()
    expect(value(await provider.refresh(ctx, tokens.refresh_token)).access_token).not.toBe('')
    await setup.fault({ path_pattern: '/token', status: 503 })
    expect(await provider.refresh(ctx, tokens.refresh_token)).toMatchObject({
      ok: false,
      failure: { kind: 'transient' },
    })
    await setup.fault({ path_pattern: '/token', drop: true })
    expect(await provider.refresh(ctx, tokens.refresh_token)).toMatchObject({
      ok: false,
      failure: { kind: 'transient' },
    })
    await setup.revoke(account)
    expect(await provider.refresh(ctx, tokens.refresh_token)).toMatchObject({
      ok: false,
      failure: { kind: 'auth', code: 'grant_dead' },
    })
  })

  it('never blames the person for our own wrong secret', async () => {
    const { tokens } = await connected()
    const wrong = createWorld({ GOOGLE_CLIENT_SECRET: 'wrong' }).ctx()
    expect(await provider.refresh(wrong, tokens.refresh_token)).toMatchObject({
      ok: false,
      failure: { kind: 'permanent', code: 'invalid_client' },
    })
  })

  it('tells what changed since a cursor, and nothing twice', async () => {
    const { account, api } = await connected()
    const start = value(await provider.currentCursor(api))
    await setup.arrive(account, { subject: 'one', from: 'a@buyer.test' })
    await setup.arrive(account, { subject: 'two', from: 'b@buyer.test' })
    const page = value(await provider.changesSince(api, start))
    expect({ count: page.messages.length, more: page.more }).toEqual({ count: 2, more: false })
    expect(value(await provider.changesSince(api, page.cursor)).messages).toEqual([])
    const first = value(await provider.fetchRaw(api, page.messages[0]?.id ?? ''))
    expect(new TextDecoder().decode(first?.raw)).toContain('Subject: one')
    expect({ relevant: first?.relevant, sent: first?.sent, thread: first?.thread_id }).toEqual({
      relevant: true,
      sent: false,
      thread: page.messages[0]?.thread_id,
    })
  })

  it('watches from a cursor that the next changes can start at', async () => {
    const { account, api } = await connected()
    const watched = value(await provider.watch(api))
    expect(Date.parse(watched.expires_at)).toBeGreaterThan(Date.now() + 3600_000)
    await setup.arrive(account, { subject: 'pushed', from: 'a@buyer.test' })
    expect(value(await provider.changesSince(api, watched.cursor)).messages).toHaveLength(1)
    expect((await provider.unwatch(api)).ok).toBe(true)
  })

  it('says when it has forgotten a cursor, and finds the time since by search', async () => {
    const { account, api } = await connected()
    const start = value(await provider.currentCursor(api))
    await setup.arrive(account, { subject: 'lost', from: 'a@buyer.test' })
    await setup.forgetHistory(account)
    expect(await provider.changesSince(api, start)).toMatchObject({
      ok: false,
      failure: { code: 'cursor_expired' },
    })
    const pinned = value(await provider.currentCursor(api))
    expect(value(await provider.changesSince(api, pinned)).messages).toEqual([])
    expect((await searchAll(api)).length).toBeGreaterThanOrEqual(1)
  })

  it('finds by search what the account sent, too', async () => {
    const { account, api } = await connected()
    await setup.arrive(account, { subject: 'asked', from: 'a@buyer.test' })
    const draft = value(await provider.createDraft(api, { raw: raw('Answered'), thread_id: null }))
    const sent = value(await provider.sendDraft(api, draft.draft_id))
    const ids = await searchAll(api)
    expect(ids).toContain(sent.provider_message_id)
    expect(new Set(ids).size).toBeGreaterThan(1)
  })

  it('knows whether the newest mail of a thread is the account’s own', async () => {
    const { account, api } = await connected()
    const start = value(await provider.currentCursor(api))
    await setup.arrive(account, { subject: 'asked', from: 'a@buyer.test' })
    const thread_id = value(await provider.changesSince(api, start)).messages[0]?.thread_id ?? ''
    expect(value(await provider.isAnswered(api, thread_id))).toBe(false)
    const draft = value(await provider.createDraft(api, { raw: raw('Re: asked'), thread_id }))
    expect(value(await provider.isAnswered(api, thread_id))).toBe(false)
    await provider.sendDraft(api, draft.draft_id)
    expect(value(await provider.isAnswered(api, thread_id))).toBe(true)
    expect(value(await provider.isAnswered(api, 'no-such-thread'))).toBe(false)
  })

  it('answers null for a message that is gone', async () => {
    const { api } = await connected()
    expect(value(await provider.fetchRaw(api, 'no-such-message'))).toBeNull()
  })

  it('sends a draft once: afterwards it is no draft, and is found among what was sent', async () => {
    const { api } = await connected()
    const draft = value(await provider.createDraft(api, { raw: raw('Offer'), thread_id: null }))
    expect(value(await provider.draftExists(api, draft.draft_id))).toBe(true)
    const sent = value(await provider.sendDraft(api, draft.draft_id))
    expect(sent.provider_message_id).not.toBe('')
    expect(value(await provider.draftExists(api, draft.draft_id))).toBe(false)
    expect((await provider.sendDraft(api, draft.draft_id)).ok).toBe(false)
    const found = value(
      await provider.findSent(api, { message_id: sent.message_id ?? '', thread_id: sent.provider_thread_id }),
    )
    expect(found).toEqual(sent)
  })

  it('deletes a draft, also one that is gone', async () => {
    const { api } = await connected()
    const draft = value(await provider.createDraft(api, { raw: raw('Never'), thread_id: null }))
    expect((await provider.deleteDraft(api, draft.draft_id)).ok).toBe(true)
    expect((await provider.deleteDraft(api, draft.draft_id)).ok).toBe(true)
    expect(
      value(await provider.findSent(api, { message_id: '<never@inlet.test>', thread_id: draft.thread_id })),
    ).toBeNull()
  })

  it('accepted the send though the answer was lost: the truth can be found', async () => {
    const { api } = await connected()
    const message_id = `<${crypto.randomUUID()}@inlet.test>`
    const draft = value(
      await provider.createDraft(api, {
        raw: btoa(`To: ada@buyer.test\r\nSubject: Lost answer\r\nMessage-ID: ${message_id}\r\n\r\nHello`),
        thread_id: null,
      }),
    )
    await setup.fault({ path_pattern: setup.paths.send, after_commit: true, drop: true })
    expect(await provider.sendDraft(api, draft.draft_id)).toMatchObject({
      ok: false,
      failure: { kind: 'transient' },
    })
    expect(value(await provider.draftExists(api, draft.draft_id))).toBe(false)
    expect(value(await provider.findSent(api, { message_id, thread_id: draft.thread_id }))?.message_id).toBe(
      message_id,
    )
  })

  it.each([
    ['a refused token', { status: 401 }, { kind: 'auth', code: 'token_refused' }],
    [
      '429 with Retry-After',
      { status: 429, headers: { 'Retry-After': '17' } },
      { kind: 'rate_limited', retry_after_seconds: 17 },
    ],
    [
      'a quota told as 403',
      {
        status: 403,
        body: {
          error: { code: 403, message: 'Quota exceeded', errors: [{ reason: 'userRateLimitExceeded' }] },
        },
      },
      { kind: 'rate_limited' },
    ],
    [
      'a missing permission',
      {
        status: 403,
        body: {
          error: {
            code: 403,
            message: 'Insufficient Permission',
            errors: [{ reason: 'insufficientPermissions' }],
          },
        },
      },
      { kind: 'auth', code: 'insufficient_scopes' },
    ],
    ['500', { status: 500 }, { kind: 'transient' }],
    ['HTML with 200', { status: 200, body: '<html>' }, { kind: 'transient', code: 'unreadable_answer' }],
    ['a dropped connection', { drop: true }, { kind: 'transient' }],
  ])('names %s', async (_, fault, failure) => {
    const { api } = await connected()
    const cursor = value(await provider.currentCursor(api))
    await setup.fault({ path_pattern: setup.paths.changes, ...fault })
    expect(await provider.changesSince(api, cursor)).toMatchObject({ ok: false, failure })
  })
})
