// What happens between a request and the database while that is away.
import { listDurableObjectIds, runInDurableObject } from 'cloudflare:test'
import { eq } from 'drizzle-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { organizations } from '#db/schema/organizations'
import { dead_letters, events } from '#db/schema/platform'
import { DatabaseError } from '#db/client'
import { AppError } from '#kernel/errors'
import { addSeconds } from '#kernel/clock'
import { breakerState } from '#platform/breaker'
import { findInDirectory } from '#platform/directory'
import { UNROUTED } from '#platform/ingest-buffer'
import { accept } from '#platform/intake'
import { leadIntake, leadsOf, post, put, sealed, withoutAlarm } from '#test/intakes'
import { withoutDatabase } from '#test/outage'
import { createWorld, type TestOrganization, type World } from '#test/world'

const depthOf = async (world: World, name: string) => (await world.ctx().ingest(name).stats()).depth

/** Waits for what was started behind a request. */
function watched(world: World) {
  const behind: Promise<unknown>[] = []
  const ctx = world.ctx({ waitUntil: (work) => void behind.push(work) })
  return { ctx, behind, settled: () => Promise.all(behind.splice(0)) }
}

function unreachable(world: World) {
  const broken = {
    idFromName: () => ({}),
    get: () => ({ put: () => Promise.reject(new Error('overloaded')) }),
  }
  const { INGEST_BUFFER } = world.env
  Object.assign(world.env, { INGEST_BUFFER: broken })
  return () => Object.assign(world.env, { INGEST_BUFFER })
}

// What an earlier test has left would try to be stored in the middle of another one's outage.
beforeEach(async () => {
  const { INGEST_BUFFER } = createWorld().env
  for (const id of await listDurableObjectIds(INGEST_BUFFER))
    await runInDurableObject(INGEST_BUFFER.get(id), (_, state) => state.storage.deleteAlarm())
})

