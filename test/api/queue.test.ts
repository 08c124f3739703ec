// The operator's view of what is kept. `directory` and buffers are the installation's, so each test begins with empty ones.
import { eq } from 'drizzle-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { messages } from '#db/schema/conversations'
import { type BufferState, bufferStates } from '#kernel/intake'
import { UNROUTED } from '#platform/ingest-buffer'
import { leadIntake, leadsOf, post, put, sealed, withoutAlarm } from '#test/intakes'
import { withoutDatabase } from '#test/outage'
import { describeSecurity, operatorToken } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

let world: World
let token: string
let org: TestOrganization

const ask = (method: string, path: string, body?: unknown) =>
  world.request(method, `/admin/queue${path}`, { token, ...(body === undefined ? {} : { body }) })

beforeEach(async () => {
  world = createWorld()
  token = await operatorToken(world)
  org = await world.organization()
  const { directory, ingest } = world.ctx()
  for (const name of await directory.busyBuffers()) {
    const { depth, dead } = await ingest(name).stats()
    await ingest(name).clear('waiting', depth, 1)
    await ingest(name).clear('dead', dead, 1)
    await directory.noteBuffer(name, false)
  }
})

const pigeon = { payload: { message: { channel: 'pigeon', text: 'What do 10 seats cost?' } } }
const auditOf = async () => {
  const [rows] = await world.sql(
    q
      .select({
        actor: audit_logs.actor_id,
        action: audit_logs.action,
        id: audit_logs.entity_id,
        fields: audit_logs.fields,
      })
      .from(audit_logs)
      .where(eq(audit_logs.org_id, org.id))
      .orderBy(audit_logs.id),
  )
  return rows.filter(({ action }) => action.startsWith('ingest'))
}
/** The directory hears of a buffer behind the put. */
const known = () =>
  expect.poll(async () => (await world.ctx().directory.busyBuffers()).includes(org.id)).toBe(true)

describe('GET /admin/queue/stats', () => {
  it('tells depth, age, dead and attempts, going up and down, also while the database is away', async () => {
    const empty = {
      depth: 0,
      oldest_age_seconds: 0,
      dead: 0,
      attempts: 0,
      bytes: 0,
      buffers: 0,
      unreachable: 0,
      breaker: 'closed',
    }
    expect(await read(await ask('GET', '/stats'))).toEqual({ status: 200, body: empty })
    await withoutDatabase(world, async () => {
      await post(world, world.ctx(), await leadIntake(world, org, { key: 'a' }))
      world.clock.advance(90)
      await post(world, world.ctx(), await leadIntake(world, org, { key: 'b' }))
      const { body } = await read(await ask('GET', '/stats'))
      expect(body).toMatchObject({ depth: 2, dead: 0, buffers: 1, unreachable: 0 })
      expect(body['oldest_age_seconds']).toBeGreaterThanOrEqual(90)
      expect(body['breaker']).not.toBe('closed')
      const { body: flushed } = await read(await ask('POST', '/flush'))
      expect(flushed).toMatchObject({ stored: 0, waiting: 2 })
      expect((await read(await ask('GET', '/stats'))).body).toMatchObject({ depth: 2, attempts: 1 })
    })
    expect(await read(await ask('POST', '/flush'))).toEqual({
      status: 200,
      body: { buffers: 1, stored: 2, known: 0, dead: 0, waiting: 0, unreachable: 0 },
    })
    expect((await read(await ask('GET', '/stats'))).body).toMatchObject({
      depth: 0,
      oldest_age_seconds: 0,
      bytes: 0,
    })
    expect((await leadsOf(world, org)).length).toBe(2)
  })

  it('says of a buffer that does not answer that it is not counted, and of a directory that it is unavailable', async () => {
    await put(world, org, { key: 'a' })
    await known()
    const { INGEST_BUFFER, DIRECTORY } = world.env
    const dead = () => Promise.reject(new Error('overloaded'))
    Object.assign(world.env, {
      INGEST_BUFFER: { idFromName: () => ({}), get: () => ({ stats: dead, list: dead }) },
    })
    expect((await read(await ask('GET', '/stats'))).body).toMatchObject({
      depth: 0,
      buffers: 0,
      unreachable: 1,
    })
    expect((await read(await ask('GET', '/items'))).status).toBe(503)
    expect((await read(await ask('DELETE', '/clear?confirm=0'))).status).toBe(503)
    Object.assign(world.env, {
      INGEST_BUFFER,
      DIRECTORY: { idFromName: () => ({}), get: () => ({ busyBuffers: dead }) },
    })
    for (const path of ['/stats', '/items', `/items/${crypto.randomUUID()}`])
      expect((await read(await ask('GET', path))).body).toMatchObject({ status: 503, code: 'unavailable' })
    Object.assign(world.env, { DIRECTORY })
  })
})

