import { eq, inArray } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { refresh_tokens, sessions } from '#db/schema/auth'
import { leads } from '#db/schema/leads'
import { dead_letters, events, idempotency_keys, rate_limits, sweep_runs } from '#db/schema/platform'
import { jobs } from '#registry/jobs'
import { sweeps } from '#registry/sweeps'
import { arrive } from '#test/arrivals'
import { withoutDatabase } from '#test/outage'
import { describeSecurity, operatorToken } from '#test/security'
import { createWorld, read, type World } from '#test/world'

interface Page<T> {
  data: T[]
  next_cursor: string | null
  total: number
}

const UNKNOWN = '/0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'

describe('GET /admin/leads', () => {
  it('lists the leads of all organizations with a total, and filters by organization and status', async () => {
    const world = createWorld()
    // Later than whatever other tests of the run have made.
    world.clock.advance(3650 * 86_400)
    const token = await operatorToken(world)
    const [one, two] = [await world.organization(), await world.organization()]
    const first = await arrive(world, one, { subject: 'First' })
    world.clock.advance(1)
    const second = await arrive(world, one, { subject: 'Second' })
    world.clock.advance(1)
    const third = await arrive(world, two, { subject: 'Third' })
    await world.sql(q.update(leads).set({ status: 'qualified' }).where(eq(leads.id, second.lead_id)))
    const list = async (query: string) =>
      (
        await read<Page<{ id: string; organization: { id: string } }>>(
          await world.request('GET', `/admin/leads?${query}`, { token }),
        )
      ).body

    const all = await list('limit=3')
    expect(all.data.map(({ id, organization }) => ({ id, organization: organization.id }))).toEqual([
      { id: third.lead_id, organization: two.id },
      { id: second.lead_id, organization: one.id },
      { id: first.lead_id, organization: one.id },
    ])
    expect(all.total).toBeGreaterThanOrEqual(3)

    const ofOne = await list(`organization_id=${one.id}`)
    expect({ ids: ofOne.data.map(({ id }) => id), total: ofOne.total }).toEqual({
      ids: [second.lead_id, first.lead_id],
      total: 2,
    })
    const qualified = await list(`organization_id=${one.id}&status_filter=qualified`)
    expect({ ids: qualified.data.map(({ id }) => id), total: qualified.total }).toEqual({
      ids: [second.lead_id],
      total: 1,
    })
    const byOffset = await list(`organization_id=${one.id}&limit=1&offset=1`)
    expect({ ids: byOffset.data.map(({ id }) => id), total: byOffset.total }).toEqual({
      ids: [first.lead_id],
      total: 2,
    })
    const page = await list(`organization_id=${one.id}&limit=1`)
    const next = await list(`organization_id=${one.id}&limit=1&cursor=${page.next_cursor}`)
    expect(next.data.map(({ id }) => id)).toEqual([first.lead_id])
  })

  it('refuses a status that there is not', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    expect((await world.request('GET', '/admin/leads?status_filter=open', { token })).status).toBe(400)
  })
})

describe('GET /admin/leads/{id}', () => {
  it('shows one lead with its organization', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const { lead_id } = await arrive(world, organization, { email: 'ada@buyer.test' })
    const response = await world.request('GET', `/admin/leads/${lead_id}`, {
      token: await operatorToken(world),
    })
    expect(response.headers.get('ETag')).toBe('"1"')
    expect((await read(response)).body).toMatchObject({
      id: lead_id,
      status: 'received',
      organization: { id: organization.id, slug: organization.slug },
      contact: { email: 'ada@buyer.test' },
    })
  })
})

describe('PATCH /admin/leads/{id}/status', () => {
  it("changes the status in the operator's name, with audit entry and event", async () => {
    const world = createWorld()
    const organization = await world.organization()
    const { lead_id } = await arrive(world, organization)
    const token = await operatorToken(world)
    const { status, body } = await read(
      await world.request('PATCH', `/admin/leads/${lead_id}/status?new_status=qualified`, { token }),
    )
    expect({ status, lead: body['status'] }).toEqual({ status: 200, lead: 'qualified' })
    const [audit, written] = await world.sql(
      q.select().from(audit_logs).where(eq(audit_logs.entity_id, lead_id)),
      q.select().from(events).where(eq(events.org_id, organization.id)),
    )
    expect(
      audit
        .filter(({ action }) => action === 'lead.updated')
        .map(({ actor_type, actor_id, fields }) => ({ actor_type, actor_id, fields })),
    ).toEqual([{ actor_type: 'operator', actor_id: 'operator', fields: ['status'] }])
    expect(written.filter(({ type }) => type === 'lead.updated').map(({ payload }) => payload)).toEqual([
      { lead_id },
    ])
  })

  it('refuses a status that there is not, and an If-Match of another version', async () => {
    const world = createWorld()
    const { lead_id } = await arrive(world, await world.organization())
    const token = await operatorToken(world)
    const patch = (query: string, headers = {}) =>
      world.request('PATCH', `/admin/leads/${lead_id}/status${query}`, { token, headers })
    expect((await patch('?new_status=open')).status).toBe(400)
    expect((await patch('')).status).toBe(400)
    expect((await patch('?new_status=won', { 'If-Match': '"7"' })).status).toBe(412)
    expect((await patch('?new_status=won', { 'If-Match': '"1"' })).status).toBe(200)
  })
})