describe('the breaker', () => {
  it('opens after one time-out that one request pays for, and no other asks the database', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { ctx, behind } = watched(world)
    await withoutDatabase(
      world,
      async () => {
        const started = Date.now()
        expect(await post(world, ctx, await leadIntake(world, org, { key: 'a' }))).toEqual({
          outcome: 'queued',
        })
        const waited = Date.now() - started
        expect(waited).toBeGreaterThan(2000)
        expect(waited).toBeLessThan(6000)
        expect(breakerState(ctx)).toBe('open')
        await withoutAlarm(world, org.id)
        const asked = ctx.meter.round_trips
        for (const key of ['b', 'c', 'd'])
          expect(await post(world, ctx, await leadIntake(world, org, { key }))).toEqual({ outcome: 'queued' })
        expect(ctx.meter.round_trips).toBe(asked)
        expect(behind).toEqual([])
      },
      'silent',
    )
  })

  it('opens at once in an isolate that starts during an outage, of which the buffer knows', async () => {
    const world = createWorld()
    const org = await world.organization()
    await put(world, org, { key: 'before' })
    await withoutDatabase(world, () => world.ctx().ingest(org.id).flush(world.clock.now()))
    const started = createWorld()
    const { ctx, settled } = watched(started)
    await withoutDatabase(
      world,
      async () => {
        const at = Date.now()
        const send = async (key: string) => post(started, ctx, await leadIntake(started, org, { key }))
        expect(await send('a')).toEqual({ outcome: 'queued' })
        expect(Date.now() - at).toBeLessThan(2000)
        expect(breakerState(ctx)).toBe('open')
        await settled()
      },
      'silent',
    )
    expect(await world.ctx().ingest(org.id).flush(world.clock.now())).toMatchObject({ stored: 2 })
    expect(await world.ctx().ingest(org.id).isAway()).toBe(false)
  })

  it('waits for a slow database of which no buffer knows anything bad, and for one that was just heard of', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { ctx } = watched(world)
    const slowly = async (ms: number, key: string) => {
      const intake = await leadIntake(world, org, { key })
      const store = () => new Promise<string>((resolve) => setTimeout(resolve, ms, 'late'))
      return accept(ctx, store, async () => intake)
    }
    expect(await slowly(400, 'a')).toEqual({ outcome: 'stored', value: 'late' })
    await put(world, org, { key: 'before' })
    await withoutDatabase(world, () => world.ctx().ingest(org.id).flush(world.clock.now()))
    expect(await slowly(400, 'b')).toEqual({ outcome: 'stored', value: 'late' })
    expect(breakerState(ctx)).toBe('closed')
  })

  it('sends one probe at a time, behind a request that does not wait for it, less and less often', async () => {
    const world = createWorld()
    const org = await world.organization()
    await withoutDatabase(world, async () => {
      const { ctx, behind, settled } = watched(world)
      const send = async (key: string) => post(world, ctx, await leadIntake(world, org, { key }))
      await send('first')
      const waits: number[] = []
      for (let probes = 0, waited = 0, n = 0; probes < 6; n++) {
        const asked = ctx.meter.round_trips
        world.clock.advance(0.5)
        waited += 0.5
        await Promise.all([send(`a${n}`), send(`b${n}`), send(`c${n}`)])
        expect(behind.length).toBeLessThanOrEqual(1)
        if (behind.length === 0) expect(ctx.meter.round_trips).toBe(asked)
        else {
          await settled()
          expect(ctx.meter.round_trips).toBe(asked + 1)
          waits.push(waited)
          waited = 0
          probes++
        }
      }
      expect(waits.map((wait) => Math.round(wait))).toEqual([1, 2, 4, 8, 15, 15])
    })
  }, 60_000)

  it('closes when the probe is answered, and flushes at once', async () => {
    const world = createWorld()
    const [org, other] = [await world.organization(), await world.organization()]
    const { ctx, settled } = watched(world)
    // Another isolate has filled this one.
    await put(createWorld(), other, { key: 'x' })
    await withoutDatabase(world, async () => post(world, ctx, await leadIntake(world, org, { key: 'a' })))
    world.clock.advance(1.1)
    // The one that carries the probe is kept itself.
    expect(await post(world, ctx, await leadIntake(world, org, { key: 'b' }))).toEqual({ outcome: 'queued' })
    await settled()
    expect(breakerState(ctx)).toBe('closed')
    expect((await leadsOf(world, org)).length).toBe(2)
    expect((await leadsOf(world, other)).length).toBe(1)
    expect(await post(world, ctx, await leadIntake(world, org, { key: 'c' }))).toEqual({
      outcome: 'stored',
      value: 'stored',
    })
  })

  it('closes when a tick has stored what was kept, without waiting for another lead', async () => {
    const world = createWorld()
    const org = await world.organization()
    const ctx = world.ctx()
    await withoutDatabase(world, async () => post(world, ctx, await leadIntake(world, org, { key: 'a' })))
    expect(breakerState(ctx)).toBe('open')
    await world.tick('*/5 * * * *')
    expect([breakerState(ctx), (await leadsOf(world, org)).length]).toEqual(['closed', 1])
  })

  it('goes on with its waits when a database answers the probe and then no store', async () => {
    const world = createWorld()
    const org = await world.organization()
    const waits: number[] = []
    for (let round = 0; round < 3; round++) {
      const { ctx, settled } = watched(world)
      const send = async (key: string) => post(world, ctx, await leadIntake(world, org, { key }))
      await withoutDatabase(world, () => send(`a${round}`))
      let waited = 0
      while (breakerState(ctx) !== 'closed') {
        world.clock.advance(1)
        waited++
        await send(`${round} ${waited}`)
        await settled()
      }
      waits.push(waited)
    }
    expect(waits).toEqual([1, 2, 4])
  })

  it('is no other isolate’s', async () => {
    const [world, other] = [createWorld(), createWorld()]
    const org = await world.organization()
    await withoutDatabase(world, async () =>
      post(world, world.ctx(), await leadIntake(world, org, { key: 'a' })),
    )
    expect([breakerState(world.ctx()), breakerState(other.ctx())]).toEqual(['open', 'closed'])
  })

  it('lets another probe go when the request that carried one was ended', async () => {
    const world = createWorld()
    const org = await world.organization()
    await withoutDatabase(
      world,
      async () => {
        const { ctx, behind } = watched(world)
        const send = async (key: string) => post(world, ctx, await leadIntake(world, org, { key }))
        await send('a')
        await withoutAlarm(world, org.id)
        world.clock.advance(2)
        await send('b')
        expect(behind.length).toBe(1)
        expect(breakerState(ctx)).toBe('probing')
        world.clock.advance(4)
        await send('c')
        expect(behind.length).toBe(1)
        world.clock.advance(2)
        await send('d')
        expect(behind.length).toBe(2)
        await Promise.all(behind)
      },
      'silent',
    )
  })
})

