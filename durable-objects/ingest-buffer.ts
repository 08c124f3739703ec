// One object per organization (more of them under load) for what could not be stored: sealed, in SQLite, until it can be.
import { DurableObject } from 'cloudflare:workers'
import type { BufferState } from '#kernel/intake'
import type { Cursor } from '#kernel/page'
import { mergePatch } from '#kernel/merge-patch'
import { type Ctx, createContext } from '#platform/context'
import {
  type BufferedItem,
  type BufferStats,
  type FlushReport,
  type IngestBufferPort,
  MAX_ITEM_BYTES,
  type PutAnswer,
  type Repair,
  type ReplayAnswer,
  sealContext,
  type SealedItem,
  soon,
} from '#platform/ingest-buffer'
import type { Slot } from '#platform/rate-limit'
import { intakes } from '#registry/intakes'
import { type Flushed, flushItems, openPayload } from './ingest-buffer/flush'
import { backoffMs, DEAD_KEPT_MS, FIRST_TRY_MS, MAX_OBJECT_BYTES } from './ingest-buffer/policy'
import { createCounters } from './ingest-buffer/counters'
import { createStore } from './ingest-buffer/store'
import { tellDead } from './ingest-buffer/tell-dead'

const FLUSH_WITHIN_MS = 60_000
/** Failures that make the longest wait. */
const MANY = 10

export class IngestBuffer extends DurableObject<Env> implements IngestBufferPort {
  readonly #store = createStore(this.ctx.storage)
  readonly #counters = createCounters()
  maxBytes = MAX_OBJECT_BYTES
  #flushing: Promise<FlushReport> | null = null
  #armed = false
  /** What the directory was told, one call after the other. */
  #told: boolean | null = null
  #telling: Promise<void> = Promise.resolve()

  async put(name: string, item: SealedItem, slots: readonly Slot[], now: Date): Promise<PutAnswer> {
    const known = this.#store.known(item.id)
    if (known !== null) {
      if (known.request_hash !== item.request_hash) return { outcome: 'key_reused' }
      if (known.state === 'waiting' || item.refused) return { outcome: 'known' }
    }
    if (item.sealed.length > MAX_ITEM_BYTES) return { outcome: 'oversized' }
    if (this.#store.size + item.sealed.length > this.maxBytes) return { outcome: 'full' }
    const wait_seconds = this.#counters.take(slots, now)
    if (wait_seconds > 0) return { outcome: 'rate_limited', wait_seconds }
    this.#store.atOnce(() => {
      if (this.#store.meta('name') === null) this.#store.setMeta('name', name)
      // What died of its age, its token or its origin may come again with better ones: who is told that it is kept can rely on it.
      if (known !== null) this.#store.remove(item.id)
      this.#store.insert(item, now.getTime())
    })
    await this.#arm(FIRST_TRY_MS)
    this.#tell(true)
    return { outcome: 'kept' }
  }

  async flush(now: Date): Promise<FlushReport> {
    for (let shared = this.#flushing; shared; shared = this.#flushing) {
      const report = await this.#ended(shared)
      if (report?.reached) return report
      // That one met the outage; this caller has reason to believe that it is over.
    }
    this.#store.makeAllDue(now.getTime())
    return this.#run(this.#context(now), null)
  }

  async alarm(): Promise<void> {
    this.#armed = false
    try {
      await this.#idle()
      await this.#run(this.#context(), null)
    } catch (error) {
      // The platform gives an alarm up after six failures; this one never ends while something waits.
      this.#context().log.error('ingest.alarm', error)
      await this.#arm(backoffMs(MANY, Math.random()))
    }
  }

  async stats(): Promise<BufferStats> {
    return this.#store.stats()
  }