describe('/admin/scheduler/jobs', () => {
  interface Scheduled {
    name: string
    cron: string
    status: string
    last_run_at: string | null
    duration_ms: number | null
    result: object | null
    error: string | null
    next_run_at: string | null
  }
  const list = async (world: World) =>
    (
      await read<Page<Scheduled>>(
        await world.request('GET', '/admin/scheduler/jobs', { token: await operatorToken(world) }),
      )
    ).body.data

  it('lists every sweep of the registry with its next run', async () => {
    const world = createWorld()
    const listed = await list(world)
    expect(listed.map(({ name, cron }) => ({ name, cron }))).toEqual(
      sweeps.map(({ name, cron }) => ({ name, cron })),
    )
    for (const { next_run_at } of listed) expect(Date.parse(next_run_at ?? '')).toBeGreaterThan(Date.now())
  })

  it('runs one now and answers how it went', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const { status, body } = await read(
      await world.request('POST', '/admin/scheduler/jobs/outbox-relay/run', { token }),
    )
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        name: 'outbox-relay',
        cron: '* * * * *',
        status: 'succeeded',
        last_run_at: expect.any(String),
        duration_ms: expect.any(Number),
        result: { relayed: expect.any(Number) },
        error: null,
        next_run_at: expect.any(String),
      },
    })
    expect((await list(world)).find(({ name }) => name === 'outbox-relay')).toMatchObject({
      status: 'succeeded',
    })
  })

  it('refuses to run one that is running, until it has been dead for 15 minutes', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const started_at = new Date()
    await world.sql(
      q.delete(sweep_runs).where(eq(sweep_runs.name, 'audit-chain')),
      q
        .insert(sweep_runs)
        .values({ name: 'audit-chain', scheduled_at: started_at, cron: '*/5 * * * *', started_at }),
    )
    const run = () => world.request('POST', '/admin/scheduler/jobs/audit-chain/run', { token })
    expect((await run()).status).toBe(409)
    world.clock.advance(16 * 60)
    expect((await list(world)).find(({ name }) => name === 'audit-chain')).toMatchObject({
      status: 'failed',
      error: 'died',
    })
    expect((await run()).status).toBe(200)
  })

  it('answers 404 for a sweep that there is not', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    expect((await world.request('POST', '/admin/scheduler/jobs/unknown/run', { token })).status).toBe(404)
  })
})

async function bury(world: World, given: Partial<typeof dead_letters.$inferInsert> = {}): Promise<string> {
  const id = crypto.randomUUID()
  await world.sql(
    q.insert(dead_letters).values({
      queue: 'events',
      job: 'relay-events',
      payload: { event_ids: [] },
      failure: { kind: 'permanent', code: 'test', message: 'It gave up.' },
      attempts: 10,
      ...given,
      id,
    }),
  )
  return id
}

