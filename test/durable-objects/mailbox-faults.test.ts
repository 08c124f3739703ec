import { runDurableObjectAlarm } from 'cloudflare:test'
import { and, eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { messages } from '#db/schema/conversations'
import { mailbox_gaps, mailboxes } from '#db/schema/mailboxes'
import { dead_letters, events } from '#db/schema/platform'
import { addSeconds } from '#kernel/clock'
import { connectMailbox, deliver, operatorToken, shim } from '#test/google'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const now = () => new Date().toISOString()

afterEach(async () => {
  await shim('faults', {}, 'DELETE')
})

/** Of what came in: the answers go out by themselves meanwhile. */
async function subjects(world: World, org: TestOrganization): Promise<string[]> {
  const [rows] = await world.sql(
    q
      .select({ subject: messages.subject })
      .from(messages)
      .where(and(eq(messages.org_id, org.id), eq(messages.direction, 'inbound'))),
  )
  return rows.map((row) => row.subject).sort()
}

async function refreshes(): Promise<number> {
  const stats = await shim<{ tokens?: Record<string, number> }>('stats', {}, 'GET')
  return stats.tokens?.refresh_token ?? 0
}

describe('a cursor that the provider has forgotten', () => {
  it('brings every mail in once and shows the gap', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const port = world.ctx().mailboxes(mailbox.id)
    for (let i = 0; i < 15; i++)
      await deliver(mailbox.email, { subject: `before ${i}`, from: `p${i}@buyer.test` })
    await shim('expire-history', { email: mailbox.email })
    const recovering = port.sync(now())
    for (let i = 0; i < 15; i++)
      await deliver(mailbox.email, { subject: `during ${i}`, from: `q${i}@buyer.test` })
    expect(await recovering).toMatchObject({ ok: true, value: { recovered_gap: true } })
    await port.sync(now())
    expect(await subjects(world, org)).toEqual(
      [
        ...Array.from({ length: 15 }, (_, i) => `before ${i}`),
        ...Array.from({ length: 15 }, (_, i) => `during ${i}`),
      ].sort(),
    )
    const status = await read<{ mailboxes: { gaps: { closed_at: string | null; recovered: number }[] }[] }>(
      await world.request('GET', `/admin/clients/${org.id}/connection-status`, {
        token: await operatorToken(world),
      }),
    )
    const gaps = status.body.mailboxes[0]?.gaps ?? []
    expect(gaps).toHaveLength(1)
    expect(gaps[0]?.closed_at).not.toBeNull()
    expect(gaps[0]?.recovered).toBeGreaterThanOrEqual(15)
  })

  it('goes on with the recovery that a failure interrupted, without a second gap', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const port = world.ctx().mailboxes(mailbox.id)
    for (let i = 0; i < 6; i++)
      await deliver(mailbox.email, { subject: `mail ${i}`, from: `p${i}@buyer.test` })
    await shim('expire-history', { email: mailbox.email })
    await shim('faults', { method: 'GET', path_pattern: 'format=raw', status: 503, skip: 2 })
    expect(await port.sync(now())).toMatchObject({ ok: false, failure: { kind: 'transient' } })
    expect(await port.sync(addSeconds(new Date(), 3600).toISOString())).toMatchObject({
      ok: true,
      value: { recovered_gap: true },
    })
    expect(await subjects(world, org)).toEqual(Array.from({ length: 6 }, (_, i) => `mail ${i}`))
    const [gaps] = await world.sql(
      q
        .select({ recovered: mailbox_gaps.recovered })
        .from(mailbox_gaps)
        .where(eq(mailbox_gaps.mailbox_id, mailbox.id)),
    )
    expect(gaps).toHaveLength(1)
  })
})

