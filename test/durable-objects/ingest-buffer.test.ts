import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { events } from '#db/schema/platform'
import { createStore } from '#do/ingest-buffer/store'
import { addSeconds } from '#kernel/clock'
import { bufferOf, leadIntake, leadsOf, put, sealed, withoutAlarm } from '#test/intakes'
import { withoutDatabase } from '#test/outage'
import { createWorld, type TestOrganization, type World } from '#test/world'

const DAY = 86_400

const flush = (world: World, org: Pick<TestOrganization, 'id'>) =>
  world.ctx().ingest(org.id).flush(world.clock.now())
const stats = async (world: World, org: Pick<TestOrganization, 'id'>) => {
  const { depth, dead } = await world.ctx().ingest(org.id).stats()
  return { depth, dead }
}

describe('what is put into the buffer', () => {
  it('is kept once by its id, and refused with another body under it', async () => {
    const world = createWorld()
    const org = await world.organization()
    expect((await put(world, org, { key: 'a' })).outcome).toBe('kept')
    expect((await put(world, org, { key: 'a' })).outcome).toBe('known')
    expect((await put(world, org, { key: 'a', text: 'Another' })).outcome).toBe('key_reused')
    expect(await stats(world, org)).toEqual({ depth: 1, dead: 0 })
  })

  it('waits again when it had died, and is told from what the database has just refused', async () => {
    const world = createWorld()
    const org = await world.organization()
    const poison = { payload: { message: { channel: 'pigeon' } } }
    const { id } = await put(world, org, { key: 'a', ...poison })
    await flush(world, org)
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 1 })
    const again = await sealed(world.ctx(), await leadIntake(world, org, { key: 'a' }))
    const buffer = world.ctx().ingest(org.id)
    const refused = { code: '23514', where: null }
    expect(await buffer.put(org.id, { ...again, refused }, [], world.clock.now())).toEqual({
      outcome: 'known',
    })
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 1 })
    expect(await buffer.put(org.id, again, [], world.clock.now())).toEqual({ outcome: 'kept' })
    expect(await flush(world, org)).toMatchObject({ stored: 1, dead: 0, waiting: 0 })
    expect((await leadsOf(world, org)).map((lead) => lead.id)).toEqual([id])
  })

  it('is counted against its limits, which a new minute frees', async () => {
    const world = createWorld()
    const org = await world.organization()
    world.clock.set(new Date('2031-01-01T00:00:10Z'))
    const slots = [
      { key: 'form:one', limit: 2 },
      { key: 'form:off', limit: 0 },
    ]
    for (const key of ['a', 'b']) expect((await put(world, org, { key, slots })).outcome).toBe('kept')
    expect(await put(world, org, { key: 'c', slots })).toMatchObject({
      outcome: 'rate_limited',
      wait_seconds: 50,
    })
    // A caller who comes again is no more traffic.
    expect((await put(world, org, { key: 'a', slots })).outcome).toBe('known')
    world.clock.advance(50)
    expect((await put(world, org, { key: 'c', slots })).outcome).toBe('kept')
  })

  it('cannot be read from the object’s storage', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'a', text: 'Our budget is 90,000', email: 'ada@buyer.test' })
    const stored = await runInDurableObject(bufferOf(world, org.id), (_, state) =>
      JSON.stringify(
        ['items', 'parts', 'meta'].map((table) => state.storage.sql.exec(`select * from ${table}`).toArray()),
      ),
    )
    expect(stored).toContain('"state":"waiting"')
    expect(stored).not.toMatch(/budget|buyer\.test/)
  })

  it('is refused when it or the object is too large, before anything is written', async () => {
    const world = createWorld()
    const org = await world.organization()
    expect((await put(world, org, { key: 'huge', text: 'x'.repeat(3_500_000) })).outcome).toBe('oversized')
    await runInDurableObject(bufferOf(world, org.id), (object) => {
      object.maxBytes = 100_000
    })
    expect((await put(world, org, { key: 'large', text: 'x'.repeat(100_000) })).outcome).toBe('full')
    expect((await put(world, org, { key: 'small' })).outcome).toBe('kept')
    expect(await stats(world, org)).toEqual({ depth: 1, dead: 0 })
  })

  it('may be long: no value is over 1 MB, and it comes out whole', async () => {
    const world = createWorld()
    const org = await world.organization()
    const text = 'ä'.repeat(900_000)
    const { id, outcome } = await put(world, org, { key: 'long', text })
    expect(outcome).toBe('kept')
    const longest = await runInDurableObject(bufferOf(world, org.id), (_, state) =>
      state.storage.sql
        .exec<{ n: number; long: number }>('select count(*) as n, max(length(text)) as long from parts')
        .one(),
    )
    expect(longest.n).toBeGreaterThan(2)
    expect(longest.long).toBeLessThanOrEqual(1_000_000)
    const found = await world.ctx().ingest(org.id).read(id)
    expect((JSON.parse(found?.payload ?? '') as { message: { text: string } }).message.text === text).toBe(
      true,
    )
    expect(await flush(world, org)).toMatchObject({ stored: 1, waiting: 0 })
  })
})

