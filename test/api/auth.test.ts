import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { describeSecurity } from '#test/security'
import { createWorld, read } from '#test/world'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { refresh_tokens, sessions, users } from '#db/schema/auth'
import { notifications } from '#db/schema/notifications'
import { organizations } from '#db/schema/organizations'

const PASSWORD = 'a long enough phrase'

interface Tokens {
  access_token: string
  refresh_token: string
  token_type: string
  expires_in: number
  user: { id: string; email: string; organization: { id: string; slug: string; name: string } }
}

function unique(): string {
  return crypto.randomUUID().slice(0, 8)
}

async function signUp(world = createWorld(), email = `ada-${unique()}@example.com`) {
  const body = { name: 'Ada', email, password: PASSWORD, organization_name: `Engines ${unique()}` }
  const answer = await read<Tokens>(await world.request('POST', '/api/v1/auth/register', { body }))
  expect(answer.status).toBe(201)
  return { world, email, tokens: answer.body }
}

describe('POST /auth/register', () => {
  it('makes organization, owner, session, welcome and audit entries, and answers tokens that work', async () => {
    const world = createWorld()
    const suffix = unique()
    const body = {
      name: ' Ada Lovelace ',
      email: `Ada.${suffix}@Example.com`,
      password: PASSWORD,
      organization_name: `Analytical Engines ${suffix}`,
    }
    const response = await world.request('POST', '/api/v1/auth/register', { body })
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    const { status, body: tokens } = await read<Tokens>(response)
    const user = {
      id: expect.any(String),
      email: `Ada.${suffix}@Example.com`,
      name: 'Ada Lovelace',
      role: 'owner',
      organization: {
        id: expect.any(String),
        name: `Analytical Engines ${suffix}`,
        slug: `analytical-engines-${suffix}`,
      },
      created_at: expect.any(String),
      last_login_at: expect.any(String),
    }
    expect({ status, tokens }).toEqual({
      status: 201,
      tokens: {
        access_token: expect.any(String),
        refresh_token: expect.any(String),
        token_type: 'bearer',
        expires_in: 900,
        user,
      },
    })
    expect(await read(await world.request('GET', '/api/v1/auth/me', { token: tokens.access_token }))).toEqual(
      {
        status: 200,
        body: user,
      },
    )
    const org_id = tokens.user.organization.id
    const [audit, welcomes, rows] = await world.sql(
      q.select().from(audit_logs).where(eq(audit_logs.org_id, org_id)).orderBy(audit_logs.id),
      q.select().from(notifications).where(eq(notifications.org_id, org_id)),
      q.select().from(users).where(eq(users.org_id, org_id)),
    )
    expect(audit.map(({ action, actor_type, actor_id }) => ({ action, actor_type, actor_id }))).toEqual([
      { action: 'user.registered', actor_type: 'user', actor_id: tokens.user.id },
      { action: 'organization.created', actor_type: 'user', actor_id: tokens.user.id },
    ])
    expect(welcomes.map(({ type, entity_type, user_id }) => ({ type, entity_type, user_id }))).toEqual([
      { type: 'onboarding', entity_type: 'system', user_id: tokens.user.id },
    ])
    expect(rows.map(({ email_norm }) => email_norm)).toEqual([`ada.${suffix}@example.com`])
    expect(rows[0]?.password_hash).toMatch(/^\$scrypt\$ln=14,r=8,p=5,k=/)
  })

  it('is served under /api as well', async () => {
    const world = createWorld()
    const body = { name: 'Ada', email: `ada-${unique()}@example.com`, password: PASSWORD }
    expect((await world.request('POST', '/api/auth/register', { body })).status).toBe(201)
  })

  it('refuses an address that is known, in any spelling, and makes nothing', async () => {
    const { world, email } = await signUp()
    const body = { name: 'Eve', email: ` ${email.toUpperCase()} `, password: 'another long phrase' }
    const { status, body: problem } = await read(
      await world.request('POST', '/api/v1/auth/register', { body }),
    )
    expect({ status, code: problem['code'] }).toEqual({ status: 409, code: 'conflict' })
    const [rows] = await world.sql(q.select().from(users).where(eq(users.email_norm, email)))
    expect(rows.map(({ name }) => name)).toEqual(['Ada'])
  })

  it('is refused where registration is closed, and makes nothing', async () => {
    const world = createWorld({ REGISTRATION: 'closed' })
    const email = `ada-${unique()}@example.com`
    const body = { name: 'Ada', email, password: PASSWORD }
    const answer = await read<{ code: string }>(
      await world.request('POST', '/api/v1/auth/register', { body }),
    )
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 403, code: 'forbidden' })
    const [rows] = await world.sql(q.select().from(users).where(eq(users.email_norm, email)))
    expect(rows).toEqual([])
  })

  it('makes one account when the same address registers twice at once', async () => {
    const world = createWorld()
    // A name that is free, so that all of them want the same slug, too.
    const body = { name: `Ada ${unique()}`, email: `ada-${unique()}@example.com`, password: PASSWORD }
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => world.request('POST', '/api/v1/auth/register', { body })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409])
  })

  it('gives namesakes different slugs, also at the same moment', async () => {
    const world = createWorld()
    const organization_name = `Twins ${unique()}`
    const answers = await Promise.all(
      [1, 2].map(async (n) => {
        const body = {
          name: 'Ada',
          email: `twin${n}-${unique()}@example.com`,
          password: PASSWORD,
          organization_name,
        }
        return read<Tokens>(await world.request('POST', '/api/v1/auth/register', { body }))
      }),
    )
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    expect(new Set(answers.map(({ body }) => body.user.organization.slug)).size).toBe(2)
  })

  it.each([
    ['password', { password: 'too short' }],
    ['password', { password: 'x'.repeat(201) }],
    ['email', { email: 'no address' }],
    ['email', { email: 'a@b' }],
    ['name', { name: '   ' }],
    ['name', { name: 'Ada\u0000' }],
    ['organization_name', { organization_name: 'a\nb' }],
  ])('names the field %s when it is wrong: %j', async (path, wrong) => {
    const world = createWorld()
    const body = { name: 'Ada', email: `ada-${unique()}@example.com`, password: PASSWORD, ...wrong }
    const { status, body: problem } = await read<{ errors: { path: string }[] }>(
      await world.request('POST', '/api/v1/auth/register', { body }),
    )
    expect({ status, paths: problem.errors.map((error) => error.path) }).toEqual({
      status: 400,
      paths: [path],
    })
  })

  it('takes no role, organization or id from the body', async () => {
    const world = createWorld()
    const other = await world.organization()
    const body = {
      name: 'Ada',
      email: `ada-${unique()}@example.com`,
      password: PASSWORD,
      role: 'operator',
      org_id: other.id,
      id: other.id,
    }
    const { body: tokens } = await read<Tokens>(
      await world.request('POST', '/api/v1/auth/register', { body }),
    )
    expect(tokens.user.organization.id).not.toBe(other.id)
    expect(tokens.user.id).not.toBe(other.id)
  })
})