describe('/admin/dead-letters', () => {
  it('lists them latest first, filtered, with whether a retry can help', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const queue = `test-${crypto.randomUUID().slice(0, 8)}`
    const runnable = await bury(world, { queue })
    const poison = await bury(world, { queue, job: 'unknown', payload: { unreadable: '"x"' } })
    const { status, body } = await read<Page<{ id: string; retryable: boolean }>>(
      await world.request('GET', `/admin/dead-letters?queue=${queue}&retried=false`, { token }),
    )
    expect({ status, total: body.total }).toEqual({ status: 200, total: 2 })
    expect(new Map(body.data.map(({ id, retryable }) => [id, retryable]))).toEqual(
      new Map([
        [runnable, true],
        [poison, false],
      ]),
    )
  })

  it('hands the job to its queue once more, in the name of its tick, and records it', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const organization = await world.organization()
    const [job] = jobs
    const as_of = new Date('2026-11-20T09:30:00.000Z')
    const id = await bury(world, { org_id: organization.id, as_of })
    const { status, body } = await read(
      await world.request('POST', `/admin/dead-letters/${id}/retry`, { token }),
    )
    expect({ status, retried_at: body['retried_at'], retryable: body['retryable'] }).toEqual({
      status: 200,
      retried_at: expect.any(String),
      retryable: false,
    })
    expect(world.queued.map((message) => ({ queue: message.queue, body: message.body }))).toEqual([
      {
        queue: job?.queue,
        body: { job: job?.name, payload: { event_ids: [] }, as_of: '2026-11-20T09:30:00.000Z' },
      },
    ])
    expect(await world.drain()).toBe(1)
    const [audit] = await world.sql(q.select().from(audit_logs).where(eq(audit_logs.entity_id, id)))
    expect(audit.map(({ action, actor_type }) => ({ action, actor_type }))).toEqual([
      { action: 'dead_letter.retried', actor_type: 'operator' },
    ])
  })

  it('retries a letter once: what fails again is a new letter', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const id = await bury(world)
    const retry = () => world.request('POST', `/admin/dead-letters/${id}/retry`, { token })
    expect((await retry()).status).toBe(200)
    expect((await retry()).status).toBe(409)
    expect(world.queued).toHaveLength(1)
  })

  it('refuses what no job could run: 422', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    for (const given of [{ job: 'unknown' }, { payload: { event_ids: ['no id'] } }]) {
      const id = await bury(world, given)
      expect((await world.request('POST', `/admin/dead-letters/${id}/retry`, { token })).status).toBe(422)
    }
    expect(world.queued).toEqual([])
  })

  it('stays retryable when the queue takes no message', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const id = await bury(world)
    const queue = world.env.EVENTS_QUEUE
    Object.assign(world.env, {
      EVENTS_QUEUE: { ...queue, sendBatch: () => Promise.reject(new Error('Too Many Requests')) },
    })
    expect((await world.request('POST', `/admin/dead-letters/${id}/retry`, { token })).status).toBe(503)
    const [[letter]] = await world.sql(q.select().from(dead_letters).where(eq(dead_letters.id, id)))
    expect(letter?.retried_at).toBeNull()
  })
})

describe('GET /admin/health', () => {
  it('counts what waits and what gave up, and names late sweeps', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    await bury(world)
    const { status, body } = await read<{ checks: Record<string, { status: string; counts: object }> }>(
      await world.request('GET', '/admin/health', { token }),
    )
    expect([200, 503]).toContain(status)
    expect(Object.keys(body.checks)).toEqual([
      'database',
      'outbox',
      'sends',
      'drafts',
      'mailboxes',
      'dead_letters',
      'ingest',
      'sweeps',
    ])
    expect(body.checks['dead_letters']).toEqual({
      status: 'warning',
      latency_ms: expect.any(Number),
      counts: { dead_letters_open: expect.any(Number) },
    })
  })

  it('shows what waits to be stored while the database is away', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const { status, body } = await withoutDatabase(world, async () =>
      read(await world.request('GET', '/admin/health', { token })),
    )
    expect({ status, body }).toEqual({
      status: 503,
      body: {
        status: 'failing',
        checks: {
          database: { status: 'failing', latency_ms: expect.any(Number), counts: {} },
          ingest: { status: expect.any(String), latency_ms: expect.any(Number), counts: expect.any(Object) },
        },
        late_sweeps: [],
        checked_at: expect.any(String),
      },
    })
  })

  it('answers 503 while the outbox stands still', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const organization = await world.organization()
    const old = new Date(Date.now() - 3600_000)
    const event = {
      org_id: organization.id,
      type: 'lead.created' as const,
      payload: {},
      as_of: old,
      created_at: old,
    }
    const id = crypto.randomUUID()
    await world.sql(q.insert(events).values({ ...event, id }))
    const { status, body } = await read<{ status: string; checks: { outbox: { status: string } } }>(
      await world.request('GET', '/admin/health', { token }),
    )
    await world.sql(q.update(events).set({ dispatched_at: new Date() }).where(eq(events.id, id)))
    expect({ status, is: body.status, outbox: body.checks.outbox.status }).toEqual({
      status: 503,
      is: 'failing',
      outbox: 'failing',
    })
  })
})