describe('an item that has to be kept', () => {
  it('is stored at once otherwise, in one round trip', async () => {
    const world = createWorld()
    const org = await world.organization()
    const ctx = world.ctx()
    expect(await post(world, ctx, await leadIntake(world, org, { key: 'a' }))).toEqual({
      outcome: 'stored',
      value: 'stored',
    })
    expect(ctx.meter.round_trips).toBe(1)
  })

  it('has the id and the time that it came with, and is one lead however often it comes', async () => {
    const world = createWorld()
    const org = await world.organization()
    world.clock.set(new Date('2027-02-03T04:05:06.000Z'))
    const intake = await leadIntake(world, org, { key: 'a' })
    await withoutDatabase(
      world,
      async () => {
        // It was stored, and nobody heard of it.
        for (let i = 0; i < 3; i++) expect((await post(world, world.ctx(), intake)).outcome).toBe('queued')
        expect((await post(world, world.ctx(), { ...intake, request_hash: 'another' })).outcome).toBe(
          'key_reused',
        )
      },
      'answer_lost',
    )
    world.clock.advance(3600)
    await world.tick('*/5 * * * *')
    expect(await leadsOf(world, org)).toEqual([{ id: intake.id, received_at: intake.received_at }])
    expect(await depthOf(world, org.id)).toBe(0)
  })

  it('is flushed by the tick, at the tick’s time, from every buffer that the directory knows', async () => {
    const world = createWorld()
    const [a, b] = [await world.organization(), await world.organization()]
    for (const org of [a, b]) await put(world, org, { key: 'a' })
    const at = addSeconds(new Date(), 3 * 86_400)
    await world.tick('*/5 * * * *', at)
    for (const org of [a, b]) expect((await leadsOf(world, org)).length).toBe(1)
    const [rows] = await world.sql(
      q
        .select({ as_of: events.as_of, type: events.type })
        .from(events)
        .where(eq(events.org_id, a.id))
        .orderBy(events.type),
    )
    expect(rows.filter(({ type }) => type === 'lead.created').map(({ as_of }) => as_of)).toEqual([at])
    expect(await world.ctx().directory.busyBuffers()).not.toContain(a.id)
  })

  it('that Postgres refuses for what it says is dead at once, with its reason, and the caller is told it is kept', async () => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a' })
    const refuse = () => Promise.reject(new DatabaseError({ code: '22001', constraint: 'names' }))
    expect(await accept(world.ctx(), refuse, async () => intake)).toEqual({ outcome: 'queued' })
    expect(await world.ctx().ingest(org.id).list(null, 10, null)).toMatchObject([
      { id: intake.id, state: 'dead', last_error: { code: '22001', where: 'names' } },
    ])
    expect(breakerState(world.ctx())).toBe('closed')
  })

  it.each([
    ['a statement that Postgres does not know', new DatabaseError({ code: '42883' })],
    ['an error of our own making', new TypeError('undefined is not a function')],
  ])('for %s waits to be tried again, without opening the breaker', async (_, error) => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a' })
    expect(
      await accept(
        world.ctx(),
        () => Promise.reject(error),
        async () => intake,
      ),
    ).toEqual({ outcome: 'queued' })
    expect(await depthOf(world, org.id)).toBe(1)
    expect(breakerState(world.ctx())).toBe('closed')
  })

  it('is not kept when the caller has to hear what is wrong with it', async () => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a' })
    for (const code of ['invalid', 'unauthenticated', 'rate_limited', 'unprocessable'] as const) {
      const wrong = new AppError(code, 'no')
      await expect(
        accept(
          world.ctx(),
          () => Promise.reject(wrong),
          async () => intake,
        ),
      ).rejects.toBe(wrong)
    }
    expect(await depthOf(world, org.id)).toBe(0)
  })

  it('is counted by the buffer: 429 beyond the limit, with the time to wait', async () => {
    const world = createWorld()
    const org = await world.organization()
    world.clock.set(new Date('2031-01-01T00:00:10Z'))
    await withoutDatabase(world, async () => {
      const send = async (key: string) =>
        post(world, world.ctx(), await leadIntake(world, org, { key, slots: [{ key: 'form:x', limit: 1 }] }))
      expect((await send('a')).outcome).toBe('queued')
      await expect(send('b')).rejects.toMatchObject({
        code: 'rate_limited',
        details: { retry_after_seconds: 50 },
      })
    })
  })

  it('goes to a shard by its id above the rate, and to the one object below', async () => {
    const world = createWorld({ INGEST_SHARD_ABOVE_PER_SECOND: '10' })
    const org = await world.organization()
    const clock = { now: () => new Date('2031-01-01T00:00:10.100Z') }
    const send = async (key: string) =>
      post(world, world.ctx({ clock }), await leadIntake(world, org, { key }))
    await withoutDatabase(world, async () => {
      for (let i = 0; i < 10; i++) await send(`few${i}`)
      expect(await depthOf(world, org.id)).toBe(10)
      for (let i = 0; i < 40; i++) await send(`many${i}`)
    })
    const depths = await Promise.all(
      [org.id, ...[1, 2, 3, 4, 5, 6, 7].map((n) => `${org.id}/${n}`)].map((name) => depthOf(world, name)),
    )
    expect(depths.reduce((sum, depth) => sum + depth, 0)).toBe(50)
    expect(depths.filter((depth) => depth > 0).length).toBeGreaterThan(4)
    await world.tick('*/5 * * * *', new Date('2031-01-01T00:05:00Z'))
    expect((await leadsOf(world, org)).length).toBe(50)
  }, 60_000)
})

