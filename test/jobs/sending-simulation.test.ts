// Crashes at every step, lost and doubled queue messages, lost requests and responses of the provider and of the database,
// runs that hang while others go on, cancellations and newer messages, on the real SQL. Whatever happens: no mail twice, none
// reported as sent that was not, none that left and is not known, and every cap holds. Runs meet on many connections, so a
// seed repeats the plan of a run, not every interleaving of it.
import { and, eq, inArray, sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { mailbox_days, mailboxes } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { outbox_mails, sends, transport_pauses } from '#db/schema/sending'
import { cancelReply, sendsDue } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import { AppError } from '#kernel/errors'
import { fail, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { arrive } from '#test/arrivals'
import { createFakePostmark, POSTMARK_BASE, POSTMARK_TOKEN } from '#test/fake-postmark'
import { arrangeReply, createFakeMailbox, insertMailbox, type Reply, withMailbox } from '#test/sends'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { deliverSendJob } from '../../src/features/sending/jobs/deliver-send'
import { reconcileSendJob } from '../../src/features/sending/jobs/reconcile-send'
import type { Transport } from '../../src/features/sending/transports/contract'
import { transports } from '../../src/features/sending/transports/index'

const SEEDS = 10
const TICKS = 24
const REPLIES = 18
const SENDERS = 14
const CAP = 14
/** No invocation of the platform outlives this. */
const WALL_MINUTES = 15
const LEASE_SECONDS = 120

class Crash extends Error {}

function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What the provider has accepted, in order. */
interface Provider {
  transports: readonly Transport[]
  ctx(ctx: Ctx): Ctx
  accepted(): Promise<string[]>
}

interface Storm {
  chance(p: number): boolean
  pick(most: number): number
  /** A run hangs here, and the world goes on. */
  stall(): Promise<void>
  note(what: string): void
  /** True while things go wrong. */
  raging: boolean
  world: World
}

/** Modes whose sends leave from no mailbox, and the settings that they need. */
const shared: Record<string, Record<string, string>> = {
  outbox: {},
  postmark: {
    MAIL_TRANSPORT: 'postmark',
    POSTMARK_SERVER_TOKEN: POSTMARK_TOKEN,
    POSTMARK_API_BASE: POSTMARK_BASE,
    FROM_EMAIL: 'hello@inlet.test',
  },
}

const modes: Record<string, (storm: Storm) => Provider> = {
  // The transport itself, with an account that is refused now and then, and a search that lags by up to five minutes.
  postmark: (storm) => {
    const fake = createFakePostmark()
    const seen: number[] = []
    const now = () => storm.world.clock.now().getTime()
    storm.world.fetch = async (input, init) => {
      await storm.stall()
      const search = new Request(input).url.includes('/messages/outbound')
      const trouble = (p: number) => storm.raging && storm.chance(p)
      fake.search = trouble(0.1) ? 'down' : trouble(0.05) ? 'throttled' : 'well'
      const lot = storm.raging ? storm.pick(100) : 100
      fake.mood = 'well'
      if (lot < 5) fake.mood = 'lost_request'
      else if (lot < 13) fake.mood = 'lost_response'
      else if (lot < 17) fake.mood = 'down_but_took_it'
      else if (lot < 20) fake.mood = 'throttled'
      else if (lot < 25) fake.mood = { ErrorCode: 412 }
      if (typeof fake.mood === 'object' && !search) storm.note('account refused')
      const hidden = seen.findIndex((at) => at > now())
      fake.lag = hidden < 0 ? 0 : fake.accepted.length - hidden
      try {
        return await fake.fetch(input, init)
      } finally {
        while (seen.length < fake.accepted.length) seen.push(now() + storm.pick(300) * 1000)
      }
    }
    return {
      transports,
      ctx: (ctx) => ctx,
      accepted: async () => fake.accepted.map(({ Metadata }) => Metadata['send_id'] ?? ''),
    }
  },
  // Gmail and Graph: a draft is a token that works once.
  draft: (storm) => {
    const fake = createFakeMailbox()
    fake.before.sendDraft = () => storm.stall()
    fake.chance = (call) => {
      if (!storm.raging) return undefined
      if (storm.chance(0.05)) return 'lost_request'
      if (storm.chance(0.08)) return 'lost_response'
      if (storm.chance(0.04)) return 'unavailable'
      if (call === 'findSent' || call === 'deleteDraft') return undefined
      if (storm.chance(0.04)) return 'rate_limited'
      if (storm.chance(0.03)) return 'dead_grant'
      return call === 'sendDraft' && storm.chance(0.03) ? 'refused' : undefined
    }
    return {
      transports,
      ctx: (ctx) => withMailbox(ctx, fake),
      accepted: async () => fake.accepted.map((mail) => mail.send_id),
    }
  },
  // SMTP: takes every mail as a new one and can never be asked; a person decides.
  hold: (storm) => plain(storm, async () => ({ outcome: 'inconclusive' })),
  // Postmark: takes every mail as a new one, and its search lags by up to five minutes.
  search: (storm) => {
    const visible: { id: string; at: number }[] = []
    return plain(
      storm,
      async (id) =>
        visible.some((mail) => mail.id === id && mail.at <= storm.world.clock.now().getTime())
          ? { outcome: 'sent', message: null }
          : { outcome: 'not_sent' },
      (id) => visible.push({ id, at: storm.world.clock.now().getTime() + storm.pick(300) * 1000 }),
    )
  },
  // Our own outbox, in the same database.
  outbox: (storm) => ({
    transports,
    ctx: (ctx) => ctx,
    accepted: async () => {
      const [rows] = await storm.world.sql(q.select({ id: outbox_mails.send_id }).from(outbox_mails))
      return rows.map((row) => row.id)
    },
  }),
}

function plain(
  storm: Storm,
  reconcile: (id: string) => ReturnType<Transport['reconcile']>,
  accept: (id: string) => void = () => undefined,
): Provider {
  const accepted: string[] = []
  const transport: Transport = {
    name: 'mailbox',
    carries: ['cold'],
    prepare: async () => succeed({ provider_draft_id: null, provider_thread_id: null }),
    deliver: async (_, send) => {
      await storm.stall()
      const { failure } = fail('transient', 'no_answer', 'The connection failed.')
      if (storm.raging && storm.chance(0.05)) return { outcome: 'ambiguous', failure }
      if (storm.raging && storm.chance(0.05)) return { outcome: 'refused', failure }
      accepted.push(send.id)
      accept(send.id)
      if (storm.raging && storm.chance(0.1)) return { outcome: 'ambiguous', failure }
      return { outcome: 'accepted', message: null }
    },
    reconcile: async (_, send) => reconcile(send.id),
    discard: async () => succeed(null),
  }
  return { transports: [transport], ctx: (ctx) => ctx, accepted: async () => accepted }
}

/** Requests that never reach the database, and answers that never come back from it. */
function flaky(ctx: Ctx, storm: Storm): Ctx {
  const lose = () => {
    if (!storm.raging || !storm.chance(0.015)) return
    storm.note('database lost')
    throw new AppError('unavailable', 'The database did not answer.')
  }
  return {
    ...ctx,
    db: {
      ...ctx.db,
      org: (scope) => {
        const door = ctx.db.org(scope)
        return {
          ...door,
          batch: async (statements) => {
            lose()
            const results = await door.batch(statements)
            lose()
            return results
          },
        }
      },
    },
  }
}

interface Message {
  job: string
  payload: { org_id: string; send_id: string }
}

class Simulation {
  readonly world: World
  readonly #random: () => number
  readonly #mode: string
  readonly storm: Storm
  readonly provider: Provider
  org!: TestOrganization
  mailbox_id!: string
  replies: Reply[] = []
  #queue: Message[] = []
  #depth = 0
  /** Counts what happened in which order: a newer message before the last look at the send must stop it. */
  #order = 0
  readonly #prepared = new Map<string, number>()
  readonly newer = new Map<string, number>()
  readonly cancelled = new Set<string>()
  readonly violations: string[] = []
  /** How often each kind of trouble came. */
  readonly log: Record<string, number> = {}

  constructor(mode: string, seed: number) {
    this.#random = random(seed)
    this.#mode = mode
    this.world = createWorld(shared[mode])
    this.storm = {
      note: (what) => {
        this.log[what] = (this.log[what] ?? 0) + 1
      },
      chance: (p) => this.#random() < p,
      pick: (most) => Math.floor(this.#random() * most),
      stall: () => this.#stall(WALL_MINUTES * 60),
      raging: true,
      world: this.world,
    }
    const make = modes[mode]
    if (!make) throw new Error(mode)
    this.provider = make(this.storm)
  }

  async arrange(): Promise<void> {
    const { world } = this
    this.org = await world.organization()
    if (!(this.#mode in shared)) this.mailbox_id = await insertMailbox(world, this.org, { daily_cap: CAP })
    const start = world.clock.now()
    for (let i = 0; i < REPLIES; i++) {
      // Some senders write twice, in two threads.
      const email = `ada${i % SENDERS}@buyer.test`
      this.replies.push(
        await arrangeReply(world, this.org, {
          email,
          mailbox_id: this.mailbox_id ?? null,
          automatic: i % 3 !== 2,
          due_at: addSeconds(start, this.storm.pick(4 * 3600)),
          arrival: await arrive(world, this.org, { email }),
        }),
      )
    }
  }

  async run(): Promise<void> {
    for (let i = 0; i < TICKS; i++) {
      await this.#pass(60 + this.storm.pick(1500))
      await this.#disturb()
      await this.#sweep()
      await this.#work()
    }
    // The storm is over: what is left must come to an end by itself.
    this.storm.raging = false
    if (this.mailbox_id) await this.#setMailbox('connected')
    for (let i = 0; i < 60 && (await this.#unfinished()) > 0; i++) {
      await this.#pass(i < 20 ? 25 * 60 : 6 * 3600)
      await this.#sweep()
      await this.#work()
    }
  }

  /** Leases run on the database's clock, so they are what moves there. */
  async #pass(seconds: number): Promise<void> {
    this.world.clock.advance(seconds)
    await this.world.sql(
      raw(
        sql`update sends set lease_until = lease_until - ${seconds} * interval '1 second' where org_id = ${this.org.id} and lease_until is not null`,
      ),
    )
  }

  async #disturb(): Promise<void> {
    const { storm, world, org } = this
    const reply = this.replies[storm.pick(this.replies.length)]
    if (!reply) return
    if (storm.chance(0.12)) {
      const ctx = world.ctx()
      const [{ rows }] = await ctx.db
        .org({ org_id: org.id, visibility: 'all' })
        .batch([cancelReply(ctx, { org_id: org.id, draft_id: reply.draft_id, reason: 'cancelled' })])
      if (rows.length > 0) this.cancelled.add(reply.send_id)
    }
    if (storm.chance(0.08)) {
      const id = world.ctx().newId()
      await world.sql(
        q
          .select({ id: conversations.id })
          .from(conversations)
          .where(eq(conversations.id, reply.conversation_id))
          .for('update'),
        q.insert(messages).values({
          id,
          org_id: org.id,
          conversation_id: reply.conversation_id,
          direction: 'inbound',
          channel: 'email',
          text: 'One more thing',
          stripped_text: 'One more thing',
          received_at: world.clock.now(),
        }),
      )
      if (!this.newer.has(reply.send_id)) this.newer.set(reply.send_id, ++this.#order)
    }
    if (storm.chance(0.05))
      await world.sql(q.update(drafts).set({ status: 'rejected' }).where(eq(drafts.id, reply.draft_id)))
    if (this.mailbox_id && storm.chance(0.08)) await this.#setMailbox('reconnect_required')
    else if (this.mailbox_id && storm.chance(0.4)) await this.#setMailbox('connected')
  }

  async #setMailbox(status: 'connected' | 'reconnect_required'): Promise<void> {
    await this.world.sql(q.update(mailboxes).set({ status }).where(eq(mailboxes.id, this.mailbox_id)))
  }

  async #sweep(): Promise<void> {
    const { world, storm } = this
    const { released = 0, stalled = 0 } = await sendsDue.run(world.ctx())
    if (released > 0) storm.note('released')
    if (stalled > 0) storm.note('stalled')
    const found = world.queued.splice(0).map((message) => message.body as Message)
    for (const message of found) {
      if (message.payload.org_id !== this.org.id) continue
      if (storm.raging && storm.chance(0.1)) continue
      this.#queue.push(message)
      if (storm.raging && storm.chance(0.2)) this.#queue.push(message)
    }
  }

  /** Three consumers at a time. */
  async #work(): Promise<void> {
    const batch = this.#queue.splice(0, this.storm.raging ? 8 : 100)
    batch.sort(() => this.#random() - 0.5)
    while (batch.length > 0) await Promise.all(batch.splice(0, 3).map((message) => this.#consume(message)))
  }

  async #consume(message: Message): Promise<void> {
    const { storm, provider } = this
    const ctx = provider.ctx(flaky(this.world.ctx(), storm))
    const deliver = deliverSendJob(provider.transports, async (after, send_id) => {
      if (after === 'prepare') this.#prepared.set(send_id, ++this.#order)
      await this.#trouble(after === 'gate' ? WALL_MINUTES * 60 : LEASE_SECONDS * 2)
    })
    const reconcile = reconcileSendJob(provider.transports, () => this.#trouble(LEASE_SECONDS))
    if (message.job === 'reconcile-send') storm.note('reconcile')
    const before = (await provider.accepted()).length
    try {
      await (message.job === 'deliver-send' ? deliver : reconcile).run(ctx, message.payload)
    } catch (error) {
      if (!(error instanceof Crash || error instanceof AppError)) throw error
      // The queue brings it again.
      this.#queue.push(message)
    }
    const left = (await provider.accepted()).slice(before)
    for (const id of left) {
      const reply = this.replies.find((candidate) => candidate.send_id === id)
      const newer = this.newer.get(id)
      const automatic = reply !== undefined && this.replies.indexOf(reply) % 3 !== 2
      // A run that hung may have passed the gate before; its own look is what counts.
      if (automatic && newer !== undefined && newer < (this.#prepared.get(id) ?? 0))
        this.violations.push(`${id} left although a newer message had been there before the gate`)
    }
  }

  async #trouble(seconds: number): Promise<void> {
    if (!this.storm.raging) return
    if (this.storm.chance(0.06)) {
      this.storm.note('crash')
      throw new Crash()
    }
    await this.#stall(seconds)
  }

  /** Adversarial: sweeps and other runs happen while this one hangs. */
  async #stall(most_seconds: number): Promise<void> {
    if (!this.storm.raging || this.#depth > 0 || !this.storm.chance(0.06)) return
    this.#depth++
    this.storm.note('stall')
    try {
      await this.#pass(this.storm.pick(most_seconds))
      await this.#sweep()
      await this.#work()
    } finally {
      this.#depth--
    }
  }

  async #unfinished(): Promise<number> {
    const [rows] = await this.world.sql(
      q
        .select({ id: sends.id })
        .from(sends)
        .where(
          and(
            eq(sends.org_id, this.org.id),
            inArray(sends.state, ['scheduled', 'claimed', 'sending', 'unknown']),
          ),
        ),
    )
    return rows.length
  }

  /** Everything that must be true now; empty when it is. */
  async judge(): Promise<string[]> {
    const { world, org, violations } = this
    const ours = new Set(this.replies.map((reply) => reply.send_id))
    const accepted = (await this.provider.accepted()).filter((id) => ours.has(id))
    const times = new Map<string, number>()
    for (const id of accepted) times.set(id, (times.get(id) ?? 0) + 1)
    const [rows, days, thread, told] = await world.sql(
      q.select().from(sends).where(eq(sends.org_id, org.id)),
      q.select().from(mailbox_days).where(eq(mailbox_days.org_id, org.id)),
      q
        .select({ send_id: messages.send_id })
        .from(messages)
        .where(and(eq(messages.org_id, org.id), eq(messages.direction, 'outbound'))),
      q.select().from(events).where(eq(events.org_id, org.id)),
    )
    const must = (holds: boolean, what: string) => {
      if (!holds) violations.push(what)
    }
    for (const send of rows) {
      const count = times.get(send.id) ?? 0
      const is = `${send.id} is ${send.state} (${send.skip_reason ?? send.last_error?.code ?? ''}) and was accepted ${count} times`
      must(count <= 1, `twice: ${is}`)
      must(send.state !== 'sent' || count === 1, `not sent: ${is}`)
      must(count === 0 || send.state === 'sent' || send.state === 'review', `lost: ${is}`)
      must(!this.cancelled.has(send.id) || send.state === 'skipped', `cancelled: ${is}`)
      must(!['scheduled', 'claimed', 'sending', 'unknown'].includes(send.state), `never ended: ${is}`)
      must(this.#mode === 'hold' || send.state !== 'review', `needs no person: ${is}`)
      const of = (type: string) =>
        told.filter((event) => event.type === type && event.payload.send_id === send.id).length
      must(of('message.sent') === (send.state === 'sent' ? 1 : 0), `told ${of('message.sent')} times: ${is}`)
      must(
        thread.filter((message) => message.send_id === send.id).length === (send.state === 'sent' ? 1 : 0),
        `in its thread: ${is}`,
      )
    }
    for (const day of days) must(day.used <= CAP, `${day.used} slots of ${CAP} on ${day.day}`)
    if (this.mailbox_id)
      must(accepted.length <= days.reduce((sum, day) => sum + day.used, 0), 'more mails than slots')
    const answered = rows
      .filter((send) => send.automatic && send.state === 'sent')
      .toSorted((a, b) => (a.send_started_at?.getTime() ?? 0) - (b.send_started_at?.getTime() ?? 0))
    for (const [i, later] of answered.entries())
      for (const earlier of answered.slice(0, i))
        must(
          earlier.to_email !== later.to_email ||
            (later.send_started_at?.getTime() ?? 0) - (earlier.send_started_at?.getTime() ?? 0) >= 86_400_000,
          `${later.to_email} got two automatic replies within 24 hours`,
        )
    return violations
  }

  states(): Promise<string[]> {
    return this.world
      .sql(q.select({ state: sends.state }).from(sends).where(eq(sends.org_id, this.org.id)))
      .then(([rows]) => rows.map((row) => row.state))
  }
}

let running: Simulation | undefined

afterEach(async () => {
  // The next run's sweep must not find this one's sends.
  if (running)
    await running.world.sql(
      q.delete(organizations).where(eq(organizations.id, running.org.id)),
      q.delete(transport_pauses),
    )
})

describe.each(Object.keys(modes))('%s', (mode) => {
  const seen = new Map<string, number>()

  it.each(Array.from({ length: SEEDS }, (_, i) => (i + 1) * 7919))(
    'keeps every promise with seed %i',
    async (seed) => {
      running = new Simulation(mode, seed)
      await running.arrange()
      await running.run()
      expect({ seed, violations: await running.judge() }).toEqual({ seed, violations: [] })
      for (const state of await running.states()) seen.set(state, (seen.get(state) ?? 0) + 1)
      for (const [what, count] of Object.entries(running.log)) seen.set(what, (seen.get(what) ?? 0) + count)
    },
  )

  it('has met every kind of trouble', () => {
    running = undefined
    const kinds = ['sent', 'skipped', 'crash', 'stall', 'released', 'stalled', 'reconcile', 'database lost']
    if (mode === 'postmark') kinds.push('account refused')
    expect(kinds.filter((kind) => !seen.has(kind))).toEqual([])
  })
})