describe('the access token', () => {
  it('is refreshed once for 200 demands at the same time', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await shim('expire-tokens', { email: mailbox.email })
    const before = await refreshes()
    const results = await Promise.all(
      Array.from({ length: 200 }, () => world.ctx().mailboxes(mailbox.id).deleteDraft('no-such-draft')),
    )
    expect(new Set(results.map((result) => result.ok))).toEqual(new Set([true]))
    expect((await refreshes()) - before).toBe(1)
  })

  it('is not refreshed for ever while the token endpoint is down: the failure is remembered for seconds', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await shim('expire-tokens', { email: mailbox.email })
    await shim('faults', { method: 'POST', path_pattern: '^/oauth2/token', status: 500, times: 0 })
    const results = await Promise.all(
      Array.from({ length: 50 }, () => world.ctx().mailboxes(mailbox.id).deleteDraft('x')),
    )
    expect(results.every((result) => !result.ok && result.failure.kind === 'transient')).toBe(true)
    const again = await world.ctx().mailboxes(mailbox.id).deleteDraft('x')
    expect(again).toMatchObject({ ok: false, failure: { kind: 'transient' } })
    const faults = await shim<{ hits: number }[]>('faults', {}, 'GET')
    expect(faults[0]?.hits).toBe(3)
  })
})

describe('a grant that is dead', () => {
  it('asks for a reconnect with one event and makes no further call', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await shim('revoke', { email: mailbox.email })
    const results = await Promise.all(
      Array.from({ length: 20 }, () => world.ctx().mailboxes(mailbox.id).sync(now())),
    )
    expect(results.every((result) => !result.ok && result.failure.kind === 'auth')).toBe(true)
    const before = await refreshes()
    await world.ctx().mailboxes(mailbox.id).sync(now())
    await world.ctx().mailboxes(mailbox.id).deleteDraft('x')
    expect(await refreshes()).toBe(before)
    const [rows, told] = await world.sql(
      q
        .select({ status: mailboxes.status, error: mailboxes.last_error })
        .from(mailboxes)
        .where(eq(mailboxes.id, mailbox.id)),
      q
        .select({ payload: events.payload })
        .from(events)
        .where(and(eq(events.org_id, org.id), eq(events.type, 'mailbox.reconnect_required'))),
    )
    expect({ rows, told }).toEqual({
      rows: [
        {
          status: 'reconnect_required',
          error: { code: 'grant_dead', message: expect.any(String), at: expect.any(String) },
        },
      ],
      told: [{ payload: { mailbox_id: mailbox.id } }],
    })
  })

  it('goes on from its old cursor after the reconnect, so that nothing is missing', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await shim('revoke', { email: mailbox.email })
    await world.ctx().mailboxes(mailbox.id).sync(now())
    await deliver(mailbox.email, { subject: 'while away' })
    await connectMailbox(world, org, mailbox.email)
    expect(await subjects(world, org)).toEqual(['while away'])
    const [rows] = await world.sql(
      q
        .select({ status: mailboxes.status, error: mailboxes.last_error })
        .from(mailboxes)
        .where(eq(mailboxes.id, mailbox.id)),
    )
    expect(rows).toEqual([{ status: 'connected', error: null }])
  })
})