describe('a flush', () => {
  it('stores 1,000 items of an outage once each, in batches, with their original times', async () => {
    const world = createWorld()
    const org = await world.organization()
    const start = new Date('2026-03-01T09:00:00.000Z')
    const keys = Array.from({ length: 1000 }, (_, i) => `k${i}`)
    const at = (i: number) => addSeconds(start, i * 0.05)
    await put(world, org, { key: 'k0', received_at: at(0), email: 'p0@buyer.test' })
    await withoutAlarm(world, org.id)
    for (let i = 0; i < keys.length; i += 50)
      await Promise.all(
        keys
          .slice(i, i + 50)
          .map((key, n) =>
            put(world, org, { key, received_at: at(i + n), email: `p${(i + n) % 40}@buyer.test` }),
          ),
      )
    // Not older than a week in the buffer's eyes.
    world.clock.set(addSeconds(start, 600))
    const before = await world.ctx().ingest(org.id).stats()
    expect(before).toMatchObject({ depth: 1000, dead: 0, oldest_received_at: start })
    expect(await flush(world, org)).toEqual({ stored: 1000, known: 0, dead: 0, waiting: 0, reached: true })
    const rows = await leadsOf(world, org)
    expect(rows.map(({ received_at }) => received_at.toISOString())).toEqual(
      keys.map((_, i) => at(i).toISOString()),
    )
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 0 })
  }, 60_000)

  it('takes who wants no more mail before the leads, which make mail', async () => {
    const world = createWorld()
    const org = await world.organization()
    const at = world.clock.now()
    await put(world, org, { key: 'a', received_at: at })
    await put(world, org, { key: 'b', received_at: addSeconds(at, 1), kind: 'unsubscribe' })
    const kinds = await runInDurableObject(bufferOf(world, org.id), (_, state) =>
      createStore(state.storage)
        .nextBatch(Date.now() + DAY * 1000, null)
        .map(({ kind }) => kind),
    )
    expect(kinds).toEqual(['unsubscribe'])
  })

  it('buries the one that the database refuses, with its reason, and stores the 99 others', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'k0' })
    await withoutAlarm(world, org.id)
    for (let i = 0; i < 100; i++)
      await put(world, org, {
        key: `k${i}`,
        ...(i === 42 ? { payload: { message: { channel: 'pigeon' } } } : {}),
      })
    expect(await flush(world, org)).toEqual({ stored: 99, known: 0, dead: 1, waiting: 0, reached: true })
    const [dead] = await world.ctx().ingest(org.id).list('dead', 10, null)
    expect(dead).toMatchObject({
      attempts: 1,
      last_error: { code: '23514', where: expect.stringMatching(/channel/) },
    })
    expect((await leadsOf(world, org)).length).toBe(99)
  })

  it('finds the one whose text makes Postgres refuse the whole statement', async () => {
    const world = createWorld()
    const org = await world.organization()
    for (let i = 0; i < 12; i++)
      await put(world, org, {
        key: `k${i}`,
        ...(i === 7 ? { payload: { custom: { note: 'nul \u0000 here' } } } : {}),
      })
    expect(await flush(world, org)).toEqual({ stored: 11, known: 0, dead: 1, waiting: 0, reached: true })
    const [dead] = await world.ctx().ingest(org.id).list('dead', 10, null)
    expect(dead?.last_error).toEqual({ code: 'invalid', where: null })
  })

  it('stores nothing twice when the object dies between the database’s commit and its own delete', async () => {
    const world = createWorld()
    const org = await world.organization()
    for (const key of ['a', 'b', 'c']) await put(world, org, { key })
    const lost = await withoutDatabase(world, () => flush(world, org), 'answer_lost')
    expect(lost).toEqual({ stored: 0, known: 0, dead: 0, waiting: 3, reached: false })
    expect((await leadsOf(world, org)).length).toBe(3)
    await abortAllDurableObjects()
    expect(await flush(world, org)).toEqual({ stored: 0, known: 3, dead: 0, waiting: 0, reached: true })
    expect((await leadsOf(world, org)).length).toBe(3)
  })

  it('asks a database that was away whether it is back before it sends it anything', async () => {
    const world = createWorld()
    const org = await world.organization()
    for (let i = 0; i < 5; i++) await put(world, org, { key: `k${i}` })
    await withoutDatabase(world, async (outage) => {
      expect(await flush(world, org)).toMatchObject({ waiting: 5, reached: false })
      outage.asked = 0
      expect(await flush(world, org)).toMatchObject({ waiting: 5, reached: false })
      expect(outage.asked).toBe(1)
    })
    expect(await flush(world, org)).toMatchObject({ stored: 5, waiting: 0, reached: true })
  })

  it('runs once at a time: who comes meanwhile shares it', async () => {
    const world = createWorld()
    const org = await world.organization()
    for (let i = 0; i < 30; i++) await put(world, org, { key: `k${i}` })
    const reports = await Promise.all([flush(world, org), flush(world, org), flush(world, org)])
    expect(reports.map(({ known }) => known)).toEqual([0, 0, 0])
    expect((await leadsOf(world, org)).length).toBe(30)
  })

  it('keeps what this version does not know, or no key opens, without holding up the rest', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'a', kind: 'from_tomorrow' })
    const other = createWorld({ ENCRYPTION_KEY: 'bb'.repeat(32) }).ctx()
    const foreign = await leadIntake(world, org, { key: 'b' })
    await world
      .ctx()
      .ingest(org.id)
      .put(org.id, await sealed(other, foreign), [], world.clock.now())
    await put(world, org, { key: 'c' })
    expect(await flush(world, org)).toEqual({ stored: 1, known: 0, dead: 0, waiting: 2, reached: true })
    const waiting = await world.ctx().ingest(org.id).list('waiting', 10, null)
    expect(new Set(waiting.map(({ last_error }) => last_error?.code))).toEqual(
      new Set(['unknown_kind', 'sealed_with_another_key']),
    )
    expect(await world.ctx().ingest(org.id).read(foreign.id)).toMatchObject({ payload: null })
  })

  it('does not let what no key opens stand before what can be stored, however much it is', async () => {
    const world = createWorld()
    const org = await world.organization()
    const before = createWorld({ ENCRYPTION_KEY: 'bb'.repeat(32) }).ctx()
    const buffer = world.ctx().ingest(org.id)
    // More than one batch.
    for (let n = 0; n < 110; n++) {
      const item = await sealed(before, await leadIntake(world, org, { key: `old-${n}` }))
      await buffer.put(org.id, item, [], world.clock.now())
    }
    await withoutAlarm(world, org.id)
    await flush(world, org)
    world.clock.advance(1)
    await put(world, org, { key: 'new' })
    expect(await flush(world, org)).toMatchObject({ stored: 1, waiting: 110 })
  })

  it('opens what the key that is being rotated out has sealed', async () => {
    const world = createWorld()
    const org = await world.organization()
    const previous = 'aa'.repeat(32)
    const intake = await leadIntake(world, org, { key: 'a' })
    const before = createWorld({ ENCRYPTION_KEY: previous }).ctx()
    await world
      .ctx()
      .ingest(org.id)
      .put(org.id, await sealed(before, intake), [], world.clock.now())
    await runInDurableObject(bufferOf(world, org.id), (object) => {
      Object.assign(object, { env: { ...world.env, ENCRYPTION_KEY_PREVIOUS: previous } })
    })
    expect(await flush(world, org)).toMatchObject({ stored: 1, waiting: 0 })
  })
})