describe('POST /auth/login', () => {
  it('signs in and records it', async () => {
    const { world, email, tokens } = await signUp()
    const { status, body } = await read<Tokens>(
      await world.request('POST', '/api/v1/auth/login', {
        body: { email: email.toUpperCase(), password: PASSWORD },
      }),
    )
    expect({ status, user: body.user.id }).toEqual({ status: 200, user: tokens.user.id })
    expect(body.refresh_token).not.toBe(tokens.refresh_token)
    const [audit] = await world.sql(
      q.select().from(audit_logs).where(eq(audit_logs.actor_id, tokens.user.id)),
    )
    expect(audit.map(({ action }) => action).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'organization.created',
      'user.registered',
      'user.signed_in',
    ])
  })

  it('welcomes a user once, at the first token, though they were made by somebody else', async () => {
    const { world, email, tokens } = await signUp()
    const org_id = tokens.user.organization.id
    await world.sql(
      q.delete(notifications).where(eq(notifications.org_id, org_id)),
      q.update(users).set({ last_login_at: null }).where(eq(users.org_id, org_id)),
    )
    const sign = () => world.request('POST', '/api/v1/auth/login', { body: { email, password: PASSWORD } })
    await Promise.all([sign(), sign()])
    await sign()
    const [welcomes] = await world.sql(q.select().from(notifications).where(eq(notifications.org_id, org_id)))
    expect(welcomes.map(({ type }) => type)).toEqual(['onboarding'])
  })

  it('answers a wrong password, an unknown address, no address and a disabled user alike', async () => {
    const { world, email, tokens } = await signUp()
    const disabled = await signUp(world)
    await world.sql(
      q.update(users).set({ disabled_at: new Date() }).where(eq(users.id, disabled.tokens.user.id)),
      q
        .update(users)
        .set({ password_hash: null })
        .where(eq(users.id, (await signUp(world)).tokens.user.id)),
    )
    const attempt = async (body: { email: string; password: string }) => {
      const response = await world.request('POST', '/api/v1/auth/login', {
        body,
        headers: { 'X-Request-Id': 'same' },
      })
      return { headers: response.headers.get('Content-Type'), ...(await read(response)) }
    }
    const wrong = await attempt({ email, password: 'not the password' })
    expect(wrong).toEqual({
      headers: 'application/problem+json',
      status: 401,
      body: {
        type: 'about:blank',
        title: 'Authentication is required',
        status: 401,
        detail: 'The e-mail address or the password is wrong.',
        code: 'unauthenticated',
        request_id: 'same',
      },
    })
    expect(await attempt({ email: `nobody-${unique()}@example.com`, password: PASSWORD })).toEqual(wrong)
    expect(await attempt({ email: 'no address\u0000', password: PASSWORD })).toEqual(wrong)
    expect(await attempt({ email: disabled.email, password: PASSWORD })).toEqual(wrong)
    expect(tokens.token_type).toBe('bearer')
  })

  it('still knows a password after the key was rotated, and hashes it anew with the new key', async () => {
    const { email, tokens } = await signUp()
    const rotated = createWorld({
      ENCRYPTION_KEY: 'ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100',
      ENCRYPTION_KEY_PREVIOUS: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
    })
    const hash = async () =>
      (await rotated.sql(q.select().from(users).where(eq(users.id, tokens.user.id))))[0][0]?.password_hash
    const before = await hash()
    const sign = () => rotated.request('POST', '/api/v1/auth/login', { body: { email, password: PASSWORD } })
    expect((await sign()).status).toBe(200)
    const after = await hash()
    expect(after).not.toBe(before)
    expect((await sign()).status).toBe(200)
    expect(await hash()).toBe(after)
  })

  it('is limited per address, whether it exists or not, before anything is hashed', async () => {
    const world = createWorld({ RATE_LIMIT_LOGIN_PER_MINUTE: '3' })
    for (const email of [(await signUp()).email, `nobody-${unique()}@example.com`]) {
      const statuses: number[] = []
      for (let i = 0; i < 4; i++) {
        const headers = { 'CF-Connecting-IP': `2001:db8:${unique().slice(0, 4)}:${i}::1` }
        const body = { email, password: 'not the password' }
        const response = await world.request('POST', '/api/v1/auth/login', { body, headers })
        statuses.push(response.status)
        if (i === 3) expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0)
      }
      // A minute may begin in between; then the count starts again.
      expect([
        [401, 401, 401, 429],
        [401, 401, 401, 401],
      ]).toContainEqual(statuses)
    }
  })

  it('is limited per address of the network, and a refused caller no longer reaches the database', async () => {
    const world = createWorld({ RATE_LIMIT_LOGIN_PER_MINUTE: '2' })
    const ip = `2001:db8:${unique().slice(0, 4)}:1::`
    const attempt = (host: string) =>
      world.request('POST', '/api/v1/auth/login', {
        body: { email: `nobody-${unique()}@example.com`, password: PASSWORD },
        // One customer's /64.
        headers: { 'CF-Connecting-IP': `${ip}${host}` },
      })
    let response = await attempt('1')
    for (let i = 0; i < 8 && response.status !== 429; i++) response = await attempt('2')
    expect(response.status).toBe(429)
    const next = await attempt('3')
    expect({ status: next.status, timing: next.headers.get('Server-Timing') }).toEqual({
      status: 429,
      timing: expect.stringContaining('desc="0"'),
    })
  })
})