describe('GET /admin/queue/items', () => {
  it('lists what waits and what died in pages, with nothing of what it says', async () => {
    const at = (minute: number) => new Date(`2026-11-01T10:0${minute}:00.000Z`)
    const ids: string[] = []
    for (let i = 0; i < 3; i++)
      ids.push((await put(world, org, { key: `k${i}`, received_at: at(i), ...pigeon })).id)
    const other = await world.organization()
    const ctx = world.ctx()
    await world.ctx().ingest(org.id).flush(world.clock.now())
    await ctx
      .ingest(other.id)
      .put(
        other.id,
        await sealed(ctx, await leadIntake(world, other, { key: 'x', received_at: at(5), kind: 'later' })),
        [],
        world.clock.now(),
      )
    await withoutAlarm(world, other.id)
    await expect.poll(async () => (await world.ctx().directory.busyBuffers()).length).toBe(2)
    const first = await read<{ data: { id: string }[]; next_cursor: string }>(
      await ask('GET', '/items?limit=3'),
    )
    expect(first.body.data.map(({ id }) => id).slice(1)).toEqual([ids[2], ids[1]])
    expect(first.body.data[1]).toEqual({
      id: ids[2],
      kind: 'inbound',
      destination: { org_id: org.id },
      state: 'dead',
      received_at: at(2).toISOString(),
      attempts: 1,
      next_attempt_at: null,
      last_error: { code: '23514', where: expect.stringContaining('channel') },
      dead_at: expect.any(String),
      bytes: expect.any(Number),
    })
    const rest = await read<{ data: { id: string }[]; next_cursor: null }>(
      await ask('GET', `/items?limit=3&cursor=${first.body.next_cursor}`),
    )
    expect(rest.body).toMatchObject({ data: [{ id: ids[0] }], next_cursor: null })
    const byState = async (state: BufferState) =>
      (await read<{ data: unknown[] }>(await ask('GET', `/items?state=${state}`))).body.data.length
    expect(await Promise.all(bufferStates.map(byState))).toEqual([1, 3])
    expect(JSON.stringify([first, rest])).not.toMatch(/buyer\.test|seats|pigeon/)
  })

  it.each(['limit=0', 'limit=201', 'state=gone', 'cursor=nonsense'])('refuses %s', async (query) => {
    expect((await read(await ask('GET', `/items?${query}`))).body).toMatchObject({
      status: 400,
      code: 'invalid',
    })
  })
})