describe('an alarm', () => {
  it('comes soon after an item, and twice is as good as once', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'a' })
    expect(await runDurableObjectAlarm(bufferOf(world, org.id))).toBe(true)
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 0 })
    // Nothing waits, so none is set; and one that fires all the same does nothing.
    expect(await runDurableObjectAlarm(bufferOf(world, org.id))).toBe(false)
    await runInDurableObject(bufferOf(world, org.id), (object) => object.alarm())
    expect((await leadsOf(world, org)).length).toBe(1)
  })

  it('comes again later and later while the database is away, but at least once a minute', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'a' })
    const waits: number[] = []
    await withoutDatabase(world, async () => {
      for (let i = 0; i < 9; i++) {
        expect(await runDurableObjectAlarm(bufferOf(world, org.id))).toBe(true)
        const at = await runInDurableObject(bufferOf(world, org.id), (_, state) => state.storage.getAlarm())
        waits.push(((at ?? 0) - Date.now()) / 1000)
      }
    })
    for (const [i, base] of [5, 10, 20, 40, 60, 60, 60, 60, 60].entries()) {
      expect(waits[i]).toBeGreaterThan(base * 0.8 - 2)
      expect(waits[i]).toBeLessThan(base * 1.2 + 2)
    }
    expect((await world.ctx().ingest(org.id).stats()).attempts).toBeGreaterThanOrEqual(1)
  })
})