describe('POST /auth/refresh', () => {
  const refresh = async (world: ReturnType<typeof createWorld>, refresh_token: string) =>
    read<Tokens>(await world.request('POST', '/api/v1/auth/refresh', { body: { refresh_token } }))

  it('rotates in one round trip: the new pair works', async () => {
    const { world, tokens } = await signUp()
    const response = await world.request('POST', '/api/v1/auth/refresh', {
      body: { refresh_token: tokens.refresh_token },
    })
    expect(response.headers.get('Server-Timing')).toContain('desc="1"')
    const next = await read<Tokens>(response)
    expect(next).toEqual({
      status: 200,
      body: {
        access_token: expect.any(String),
        refresh_token: expect.any(String),
        token_type: 'bearer',
        expires_in: 900,
        user: tokens.user,
      },
    })
    expect(next.body.refresh_token).not.toBe(tokens.refresh_token)
    expect((await world.request('GET', '/api/v1/auth/me', { token: next.body.access_token })).status).toBe(
      200,
    )
    expect((await refresh(world, next.body.refresh_token)).status).toBe(200)
  })

  it('answers a used token 409 within 10 seconds while its successor is unused, and changes nothing', async () => {
    const { world, tokens } = await signUp()
    const next = await refresh(world, tokens.refresh_token)
    expect((await refresh(world, tokens.refresh_token)).status).toBe(409)
    expect((await refresh(world, tokens.refresh_token)).status).toBe(409)
    expect((await refresh(world, next.body.refresh_token)).status).toBe(200)
  })

  it('ends the session with all its tokens when a used token comes back later', async () => {
    const { world, tokens } = await signUp()
    const next = await refresh(world, tokens.refresh_token)
    world.clock.advance(11)
    expect((await refresh(world, tokens.refresh_token)).status).toBe(401)
    expect((await refresh(world, next.body.refresh_token)).status).toBe(401)
    const [rows, audit] = await world.sql(
      q.select().from(sessions).where(eq(sessions.org_id, tokens.user.organization.id)),
      q.select().from(audit_logs).where(eq(audit_logs.org_id, tokens.user.organization.id)),
    )
    expect(rows.map(({ revoke_reason }) => revoke_reason)).toEqual(['refresh_reuse'])
    expect(audit.filter(({ action }) => action === 'session.revoked').map(({ fields }) => fields)).toEqual([
      ['refresh_reuse'],
    ])
  })

  it('ends the session when a used token comes back after its successor was used', async () => {
    const { world, tokens } = await signUp()
    const second = await refresh(world, tokens.refresh_token)
    const third = await refresh(world, second.body.refresh_token)
    expect((await refresh(world, tokens.refresh_token)).status).toBe(401)
    expect((await refresh(world, third.body.refresh_token)).status).toBe(401)
  })

  it('leaves the other sessions of the user alone', async () => {
    const { world, email, tokens } = await signUp()
    const other = await read<Tokens>(
      await world.request('POST', '/api/v1/auth/login', { body: { email, password: PASSWORD } }),
    )
    await refresh(world, tokens.refresh_token)
    world.clock.advance(11)
    expect((await refresh(world, tokens.refresh_token)).status).toBe(401)
    expect((await refresh(world, other.body.refresh_token)).status).toBe(200)
  })

  it('rotates once when ten tabs refresh at the same moment', async () => {
    const { world, tokens } = await signUp()
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(world, tokens.refresh_token)))
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 409)])
    const winner = answers.find(({ status }) => status === 200)
    expect((await refresh(world, winner?.body.refresh_token ?? '')).status).toBe(200)
  })

  it('refuses an unknown token, an expired one, and those of a disabled user', async () => {
    const { world, tokens } = await signUp()
    const org_id = tokens.user.organization.id
    expect((await refresh(world, 'unknown')).status).toBe(401)
    await world.sql(q.update(users).set({ disabled_at: new Date() }).where(eq(users.org_id, org_id)))
    expect((await refresh(world, tokens.refresh_token)).status).toBe(401)
    await world.sql(
      q.update(users).set({ disabled_at: null }).where(eq(users.org_id, org_id)),
      q
        .update(refresh_tokens)
        .set({ expires_at: new Date(0) })
        .where(eq(refresh_tokens.org_id, org_id)),
    )
    expect((await refresh(world, tokens.refresh_token)).status).toBe(401)
  })

  it('stops at the end of the session, however often it was refreshed', async () => {
    const { world, tokens } = await signUp()
    const org_id = tokens.user.organization.id
    const end = new Date(Date.now() + 60_000)
    await world.sql(q.update(sessions).set({ absolute_expires_at: end }).where(eq(sessions.org_id, org_id)))
    const next = await refresh(world, tokens.refresh_token)
    const [rows] = await world.sql(q.select().from(refresh_tokens).where(eq(refresh_tokens.org_id, org_id)))
    expect(rows.find(({ used_at }) => used_at === null)?.expires_at).toEqual(end)
    await world.sql(
      q
        .update(sessions)
        .set({ absolute_expires_at: new Date(0) })
        .where(eq(sessions.org_id, org_id)),
    )
    expect((await refresh(world, next.body.refresh_token)).status).toBe(401)
  })

  it('stores no token in the clear', async () => {
    const { world, tokens } = await signUp()
    const [rows] = await world.sql(
      q.select().from(refresh_tokens).where(eq(refresh_tokens.org_id, tokens.user.organization.id)),
    )
    expect(JSON.stringify(rows)).not.toContain(tokens.refresh_token)
  })
})