describe('GET /admin/queue/items/{id}', () => {
  it('opens one for repair, and is on record', async () => {
    const { id } = await put(world, org, { key: 'a', ...pigeon })
    await known()
    const { status, body } = await read(await ask('GET', `/items/${id}`))
    expect({ status, body }).toEqual({
      status: 200,
      body: expect.objectContaining({
        id,
        state: 'waiting',
        payload: expect.objectContaining({
          lead_key: 'a',
          contact: { email: 'a@buyer.test', email_norm: 'a@buyer.test', name: null },
          message: pigeon.payload.message,
        }) as unknown,
      }) as unknown,
    })
    expect(await auditOf()).toEqual([{ actor: 'operator', action: 'ingest_item.read', id, fields: [] }])
  })

  it('shows that no key of ours opens it, instead of what it says', async () => {
    const stranger = createWorld({ ENCRYPTION_KEY: 'cc'.repeat(32) }).ctx()
    const intake = await leadIntake(world, org, { key: 'a' })
    await world
      .ctx()
      .ingest(org.id)
      .put(org.id, await sealed(stranger, intake), [], world.clock.now())
    await known()
    expect((await read(await ask('GET', `/items/${intake.id}`))).body).toMatchObject({
      id: intake.id,
      payload: null,
    })
    expect((await read(await ask('POST', `/items/${intake.id}/replay`))).body).toMatchObject({
      status: 422,
      code: 'unprocessable',
    })
  })
})

describe('POST /admin/queue/items/{id}/replay', () => {
  it('stores a dead one that was repaired by a merge patch, with its own id and time', async () => {
    const received_at = new Date('2026-11-01T10:00:00.000Z')
    const { id } = await put(world, org, { key: 'a', received_at, ...pigeon })
    await known()
    await ask('POST', '/flush')
    expect(await read(await ask('POST', `/items/${id}/replay`))).toEqual({
      status: 200,
      body: { id, outcome: 'dead', error: { code: '23514', where: expect.stringContaining('channel') } },
    })
    const patch = { message: { channel: 'form', subject: 'Repaired' } }
    expect(await read(await ask('POST', `/items/${id}/replay`, { patch }))).toEqual({
      status: 200,
      body: { id, outcome: 'stored', error: null },
    })
    expect(await leadsOf(world, org)).toEqual([{ id, received_at }])
    const [rows] = await world.sql(
      q
        .select({ subject: messages.subject, text: messages.text })
        .from(messages)
        .where(eq(messages.org_id, org.id)),
    )
    expect(rows).toEqual([{ subject: 'Repaired', text: 'What do 10 seats cost?' }])
    expect(await auditOf()).toEqual([
      { actor: 'operator', action: 'ingest_item.replayed', id, fields: [] },
      { actor: 'operator', action: 'ingest_item.replayed', id, fields: ['message'] },
    ])
    expect((await ask('POST', `/items/${id}/replay`)).status).toBe(404)
  })

  it('sends one that nobody could place where a person says that it belongs', async () => {
    const ctx = world.ctx()
    const intake = await leadIntake(
      world,
      { id: crypto.randomUUID() },
      { key: 'a', destination: { slug: 'nobody-here' } },
    )
    await ctx.ingest(UNROUTED).put(UNROUTED, await sealed(ctx, intake), [], world.clock.now())
    await ctx.ingest(UNROUTED).flush(world.clock.now())
    await expect.poll(() => ctx.directory.busyBuffers()).toContain(UNROUTED)
    const destination = { org_id: org.id }
    expect((await read(await ask('POST', `/items/${intake.id}/replay`, { destination }))).body).toEqual({
      id: intake.id,
      outcome: 'stored',
      error: null,
    })
    expect(await leadsOf(world, org)).toEqual([{ id: intake.id, received_at: intake.received_at }])
  })

  it('says that it waits while the database is away, and touches none of the others', async () => {
    const { id } = await put(world, org, { key: 'a' })
    await put(world, org, { key: 'b' })
    await known()
    await withoutDatabase(world, async () => {
      expect((await read(await ask('POST', `/items/${id}/replay`))).body).toMatchObject({
        id,
        outcome: 'waiting',
      })
    })
    expect((await read(await ask('POST', `/items/${id}/replay`))).body).toMatchObject({
      id,
      outcome: 'stored',
    })
    expect((await leadsOf(world, org)).map((lead) => lead.id)).toEqual([id])
  })

  it.each([
    { patch: [] },
    { patch: 'text' },
    { destination: { org_id: 'none' } },
    { destination: { org_id: crypto.randomUUID(), slug: 'both' } },
    { unknown: true },
  ])('refuses %j', async (body) => {
    const { id } = await put(world, org, { key: 'a' })
    expect((await read(await ask('POST', `/items/${id}/replay`, body))).body).toMatchObject({
      status: 400,
      code: 'invalid',
    })
  })
})