describe('a provider in trouble', () => {
  it('is left alone as long as it asked, and nothing is lost', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const port = world.ctx().mailboxes(mailbox.id)
    await deliver(mailbox.email, { subject: 'patience' })
    await shim('faults', {
      method: 'GET',
      path_pattern: '/history',
      status: 429,
      headers: { 'Retry-After': '120' },
      body: { error: { code: 429, message: 'slow down', errors: [{ reason: 'rateLimitExceeded' }] } },
    })
    expect(await port.sync(now())).toMatchObject({
      ok: false,
      failure: { kind: 'rate_limited', retry_after_seconds: 120 },
    })
    expect(await port.sync(now())).toMatchObject({
      ok: false,
      failure: { kind: 'rate_limited', code: 'throttled' },
    })
    expect(await port.sync(addSeconds(new Date(), 130).toISOString())).toMatchObject({
      ok: true,
      value: { ingested: 1 },
    })
  })

  it('that answers nonsense, drops the connection or fails, is asked again and every mail is there once', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const port = world.ctx().mailboxes(mailbox.id)
    for (let i = 0; i < 4; i++)
      await deliver(mailbox.email, { subject: `mail ${i}`, from: `p${i}@buyer.test` })
    let at = new Date()
    for (const fault of [
      { path_pattern: '/history', status: 200, body: '<html>' },
      { path_pattern: '/history', drop: true },
      { path_pattern: 'format=raw', status: 500, skip: 1 },
      {
        path_pattern: 'format=raw',
        status: 403,
        body: {
          error: {
            code: 403,
            message: 'Too many concurrent requests for user',
            errors: [{ reason: 'rateLimitExceeded' }],
          },
        },
      },
    ]) {
      await shim('faults', fault)
      expect((await port.sync(at.toISOString())).ok).toBe(false)
      at = addSeconds(at, 3600)
    }
    expect((await port.sync(at.toISOString())).ok).toBe(true)
    expect(await subjects(world, org)).toEqual(['mail 0', 'mail 1', 'mail 2', 'mail 3'])
  })

  it('a mail that cannot be read becomes a dead letter, and the mailbox goes on behind it', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await deliver(mailbox.email, { subject: 'first', from: 'a@buyer.test' })
    await deliver(mailbox.email, { raw: '\r\n' })
    await deliver(mailbox.email, { subject: 'last', from: 'b@buyer.test' })
    const synced = await world.ctx().mailboxes(mailbox.id).sync(now())
    expect(await subjects(world, org)).toEqual(['first', 'last'])
    const [letters] = await world.sql(
      q.select({ job: dead_letters.job }).from(dead_letters).where(eq(dead_letters.org_id, org.id)),
    )
    expect({ synced, letters }).toEqual({
      synced: { ok: true, value: { ingested: 2, known: 0, dead: 1, recovered_gap: false } },
      letters: [{ job: 'ingest-mail' }],
    })
  })
})

describe('waking up', () => {
  it('a push that was lost costs no mail: the five-minute tick polls', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await deliver(mailbox.email, { subject: 'nobody was told' })
    await world.tick('*/5 * * * *', addSeconds(new Date(), 301))
    await world.drain()
    expect(await subjects(world, org)).toEqual(['nobody was told'])
  })

  it('an alarm that fires twice, or after the object was wiped, does no harm', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const stub = world.env.MAILBOX.get(world.env.MAILBOX.idFromName(mailbox.id))
    await deliver(mailbox.email, { subject: 'alarm' })
    await world.ctx().mailboxes(mailbox.id).poke()
    await runDurableObjectAlarm(stub)
    await runDurableObjectAlarm(stub)
    expect(await subjects(world, org)).toEqual(['alarm'])
    await world.ctx().mailboxes(mailbox.id).disconnect()
    expect(await runDurableObjectAlarm(stub)).toBe(false)
  })

  it('renews the watch by the half-hourly tick, and tries again with backoff when it fails', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    // For as long as it takes: the tick renews the mailboxes of other tests as well.
    await shim('faults', { method: 'POST', path_pattern: '/watch', status: 500, times: 0 })
    const at = addSeconds(new Date(), 2 * 24 * 3600)
    await world.tick('*/30 * * * *', at)
    await world.drain()
    const watch = async () => {
      const [rows] = await world.sql(
        q
          .select({ error: mailboxes.last_error, until: mailboxes.watch_expires_at })
          .from(mailboxes)
          .where(eq(mailboxes.id, mailbox.id)),
      )
      return rows[0]
    }
    const failed = await watch()
    expect(failed?.error?.code).toBe('provider_unavailable')
    await shim('faults', {}, 'DELETE')
    await world.tick('*/30 * * * *', addSeconds(at, 1800))
    await world.drain()
    const renewed = await watch()
    expect(renewed?.error).toBeNull()
    expect(renewed?.until?.getTime()).toBeGreaterThanOrEqual(failed?.until?.getTime() ?? 0)
  })
})