describe('POST /auth/logout', () => {
  it('ends the session of the token and no other', async () => {
    const { world, email, tokens } = await signUp()
    const other = await read<Tokens>(
      await world.request('POST', '/api/v1/auth/login', { body: { email, password: PASSWORD } }),
    )
    const refresh = (refresh_token: string) =>
      world.request('POST', '/api/v1/auth/refresh', { body: { refresh_token } })
    expect((await world.request('POST', '/api/v1/auth/logout', { token: tokens.access_token })).status).toBe(
      204,
    )
    expect((await refresh(tokens.refresh_token)).status).toBe(401)
    expect((await refresh(other.body.refresh_token)).status).toBe(200)
    // Access tokens that were issued already live out their 15 minutes.
    expect((await world.request('GET', '/api/v1/auth/me', { token: tokens.access_token })).status).toBe(200)
  })
})

describe('GET /auth/me', () => {
  it('tells an anonymous caller and a deleted user that they are not signed in', async () => {
    const { world, tokens } = await signUp()
    expect((await world.request('GET', '/api/v1/auth/me')).status).toBe(401)
    expect((await world.request('GET', '/api/v1/auth/me', { token: 'a.b.c' })).status).toBe(401)
    await world.sql(q.delete(organizations).where(eq(organizations.id, tokens.user.organization.id)))
    expect((await world.request('GET', '/api/v1/auth/me', { token: tokens.access_token })).status).toBe(401)
  })
})