describe('when the buffer cannot be reached either', () => {
  it('the queue takes the item, sealed, and its job puts it into the buffer', async () => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a', text: 'Our budget is 90,000' })
    const repair = unreachable(world)
    await withoutDatabase(world, async () => {
      expect(await post(world, world.ctx(), intake)).toEqual({ outcome: 'queued' })
    })
    expect(world.queued).toMatchObject([
      { queue: 'ingest', body: { job: 'buffer-intake', payload: { id: intake.id, org_id: org.id } } },
    ])
    expect(JSON.stringify(world.queued)).not.toMatch(/budget|buyer\.test/)
    const copy = world.queued.slice()
    repair()
    await withoutDatabase(world, () => world.drain())
    expect(await depthOf(world, org.id)).toBe(1)
    // A message that comes twice is the same item.
    world.queued.push(...copy)
    await withoutDatabase(world, () => world.drain())
    expect(await depthOf(world, org.id)).toBe(1)
    await world.tick('*/5 * * * *')
    expect(await leadsOf(world, org)).toEqual([{ id: intake.id, received_at: intake.received_at }])
  })

  it('the job stores it itself where only the database answers', async () => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a' })
    unreachable(world)
    await withoutDatabase(world, async () => post(world, world.ctx(), intake))
    await world.drain()
    expect(await leadsOf(world, org)).toEqual([{ id: intake.id, received_at: intake.received_at }])
  })

  it('the job tries again for as long as neither answers', async () => {
    const world = createWorld()
    const org = await world.organization()
    unreachable(world)
    await withoutDatabase(world, async () => {
      await post(world, world.ctx(), await leadIntake(world, org, { key: 'a' }))
      await world.drain()
    })
    expect(world.queued).toHaveLength(1)
    expect(world.queued[0]?.attempts).toBeGreaterThan(50)
    await world.drain()
    expect((await leadsOf(world, org)).length).toBe(1)
  })

  it('what the database then refuses is a dead letter: sealed, and retryable', async () => {
    const world = createWorld()
    const org = await world.organization()
    const intake = await leadIntake(world, org, { key: 'a', payload: { message: { channel: 'pigeon' } } })
    const repair = unreachable(world)
    await withoutDatabase(world, async () => post(world, world.ctx(), intake))
    await world.drain()
    const [letters] = await world.sql(q.select().from(dead_letters).where(eq(dead_letters.org_id, org.id)))
    expect(letters).toMatchObject([{ queue: 'ingest', job: 'buffer-intake', failure: { code: '23514' } }])
    expect(JSON.stringify(letters)).not.toMatch(/pigeon|buyer\.test/)
    repair()
    const { job, payload } = letters[0] ?? {}
    world.queued.push({ queue: 'ingest', body: { job, payload }, attempts: 1, delay_seconds: 0 })
    await world.drain()
    expect(await depthOf(world, org.id)).toBe(1)
  })

  it('and the queue refuses too, or the item is too long for it, the answer is 503 with Retry-After', async () => {
    const world = createWorld()
    const org = await world.organization()
    unreachable(world)
    const away = { code: 'unavailable', details: { retry_after_seconds: 30 } }
    await withoutDatabase(world, async () => {
      const long = await leadIntake(world, org, { key: 'a', text: 'x'.repeat(100_000) })
      await expect(post(world, world.ctx(), long)).rejects.toMatchObject(away)
      const { INGEST_QUEUE } = world.env
      Object.assign(world.env, {
        INGEST_QUEUE: { sendBatch: () => Promise.reject(new Error('Too Many Requests')) },
      })
      await expect(
        post(world, world.ctx(), await leadIntake(world, org, { key: 'b' })),
      ).rejects.toMatchObject(away)
      Object.assign(world.env, { INGEST_QUEUE })
    })
    expect(world.queued).toEqual([])
  })

  it('a message that is none of ours is a dead letter, and holds up nothing', async () => {
    const world = createWorld()
    world.queued.push({
      queue: 'ingest',
      body: { job: 'buffer-intake', payload: { id: 'no uuid', sealed: 7 } },
      attempts: 1,
      delay_seconds: 0,
    })
    expect(await world.drain()).toBe(1)
    expect(world.queued).toEqual([])
  })
})