describe('DELETE /admin/queue/clear', () => {
  it('removes what waits only when its number is confirmed, and answers what it was', async () => {
    const { id } = await put(world, org, { key: 'a' })
    await put(world, org, { key: 'b', ...pigeon })
    await known()
    await withoutDatabase(world, () => world.ctx().ingest(org.id).flush(world.clock.now()))
    for (const confirm of ['', '?confirm=x', '?confirm=-1'])
      expect((await read(await ask('DELETE', `/clear${confirm}`))).status).toBe(400)
    for (const confirm of [0, 1, 3])
      expect((await read(await ask('DELETE', `/clear?confirm=${confirm}`))).body).toMatchObject({
        status: 409,
        code: 'conflict',
        detail: 'There are 2 of them just now. Confirm that number to remove them.',
      })
    await ask('POST', '/flush')
    await put(world, org, { key: 'c' })
    // The dead one is removed by its own number.
    const cleared = await read<{ items: { state: string }[] }>(await ask('DELETE', '/clear?confirm=1'))
    expect(cleared.body).toMatchObject({ removed: 1, left: 0, items: [{ state: 'waiting' }] })
    expect((await read(await ask('GET', '/stats'))).body).toMatchObject({ depth: 0, dead: 1 })
    expect((await read(await ask('DELETE', '/clear?confirm=1&state=dead'))).body).toMatchObject({
      removed: 1,
    })
    expect((await read(await ask('GET', '/stats'))).body).toMatchObject({ depth: 0, dead: 0, buffers: 0 })
    expect((await auditOf()).map(({ action }) => action)).toEqual(['ingest.cleared', 'ingest.cleared'])
    expect((await leadsOf(world, org)).map((lead) => lead.id)).toEqual([id])
  })
})

describe('GET /admin/health', () => {
  const check = async () =>
    (
      await read<{ checks: { ingest: { status: string; counts: object } } }>(
        await world.request('GET', '/admin/health', { token }),
      )
    ).body.checks.ingest

  it('warns when something died in a buffer, or waits for more than 10 minutes', async () => {
    const counts = { depth: 0, dead: 0, oldest_age_seconds: 0, unreachable: 0 }
    expect(await check()).toMatchObject({ status: 'ok', counts })
    await put(world, org, { key: 'a', kind: 'later' })
    await known()
    expect(await check()).toMatchObject({ status: 'ok', counts: { depth: 1, dead: 0 } })
    world.clock.advance(601)
    expect(await check()).toMatchObject({ status: 'warning', counts: { depth: 1, dead: 0 } })
    await ask('DELETE', '/clear?confirm=1')
    await put(world, org, { key: 'b', ...pigeon })
    await ask('POST', '/flush')
    expect(await check()).toMatchObject({ status: 'warning', counts: { depth: 0, dead: 1 } })
  })
})

describeSecurity({ method: 'GET', path: '/admin/queue/stats', who: 'operator' })
describeSecurity({ method: 'POST', path: '/admin/queue/flush', who: 'operator' })
describeSecurity({ method: 'DELETE', path: '/admin/queue/clear?confirm=0', who: 'operator' })
describeSecurity({ method: 'GET', path: '/admin/queue/items', who: 'operator' })
describeSecurity({
  method: 'GET',
  path: async (here, organization) =>
    `/admin/queue/items/${(await put(here, organization, { key: 'a' })).id}`,
  who: 'operator',
})