describe('POST /admin/login', () => {
  const credentials = { username: 'operator', password: 'test-only-operator-password' }
  const ip = () => ({ 'CF-Connecting-IP': `198.51.100.${Math.floor(Math.random() * 250)}` })

  it('answers a token that opens the operator routes and no tenant route', async () => {
    const world = createWorld()
    const { status, body } = await read<{ access_token: string }>(
      await world.request('POST', '/admin/login', { body: credentials }),
    )
    expect({ status, body }).toEqual({
      status: 200,
      body: { access_token: expect.any(String), token_type: 'bearer', expires_in: 3600 },
    })
    expect((await world.request('GET', '/api/v1/auth/me', { token: body.access_token })).status).toBe(401)
  })

  it.each([
    { ...credentials, password: 'wrong' },
    { ...credentials, username: 'somebody' },
    { username: 'Operator', password: credentials.password },
  ])('refuses %j', async (body) => {
    const world = createWorld()
    expect((await world.request('POST', '/admin/login', { body })).status).toBe(401)
  })

  it('is limited per address of the network, also for the right password', async () => {
    const world = createWorld({ RATE_LIMIT_LOGIN_PER_MINUTE: '2' })
    const headers = ip()
    const attempt = async (body: object) =>
      (await world.request('POST', '/admin/login', { body, headers })).status
    let status = 0
    for (let i = 0; i < 8 && status !== 429; i++)
      status = await attempt({ ...credentials, password: 'wrong' })
    expect(status).toBe(429)
    expect(await attempt(credentials)).toBe(429)
  })
})

describe.each(['/api/v1/auth/register', '/api/auth/login', '/api/v1/auth/refresh'])('POST %s', (path) => {
  it('takes 64 KB at most', async () => {
    const body = { email: 'ada@example.com', password: PASSWORD, filler: 'x'.repeat(64 * 1024) }
    expect((await createWorld().request('POST', path, { body })).status).toBe(413)
  })

  it.each(['{"broken":', 'null', ''])('answers 400 to the body %j', async (body) => {
    const { status, body: problem } = await read(await createWorld().request('POST', path, { body }))
    expect({ status, code: problem['code'] }).toEqual({ status: 400, code: 'invalid' })
  })

  it('answers 415 or 400 to what is not JSON, never 500', async () => {
    const headers = { 'Content-Type': 'text/plain' }
    expect([400, 415]).toContain((await createWorld().request('POST', path, { body: 'x', headers })).status)
  })
})

describeSecurity({ method: 'GET', path: '/api/v1/auth/me' })
describeSecurity({ method: 'POST', path: '/api/v1/auth/logout' })
