// A circuit breaker per isolate: one request pays for an outage of the database, the next ones do not.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { Ctx } from './context'

const FIRST_WAIT_MS = 1000
const LONGEST_WAIT_MS = 15_000
const PROBE_WITHIN_MS = 2500
/** A database that answers the probe and then no store is not well: the waits go on from where they were. */
const RELAPSE_MS = 60_000

interface Breaker {
  /** When the next probe is due; null while the circuit is closed. */
  retry_at: number | null
  wait_ms: number
  closed_at: number
  /** When the database was last heard of. */
  answered_at: number
  /** A probe is on its way until then: the request that carries it may be ended. */
  probing_until: number
}

// By configuration: an isolate has one, and each test's world its own.
const breakers = new WeakMap<object, Breaker>()

function breakerOf(ctx: Ctx): Breaker {
  const known = breakers.get(ctx.config)
  if (known) return known
  const made: Breaker = {
    retry_at: null,
    wait_ms: FIRST_WAIT_MS,
    closed_at: 0,
    answered_at: 0,
    probing_until: 0,
  }
  breakers.set(ctx.config, made)
  return made
}

/** Open: the database did not answer, and nobody asks it but the probe. */
export function isOpen(ctx: Ctx): boolean {
  return breakerOf(ctx).retry_at !== null
}

/** For the operator. */
export function breakerState(ctx: Ctx): 'closed' | 'open' | 'probing' {
  const breaker = breakerOf(ctx)
  if (breaker.retry_at === null) return 'closed'
  return breaker.probing_until > ctx.clock.now().getTime() ? 'probing' : 'open'
}

/** The database did not answer. Requests that were under way at the same time count as one. */
export function trip(ctx: Ctx): void {
  const breaker = breakerOf(ctx)
  if (breaker.retry_at !== null) return
  const now = ctx.clock.now().getTime()
  const isRelapse = now - breaker.closed_at < RELAPSE_MS
  breaker.wait_ms = isRelapse ? Math.min(2 * breaker.wait_ms, LONGEST_WAIT_MS) : FIRST_WAIT_MS
  breaker.retry_at = now + breaker.wait_ms
  ctx.log.warn('breaker.opened', { wait_ms: breaker.wait_ms })
}

/** Whether this isolate has reason to wait for the database. */
export function isHeardOf(ctx: Ctx): boolean {
  return ctx.clock.now().getTime() - breakerOf(ctx).answered_at < RELAPSE_MS
}

/** The database has answered a request that had begun before. */
export function noteAnswer(ctx: Ctx): void {
  breakerOf(ctx).answered_at = ctx.clock.now().getTime()
}

/** The database has answered. */
export function close(ctx: Ctx): void {
  noteAnswer(ctx)
  const breaker = breakerOf(ctx)
  if (breaker.retry_at === null) return
  breaker.retry_at = null
  breaker.closed_at = ctx.clock.now().getTime()
  ctx.log.info('breaker.closed')
}

/** Starts the one probe when it is due, behind the request that asks. `recovered` runs when the database answers again. */
export function probeIfDue(ctx: Ctx, recovered: () => Promise<unknown>): void {
  const breaker = breakerOf(ctx)
  const now = ctx.clock.now().getTime()
  if (breaker.retry_at === null || now < breaker.retry_at || now < breaker.probing_until) return
  breaker.probing_until = now + 2 * PROBE_WITHIN_MS
  ctx.waitUntil(probe(ctx, breaker, recovered))
}

async function probe(ctx: Ctx, breaker: Breaker, recovered: () => Promise<unknown>): Promise<void> {
  try {
    if (await answers(ctx)) {
      close(ctx)
      await recovered()
    } else {
      breaker.wait_ms = Math.min(2 * breaker.wait_ms, LONGEST_WAIT_MS)
      breaker.retry_at = ctx.clock.now().getTime() + breaker.wait_ms
    }
  } catch (error) {
    ctx.log.error('breaker.recovery', error)
  } finally {
    breaker.probing_until = 0
  }
}

/** Whether the database answers at all, soon. */
export async function answers(ctx: Ctx): Promise<boolean> {
  try {
    await ctx.db
      .within(PROBE_WITHIN_MS)
      .nobody()
      .batch([raw(sql`select 1`)])
    return true
  } catch {
    return false
  }
}