describe('the directory', () => {
  const rename = (world: World, org: TestOrganization, token: string, slug: string) =>
    world.request('PATCH', '/api/v1/organization', { token, body: { slug } })

  it('tells whose form it is while the database is down, also after a rename', async () => {
    const world = createWorld()
    const org = await world.organization({ form_allowed_origins: ['https://a.test'] })
    const { token } = await org.as('owner')
    const slug = `new-${org.slug}`
    expect((await rename(world, org, token, slug)).status).toBe(200)
    await withoutDatabase(world, async () => {
      expect(await findInDirectory(world.ctx(), slug)).toMatchObject({
        org_id: org.id,
        allowed_origins: ['https://a.test'],
      })
      expect(await findInDirectory(world.ctx(), org.slug)).toBeNull()
      expect(await findInDirectory(world.ctx(), 'nobody')).toBeNull()
    })
  })

  it('is never set back by news that comes late, and gives a slug that changed hands to the latter', async () => {
    const world = createWorld()
    const { directory } = world.ctx()
    const [a, b] = [crypto.randomUUID(), crypto.randomUUID()]
    const at = (seconds: number) => addSeconds(new Date('2030-01-01T00:00:00Z'), seconds)
    const entry = (org_id: string, slug: string, seconds: number) => ({
      org_id,
      slug,
      allowed_origins: [],
      redirect_url: null,
      updated_at: at(seconds),
    })
    const one = `one-${a}`
    const two = `two-${a}`
    await directory.keep([entry(a, two, 20)], at(20))
    await directory.keep([entry(a, one, 10)], at(21))
    expect([await directory.find(one), (await directory.find(two))?.org_id]).toEqual([null, a])
    await directory.keep([entry(b, two, 30)], at(30))
    expect((await directory.find(two))?.org_id).toBe(b)
    await directory.keep([entry(a, two, 25)], at(31))
    expect((await directory.find(two))?.org_id).toBe(b)
  })

  it('is made good by the sweep: what was lost, and what is gone', async () => {
    const world = createWorld()
    const id = crypto.randomUUID()
    const slug = `lost-${id}`
    await world.sql(q.insert(organizations).values({ id, slug, name: 'Lost' }))
    expect(await world.ctx().directory.find(slug)).toBeNull()
    await world.tick('*/5 * * * *')
    expect((await world.ctx().directory.find(slug))?.org_id).toBe(id)
    await world.sql(q.delete(organizations).where(eq(organizations.id, id)))
    await world.tick('*/5 * * * *', addSeconds(new Date(), 25 * 3600))
    expect(await world.ctx().directory.find(slug)).toBeNull()
  })

  it('does not know every slug: such an item is judged at the flush, and keeps its id', async () => {
    const world = createWorld()
    const org = await world.organization()
    const ctx = world.ctx()
    const known = await leadIntake(
      world,
      { id: crypto.randomUUID() },
      { key: 'a', destination: { slug: org.slug } },
    )
    const unknown = await leadIntake(
      world,
      { id: crypto.randomUUID() },
      { key: 'b', destination: { slug: 'nobody-at-all' } },
    )
    const late = world.ctx()
    await withoutDatabase(world, async () => {
      for (const intake of [known, unknown]) expect((await post(world, ctx, intake)).outcome).toBe('queued')
    })
    expect(await late.ingest(UNROUTED).flush(world.clock.now())).toMatchObject({ stored: 1, dead: 1 })
    expect(await leadsOf(world, org)).toEqual([{ id: known.id, received_at: known.received_at }])
    const [dead] = await late.ingest(UNROUTED).list('dead', 1, null)
    expect(dead).toMatchObject({ id: unknown.id, last_error: { code: 'unknown_organization', where: null } })
    await late.ingest(UNROUTED).clear('dead', 1, 1)
  })
})

it('an item’s seal opens for its own id only', async () => {
  const world = createWorld()
  const org = await world.organization()
  const ctx = world.ctx()
  const [a, b] = [await leadIntake(world, org, { key: 'a' }), await leadIntake(world, org, { key: 'b' })]
  const swapped = { ...(await sealed(ctx, a)), id: b.id }
  await ctx.ingest(org.id).put(org.id, swapped, [], world.clock.now())
  expect((await ctx.ingest(org.id).read(b.id))?.payload).toBeNull()
})
