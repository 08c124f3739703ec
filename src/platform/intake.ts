// The one door for what must not be lost: stored at once when the database answers, else kept in the ingest buffer, else on
// the queue `ingest`.
import { DatabaseError } from '#db/client'
import { AppError } from '#kernel/errors'
import type { Destination, IntakeItem } from '#kernel/intake'
import { isHeardOf, isOpen, noteAnswer, probeIfDue, trip } from './breaker'
import type { Ctx } from './context'
import { flushAll, nameFor, noteUsed } from './ingest-flush'
import { MAX_ITEM_BYTES, type PutAnswer, type Refusal, sealContext, type SealedItem } from './ingest-buffer'
import type { Slot } from './rate-limit'

/** An item as the buffer keeps it. */
export interface Intake extends IntakeItem {
  kind: string
  destination: Destination
  /** The same id with another hash is refused instead of kept. */
  request_hash: string
  /** Counted by the buffer while the database cannot. */
  slots?: readonly Slot[]
}

export type Accepted<T> =
  | { outcome: 'stored'; value: T }
  | { outcome: 'queued' }
  /** Another body is kept under this id. */
  | { outcome: 'key_reused' }

/** A caller waits no longer for a database that has the buffer beside it. Neon wakes within about one second. */
const STORE_WITHIN_MS = 2500
/** A database that is well has answered by then. */
const ASK_AFTER_MS = 250
const RETRY_AFTER_SECONDS = 30
/** A queue takes 128 KB; the envelope is the rest. */
const MAX_MESSAGE_BYTES = 120_000

/**
 * `store` runs with a short time limit; errors that the caller has to hear (AppErrors but `unavailable`) pass through.
 * `toKeep` is asked only when the item has to be kept, and may not ask the database. Throws `unavailable` when the item can
 * be kept nowhere, and `rate_limited` when the buffer has counted too many.
 */
export async function accept<T>(
  ctx: Ctx,
  store: (ctx: Ctx) => Promise<T>,
  toKeep: () => Promise<Intake>,
): Promise<Accepted<T>> {
  if (isOpen(ctx)) {
    probeIfDue(ctx, () => flushAll(ctx))
    return keep(ctx, await toKeep())
  }
  try {
    const storing = store({ ...ctx, db: ctx.db.within(STORE_WITHIN_MS) })
    const value = await (isHeardOf(ctx) ? storing : unlessAway(ctx, storing, toKeep))
    noteAnswer(ctx)
    return { outcome: 'stored', value }
  } catch (error) {
    if (error instanceof AppError && error.code !== 'unavailable') throw error
    if (error instanceof AppError) trip(ctx)
    else ctx.log.error('intake.store', error)
    const refused = refusalOf(error)
    return keep(ctx, await toKeep(), refused)
  }
}

/**
 * So that isolates which start during an outage do not wait for it each: the item's buffer knows whether there is one. What is
 * under way may still be stored; the item that is kept is known then.
 */
async function unlessAway<T>(ctx: Ctx, storing: Promise<T>, toKeep: () => Promise<Intake>): Promise<T> {
  const isAway = async (): Promise<boolean> => {
    await new Promise((resolve) => setTimeout(resolve, ASK_AFTER_MS))
    return !settled && (await ctx.ingest(nameFor(ctx, await toKeep())).isAway())
  }
  let settled = false
  const stored = storing.then(
    (value) => {
      settled = true
      return { value }
    },
    (error: unknown) => {
      settled = true
      throw error
    },
  )
  const away = isAway().then(
    (known) => (known ? null : stored),
    () => stored,
  )
  const first = await Promise.race([stored, away])
  if (first !== null) return first.value
  ctx.waitUntil(stored.catch(() => undefined))
  throw new AppError('unavailable', 'The database is away.')
}

/** What Postgres refuses for its content (SQLSTATE classes 22, 23 and 54) it will refuse however often it is asked. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof DatabaseError) || !/^(?:22|23|54)/.test(error.code)) return undefined
  return { code: error.code, where: error.constraint ?? null }
}

/** Without asking the database: it is down, or nothing can be stored of the item as it is (`refused`). Throws as `accept`. */
export async function keep(
  ctx: Ctx,
  intake: Intake,
  refused?: Refusal,
): Promise<Exclude<Accepted<never>, { outcome: 'stored' }>> {
  const { id, kind, destination, request_hash, slots = [] } = intake
  const item: SealedItem = {
    id,
    kind,
    destination,
    received_at: intake.received_at.toISOString(),
    request_hash,
    sealed: await ctx.seal(JSON.stringify(intake.payload), sealContext(id)),
    ...(refused === undefined ? {} : { refused }),
  }
  const answer = await putIntoBuffer(ctx, item, slots)
  switch (answer?.outcome) {
    case 'rate_limited':
      throw new AppError('rate_limited', `Too many attempts. Please wait ${answer.wait_seconds} seconds.`, {
        retry_after_seconds: answer.wait_seconds,
      })
    case 'key_reused':
      return { outcome: 'key_reused' }
    case 'kept':
    case 'known':
      ctx.log.info('intake.kept', { id, kind, ...(refused ? { refused: refused.code } : {}) })
      return { outcome: 'queued' }
    case 'full':
    case 'oversized':
    case undefined:
      await putOnQueue(ctx, item)
      return { outcome: 'queued' }
  }
}

/** Undefined: the object cannot be reached. */
export async function putIntoBuffer(
  ctx: Ctx,
  item: SealedItem,
  slots: readonly Slot[],
): Promise<PutAnswer | undefined> {
  if (item.sealed.length > MAX_ITEM_BYTES) return { outcome: 'oversized' }
  const name = nameFor(ctx, item)
  try {
    const answer = await ctx.ingest(name).put(name, item, slots, ctx.clock.now())
    noteUsed(ctx, name)
    return answer
  } catch (error) {
    ctx.log.error('intake.buffer_unreachable', error, { id: item.id })
    return undefined
  }
}

export const BUFFER_JOB = 'buffer-intake'

async function putOnQueue(ctx: Ctx, item: SealedItem): Promise<void> {
  // The letter of a message that gave up belongs to whom the item does.
  const org_id = 'org_id' in item.destination ? { org_id: item.destination.org_id } : {}
  const payload = { ...item, ...org_id }
  try {
    if (JSON.stringify(payload).length > MAX_MESSAGE_BYTES) throw new RangeError('Too long for a queue')
    await ctx.enqueueMessages('ingest', [{ message: { job: BUFFER_JOB, payload } }])
    ctx.log.warn('intake.on_queue', { id: item.id, kind: item.kind })
  } catch (error) {
    ctx.log.error('intake.kept_nowhere', error, { id: item.id, kind: item.kind })
    throw new AppError('unavailable', 'Nothing can be taken in just now. Please try again.', {
      retry_after_seconds: RETRY_AFTER_SECONDS,
    })
  }
}