describe('the sweep trim-leftovers', () => {
  it('removes what nobody needs any more, and nothing else', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const { actor } = await organization.as('owner')
    const now = new Date()
    const ago = (days: number) => new Date(now.getTime() - days * 86_400_000)
    const name = `test-${crypto.randomUUID().slice(0, 8)}`
    const id = () => crypto.randomUUID()
    const kept = {
      event: id(),
      waiting: id(),
      letter: await bury(world, { created_at: ago(13) }),
      session: id(),
    }
    const gone = { event: id(), letter: await bury(world, { created_at: ago(15) }), session: id() }
    const retried = await bury(world, { created_at: ago(15), retried_at: ago(1) })
    const event = { org_id: organization.id, type: 'lead.created' as const, payload: {}, as_of: now }
    const session = { org_id: organization.id, user_id: actor.user_id }
    const token = { org_id: organization.id, session_id: kept.session }
    const key = { scope: name, request_hash: 'x', state: 'done' as const, lease_until: now }
    await world.sql(
      q.insert(events).values([
        { ...event, id: kept.event, created_at: ago(29), dispatched_at: ago(29) },
        { ...event, id: kept.waiting, created_at: ago(31), dispatched_at: null },
        { ...event, id: gone.event, created_at: ago(31), dispatched_at: ago(31) },
      ]),
      q.insert(sweep_runs).values([
        { name, scheduled_at: ago(31), cron: '0 3 * * *', started_at: ago(31) },
        { name, scheduled_at: ago(29), cron: '0 3 * * *', started_at: ago(29) },
      ]),
      q.insert(idempotency_keys).values([
        { ...key, key: 'kept', expires_at: ago(-1) },
        { ...key, key: 'gone', expires_at: ago(1) },
      ]),
      q.insert(rate_limits).values([
        { key: name, window_at: ago(2), count: 1 },
        { key: name, window_at: now, count: 1 },
      ]),
      q.insert(sessions).values([
        { ...session, id: kept.session, absolute_expires_at: ago(-1) },
        { ...session, id: gone.session, absolute_expires_at: ago(31) },
      ]),
      q.insert(refresh_tokens).values([
        { ...token, hash: `${name}-kept`, expires_at: ago(-1) },
        { ...token, hash: `${name}-gone`, expires_at: ago(2) },
      ]),
    )
    await world.tick('0 3 * * *')
    const letters = [kept.letter, gone.letter, retried]
    const [foundEvents, foundLetters, runs, keys, windows, foundSessions, tokens] = await world.sql(
      q.select().from(events).where(eq(events.org_id, organization.id)),
      q.select().from(dead_letters).where(inArray(dead_letters.id, letters)),
      q.select().from(sweep_runs).where(eq(sweep_runs.name, name)),
      q.select().from(idempotency_keys).where(eq(idempotency_keys.scope, name)),
      q.select().from(rate_limits).where(eq(rate_limits.key, name)),
      q.select().from(sessions).where(eq(sessions.org_id, organization.id)),
      q.select().from(refresh_tokens).where(eq(refresh_tokens.org_id, organization.id)),
    )
    expect(new Set(foundEvents.map((row) => row.id))).toEqual(new Set([kept.event, kept.waiting]))
    expect(new Set(foundLetters.map((row) => row.id))).toEqual(new Set([kept.letter, retried]))
    expect(runs.map((row) => row.scheduled_at)).toEqual([ago(29)])
    expect(keys.map((row) => row.key)).toEqual(['kept'])
    expect(windows.map((row) => row.window_at)).toEqual([now])
    expect(foundSessions.map((row) => row.id)).toEqual([kept.session])
    expect(tokens.map((row) => row.hash)).toEqual([`${name}-kept`])
  })
})

describeSecurity({ method: 'GET', path: '/admin/leads', who: 'operator' })
describeSecurity({
  method: 'GET',
  path: async (world, organization) => `/admin/leads/${(await arrive(world, organization)).lead_id}`,
  who: 'operator',
})
describeSecurity({
  method: 'PATCH',
  path: async (world, organization) =>
    `/admin/leads/${(await arrive(world, organization)).lead_id}/status?new_status=won`,
  who: 'operator',
})
describeSecurity({ method: 'GET', path: '/admin/scheduler/jobs', who: 'operator' })
describeSecurity({ method: 'POST', path: '/admin/scheduler/jobs/audit-chain/run', who: 'operator' })
describeSecurity({ method: 'GET', path: '/admin/dead-letters', who: 'operator' })
describeSecurity({ method: 'POST', path: () => `/admin/dead-letters${UNKNOWN}/retry`, who: 'operator' })
describeSecurity({ method: 'GET', path: '/admin/health', who: 'operator' })