describe('what could not be stored for 7 days', () => {
  const told = async (world: World, org: TestOrganization) => {
    const [rows] = await world.sql(
      q
        .select({ payload: events.payload })
        .from(events)
        .where(and(eq(events.org_id, org.id), eq(events.type, 'ingest.dead'))),
    )
    return rows.map(({ payload }) => payload)
  }

  it('is dead, told to the operator at most once a day, and forgotten after 14 more', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { id } = await put(world, org, { key: 'a' })
    world.clock.advance(7 * DAY - 60)
    await withoutDatabase(world, () => flush(world, org))
    expect(await stats(world, org)).toEqual({ depth: 1, dead: 0 })
    world.clock.advance(120)
    await withoutDatabase(world, () => flush(world, org))
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 1 })
    expect(await told(world, org)).toEqual([])
    for (let i = 0; i < 2; i++) await flush(world, org)
    expect(await told(world, org)).toEqual([{ count: '1', code: 'expired', item_ids: id }])
    world.clock.advance(14 * DAY - 300)
    await flush(world, org)
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 1 })
    world.clock.advance(600)
    await flush(world, org)
    expect(await stats(world, org)).toEqual({ depth: 0, dead: 0 })
    expect(await told(world, org)).toHaveLength(1)
  })

  it('is stored all the same when the database answers first', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'a' })
    world.clock.advance(8 * DAY)
    expect(await flush(world, org)).toEqual({ stored: 1, known: 0, dead: 0, waiting: 0, reached: true })
  })

  it('is told of once a day for an organization, whichever of its objects has it', async () => {
    const world = createWorld()
    const org = await world.organization()
    world.clock.set(new Date('2032-05-05T10:00:00Z'))
    const poison = { payload: { message: { channel: 'pigeon' } } }
    await put(world, org, { key: 'a', ...poison })
    const ctx = world.ctx()
    const shard = `${org.id}/3`
    await ctx
      .ingest(shard)
      .put(
        shard,
        await sealed(ctx, await leadIntake(world, org, { key: 'b', ...poison })),
        [],
        world.clock.now(),
      )
    await flush(world, org)
    await ctx.ingest(shard).flush(world.clock.now())
    expect(await told(world, org)).toHaveLength(1)
    world.clock.advance(DAY)
    for (const name of [org.id, shard]) await ctx.ingest(name).flush(world.clock.now())
    // The first is told of; only the other one is news.
    expect((await told(world, org)).map(({ count }) => count)).toEqual(['1', '1'])
  })
})