  async isAway(): Promise<boolean> {
    return Number(this.#store.meta('failures') ?? 0) > 0
  }

  async list(state: BufferState | null, limit: number, after: Cursor | null): Promise<BufferedItem[]> {
    return this.#store.list(state, limit, after)
  }

  async read(id: string): Promise<{ item: BufferedItem; payload: string | null } | null> {
    const item = this.#store.find(id)
    if (!item) return null
    const payload = await openPayload({ ctx: this.#context(), store: this.#store }, id)
    return { item, payload: payload && JSON.stringify(payload) }
  }

  async replay(id: string, { patch, destination }: Repair, now: Date): Promise<ReplayAnswer> {
    // What is being stored just now is not changed under the database's hands.
    await this.#idle()
    const ctx = this.#context(now)
    const before = this.#store.find(id)
    if (!before) return { outcome: 'not_found' }
    const payload = await openPayload({ ctx, store: this.#store }, id)
    if (payload === null) return { outcome: 'unreadable' }
    const repaired = patch === undefined ? payload : mergePatch(payload, patch)
    const sealed = await ctx.seal(JSON.stringify(repaired), sealContext(id))
    await this.#idle()
    if (!this.#store.find(id)) return { outcome: 'known' }
    this.#store.atOnce(() =>
      this.#store.repair(id, destination ?? before.destination, sealed, ctx.clock.now().getTime()),
    )
    const report = await this.#run(ctx, id)
    const after = this.#store.find(id)
    if (!after) return { outcome: report.stored > 0 ? 'stored' : 'known' }
    return { outcome: after.state, error: after.last_error }
  }

  async clear(state: BufferState, expected: number, listed: number): Promise<BufferedItem[] | null> {
    await this.#idle()
    const stats = this.#store.stats()
    if ((state === 'waiting' ? stats.depth : stats.dead) !== expected) return null
    const removed = this.#store.atOnce(() => this.#store.clear(state, listed))
    this.#tellState()
    return removed
  }

  async #idle(): Promise<void> {
    for (let shared = this.#flushing; shared; shared = this.#flushing) await this.#ended(shared)
  }

  /** A flush whose caller was ended may never end itself: after a while it is taken for dead. Two at once do no harm. */
  async #ended(flushing: Promise<FlushReport>): Promise<FlushReport | null> {
    return soon(flushing, FLUSH_WITHIN_MS).catch(() => {
      if (this.#flushing === flushing) this.#flushing = null
      return null
    })
  }

  /** One flush at a time. `only` one item, or all that are due. */
  #run(ctx: Ctx, only: string | null): Promise<FlushReport> {
    const flushing = this.#flushOnce(ctx, only).finally(() => {
      if (this.#flushing === flushing) this.#flushing = null
    })
    this.#flushing = flushing
    // It goes on when its caller has gone.
    this.ctx.waitUntil(flushing.catch((error: unknown) => ctx.log.error('ingest.flush', error)))
    return flushing
  }

  async #flushOnce(ctx: Ctx, only: string | null): Promise<FlushReport> {
    const store = this.#store
    let flushed: Flushed = { stored: 0, known: 0, dead: 0, reached: true }
    if (store.nextDue() !== null) flushed = await flushItems({ ctx, store, kinds: intakes }, only)
    const failures = flushed.reached ? 0 : Number(store.meta('failures') ?? 0) + 1
    const expired = store.atOnce(() => {
      store.setMeta('failures', String(failures))
      return store.expire(ctx.clock.now().getTime())
    })
    if (flushed.reached)
      await tellDead(ctx, store).catch((error: unknown) => ctx.log.error('ingest.tell', error))
    const { depth, dead } = store.stats()
    await this.#armAgain(ctx, failures)
    this.#tellState()
    const report = { ...flushed, dead: flushed.dead + expired, waiting: depth }
    ctx.log.info('ingest.flush', { buffer: store.meta('name'), ...report, dead_kept: dead, failures })
    return report
  }

  async #armAgain(ctx: Ctx, failures: number): Promise<void> {
    const due = this.#store.nextDue()
    this.#armed = false
    if (failures > 0 && due !== null) await this.#arm(backoffMs(failures, Math.random()))
    else if (due !== null) await this.#arm(Math.max(FIRST_TRY_MS, due - ctx.clock.now().getTime()))
    // To forget the dead when their time has come.
    else if (this.#store.stats().dead > 0) await this.#arm(DEAD_KEPT_MS / 14)
    else await this.ctx.storage.deleteAlarm()
  }

  /** Written together with the row that it is for: nothing comes in between. */
  async #arm(in_ms: number): Promise<void> {
    if (this.#armed) return
    this.#armed = true
    await this.ctx.storage.setAlarm(Date.now() + in_ms)
  }

  #tellState(): void {
    const { depth, dead } = this.#store.stats()
    this.#tell(depth + dead > 0)
  }

  /** Best effort: an alarm flushes this object also when nobody knows of it. */
  #tell(busy: boolean): void {
    if (this.#told === busy) return
    this.#told = busy
    const name = this.#store.meta('name')
    if (name === null) return
    const ctx = this.#context()
    this.#telling = this.#telling
      .then(() => ctx.directory.noteBuffer(name, busy))
      .catch((error: unknown) => {
        this.#told = null
        ctx.log.error('ingest.directory', error, { buffer: name })
      })
    this.ctx.waitUntil(this.#telling)
  }

  #context(as_of?: Date): Ctx {
    return createContext(this.env, {
      actor: { type: 'system', name: 'ingest-buffer' },
      waitUntil: (work) => this.ctx.waitUntil(work),
      ...(as_of === undefined ? {} : { as_of }),
    })
  }
}
