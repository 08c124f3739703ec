import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { mailboxes } from '#db/schema/mailboxes'
import { beginConnect, connectMailbox, consent, operatorToken, takeAccount } from '#test/google'
import { createWorld, read } from '#test/world'

const MODIFY = 'https://www.googleapis.com/auth/gmail.modify'

describe('POST /admin/clients/{id}/connect/google', () => {
  it('answers an authorization URL with PKCE, a nonce, offline access and a state that names nobody', async () => {
    const world = createWorld()
    const org = await world.organization()
    const url = await beginConnect(world, org, { email: 'Sales@Inlet.test' })
    const { state, nonce, code_challenge, ...rest } = Object.fromEntries(url.searchParams)
    expect(rest).toEqual({
      client_id: 'test-client',
      redirect_uri: 'http://inlet.test/oauth/google/callback',
      response_type: 'code',
      scope: `openid email ${MODIFY}`,
      code_challenge_method: 'S256',
      access_type: 'offline',
      prompt: 'consent',
      include_granted_scopes: 'false',
      login_hint: 'sales@inlet.test',
    })
    expect(code_challenge).toMatch(/^[\w-]{43}$/)
    expect(nonce).toMatch(/^[\w-]{43}$/)
    expect(state?.split('.')).toHaveLength(3)
  })

  it('is 404 for an organization or a mailbox that does not exist, 503 for a provider that is not built, 400 for none', async () => {
    const world = createWorld()
    const org = await world.organization()
    const token = await operatorToken(world)
    const post = async (path: string, body: unknown) => {
      const { status, body: problem } = await read(await world.request('POST', path, { token, body }))
      return { status, code: problem.code }
    }
    expect(await post(`/admin/clients/${crypto.randomUUID()}/connect/google`, {})).toEqual({
      status: 404,
      code: 'not_found',
    })
    expect(
      await post(`/admin/clients/${org.id}/connect/google`, { mailbox_id: crypto.randomUUID() }),
    ).toEqual({ status: 404, code: 'not_found' })
    expect(await post(`/admin/clients/${org.id}/connect/microsoft`, {})).toEqual({
      status: 503,
      code: 'not_configured',
    })
    expect(await post(`/admin/clients/${org.id}/connect/yahoo`, {})).toEqual({ status: 400, code: 'invalid' })
    expect(await post(`/admin/clients/${org.id}/connect/google`, { email: 'nobody' })).toEqual({
      status: 400,
      code: 'invalid',
    })
  })

  it('names the settings that are missing', async () => {
    const world = createWorld({ GOOGLE_CLIENT_ID: '', GOOGLE_CLIENT_SECRET: '' })
    const org = await world.organization()
    const answer = await read(
      await world.request('POST', `/admin/clients/${org.id}/connect/google`, {
        token: await operatorToken(world),
        body: {},
      }),
    )
    expect(answer).toMatchObject({
      status: 503,
      body: { code: 'not_configured', settings: ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'] },
    })
  })
})

describe('GET /oauth/google/callback', () => {
  it('connects the mailbox, writes the audit, and shows it in connection-status', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const { body } = await read<{ mailboxes: unknown[] }>(
      await world.request('GET', `/admin/clients/${org.id}/connection-status`, {
        token: await operatorToken(world),
      }),
    )
    expect(body.mailboxes).toEqual([
      {
        id: mailbox.id,
        provider: 'google',
        email: mailbox.email,
        status: 'connected',
        push: 'on',
        watch_expires_at: expect.any(String),
        last_synced_at: expect.any(String),
        last_push_at: null,
        cursor_age_seconds: expect.any(Number),
        gaps: [],
        last_error: null,
      },
    ])
    const [entries] = await world.sql(
      q
        .select({ action: audit_logs.action })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'mailbox'))),
    )
    expect(entries).toEqual([{ action: 'mailbox.connected' }])
  })

  it('refuses a state that is used, forged, of another organization, or expired', async () => {
    const world = createWorld()
    const org = await world.organization()
    const other = await world.organization()
    const callback = await consent(await beginConnect(world, org), takeAccount())
    expect((await world.request('GET', callback)).status).toBe(200)
    expect((await world.request('GET', callback)).status).toBe(400)

    const fresh = new URL(await consent(await beginConnect(world, org), takeAccount()), 'http://inlet.test')
    const state = fresh.searchParams.get('state') ?? ''
    const withState = (text: string) =>
      `/oauth/google/callback?code=${fresh.searchParams.get('code')}&state=${encodeURIComponent(text)}`
    for (const forged of [state.replace(org.id, other.id), `${state}x`, `${org.id}.nonce.signature`, '']) {
      expect((await world.request('GET', withState(forged))).status).toBe(400)
    }
    world.clock.advance(11 * 60)
    expect((await world.request('GET', withState(state))).status).toBe(400)
  })

  it('refuses another Google account than the mailbox or the expected address, and leaves the mailbox as it was', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const again = await world.request(
      'GET',
      await consent(await beginConnect(world, org, { mailbox_id: mailbox.id }), takeAccount()),
    )
    expect(await read(again)).toMatchObject({ status: 409, body: { code: 'conflict' } })
    const unexpected = await world.request(
      'GET',
      await consent(await beginConnect(world, org, { email: takeAccount() }), takeAccount()),
    )
    expect(unexpected.status).toBe(409)
    const [rows] = await world.sql(
      q
        .select({ id: mailboxes.id, status: mailboxes.status })
        .from(mailboxes)
        .where(eq(mailboxes.org_id, org.id)),
    )
    expect(rows).toEqual([{ id: mailbox.id, status: 'connected' }])
  })

  it('takes the same account again as a reconnect of that mailbox', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    expect(await connectMailbox(world, org, mailbox.email)).toEqual(mailbox)
  })

  it('ends in needs_scopes when the permission was left out, and keeps no token', async () => {
    const world = createWorld()
    const org = await world.organization()
    const callback = await consent(await beginConnect(world, org), takeAccount(), { deny_scope: MODIFY })
    const response = await world.request('GET', callback)
    expect(response.status).toBe(200)
    const page = await response.text()
    expect(page).toContain('data-status="needs_scopes"')
    const id = /data-mailbox-id="([^"]+)"/.exec(page)?.[1] ?? ''
    expect(await world.ctx().mailboxes(id).status()).toMatchObject({ ok: true, value: { connected: false } })
  })

  it('tells the person when access was denied', async () => {
    const world = createWorld()
    const org = await world.organization()
    const callback = await consent(await beginConnect(world, org), takeAccount(), { error: 'access_denied' })
    expect(await read(await world.request('GET', callback))).toMatchObject({
      status: 400,
      body: { code: 'invalid' },
    })
  })

  it('sends the person on to the console when there is one', async () => {
    const world = createWorld({ FRONTEND_URL: 'http://console.test' })
    const org = await world.organization()
    const response = await world.request('GET', await consent(await beginConnect(world, org), takeAccount()))
    expect(response.status).toBe(302)
    expect(response.headers.get('location')).toMatch(
      /^http:\/\/console\.test\/mailboxes\/[0-9a-f-]{36}\?status=connected$/,
    )
  })
})

describe('disconnect', () => {
  it('stops the watch, revokes the grant, wipes the tokens and leaves the row', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const token = await operatorToken(world)
    const gone = await read(
      await world.request('POST', `/admin/clients/${org.id}/disconnect`, {
        token,
        body: { mailbox_id: mailbox.id },
      }),
    )
    expect(gone).toEqual({ status: 200, body: { disconnected: [mailbox.id] } })
    expect(await world.ctx().mailboxes(mailbox.id).status()).toEqual({
      ok: true,
      value: {
        connected: false,
        cursor: null,
        watch_expires_at: null,
        push: 'off',
        cooldown_until: null,
        alarm_at: null,
      },
    })
    const [rows] = await world.sql(
      q
        .select({ status: mailboxes.status, push: mailboxes.push })
        .from(mailboxes)
        .where(eq(mailboxes.id, mailbox.id)),
    )
    expect(rows).toEqual([{ status: 'disconnected', push: 'off' }])
    expect(await connectMailbox(world, org, mailbox.email)).toEqual(mailbox)
  })

  it('is 404 for a mailbox of another organization', async () => {
    const world = createWorld()
    const org = await world.organization()
    const other = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const response = await world.request('POST', `/admin/clients/${other.id}/disconnect`, {
      token: await operatorToken(world),
      body: { mailbox_id: mailbox.id },
    })
    expect(response.status).toBe(404)
  })
})

describe('the organization’s own mailboxes', () => {
  it('are listed, changed and disconnected by those who may, and hidden from other organizations', async () => {
    const world = createWorld()
    const org = await world.organization()
    const other = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const owner = await org.as('owner')
    const agent = await org.as('agent')
    const stranger = await other.as('owner')
    const path = `/api/v1/mailboxes/${mailbox.id}`
    const status = async (method: string, token: string | undefined, body?: unknown) =>
      (await world.request(method, path, { ...(token ? { token } : {}), body })).status
    expect(await read(await world.request('GET', '/api/v1/mailboxes', { token: stranger.token }))).toEqual({
      status: 200,
      body: { data: [], next_cursor: null },
    })
    expect(await status('GET', undefined)).toBe(401)
    expect(await status('GET', stranger.token)).toBe(404)
    expect(await status('PATCH', stranger.token, { auto_send: false })).toBe(404)
    expect(await status('DELETE', stranger.token)).toBe(404)
    expect((await world.request('POST', `${path}/sync`, { token: stranger.token })).status).toBe(404)
    expect(await status('PATCH', agent.token, { auto_send: false })).toBe(403)
    expect(await status('PATCH', owner.token, {})).toBe(400)
    expect(await status('PATCH', owner.token, { auto_send: 'no' })).toBe(400)
    expect(
      await read(
        await world.request('PATCH', path, { token: owner.token, body: { auto_send: false, daily_cap: 10 } }),
      ),
    ).toMatchObject({
      status: 200,
      body: { auto_send: false, daily_cap: 10, status: 'connected' },
    })
    expect(await read(await world.request('POST', `${path}/sync`, { token: agent.token }))).toEqual({
      status: 200,
      body: { ingested: 0, known: 0, dead: 0, recovered_gap: false },
    })
    expect(await status('DELETE', owner.token)).toBe(204)
    expect((await world.request('POST', `${path}/sync`, { token: agent.token })).status).toBe(409)
  })
})
