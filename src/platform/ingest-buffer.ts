// The typed port to the IngestBuffer objects: what could not be stored lies there, sealed, until the database takes it.
import type { BufferState, Destination } from '#kernel/intake'
import type { Cursor } from '#kernel/page'
import type { Slot } from './rate-limit'

/** Names no value: it is shown. */
export interface Refusal {
  code: string
  where: string | null
}

/** An item as it leaves the isolate: nothing of what it says can be read. JSON as it stands, for the queue. */
export interface SealedItem {
  id: string
  kind: string
  destination: Destination
  received_at: string
  request_hash: string
  sealed: string
  /** The database has refused it already: kept for a person to repair. */
  refused?: Refusal
}

/** What the payload of an item is sealed for. */
export function sealContext(id: string): string {
  return `intake:${id}`
}

/** `full` and `oversized`: it has to be kept elsewhere. */
export type PutAnswer =
  | { outcome: 'kept' | 'known' | 'key_reused' | 'full' | 'oversized' }
  | { outcome: 'rate_limited'; wait_seconds: number }

/** What may be shown of an item without opening it. */
export interface BufferedItem {
  id: string
  kind: string
  destination: Destination
  state: BufferState
  received_at: Date
  attempts: number
  next_at: Date
  last_error: Refusal | null
  dead_at: Date | null
  bytes: number
}

export interface BufferStats {
  /** What waits to be stored. */
  depth: number
  dead: number
  oldest_received_at: Date | null
  /** How often the item that was tried most has been tried, of those that wait. */
  attempts: number
  bytes: number
}

export interface FlushReport {
  stored: number
  /** They were in the database already. */
  known: number
  dead: number
  waiting: number
  /** False: the database stopped answering. */
  reached: boolean
}

/** What a person changes about an item before it is tried again. */
export interface Repair {
  /** JSON merge patch (RFC 7396) of the payload. */
  patch?: Record<string, unknown>
  destination?: Destination
}

export type ReplayAnswer =
  | { outcome: 'not_found' | 'unreadable' }
  | { outcome: 'stored' | 'known' }
  /** The database did not take it, for this reason or none; it comes again by itself. */
  | { outcome: 'waiting'; error: Refusal | null }
  | { outcome: 'dead'; error: Refusal | null }

/** Every `now` is the caller's clock: the tick that the call follows from, or the real time. */
export interface IngestBufferPort {
  /** Once by id. `name` is the object's own, which it cannot know by itself in an alarm. */
  put(name: string, item: SealedItem, slots: readonly Slot[], now: Date): Promise<PutAnswer>
  /** Everything that waits, at once, until the database stops answering. */
  flush(now: Date): Promise<FlushReport>
  stats(): Promise<BufferStats>
  /** Whether its last flush did not reach the database. */
  isAway(): Promise<boolean>
  /** Latest first. */
  list(state: BufferState | null, limit: number, after: Cursor | null): Promise<BufferedItem[]>
  /** `payload` is JSON; null where no key of ours opens it. */
  read(id: string): Promise<{ item: BufferedItem; payload: string | null } | null>
  replay(id: string, repair: Repair, now: Date): Promise<ReplayAnswer>
  /** Removes all of that state while they are as many as expected, and nothing otherwise. Answers the first of them. */
  clear(state: BufferState, expected: number, listed: number): Promise<BufferedItem[] | null>
}

/** By name: an organization's id, perhaps with a shard, or `UNROUTED`. Any call may throw: nothing is known then. */
export type IngestBuffers = (name: string) => IngestBufferPort

/** For items whose organization nobody could tell. */
export const UNROUTED = 'unrouted'
export const SHARDS = 8

/** Shard 0 is the organization's own object. */
export function bufferName(base: string, shard: number): string {
  return shard === 0 ? base : `${base}/${shard}`
}

/** Whose buffer it is; null for what nobody could tell. */
export function organizationOf(name: string): string | null {
  const [base = UNROUTED] = name.split('/')
  return base === UNROUTED ? null : base
}

/** Far below what a call may carry, and what an object may hold in memory at a time. */
export const MAX_ITEM_BYTES = 8_000_000

export function openIngestBuffers(namespace: DurableObjectNamespace): IngestBuffers {
  return (name) => {
    // One stub per call: one whose object was reset stays broken.
    const stub = () => namespace.get(namespace.idFromName(name)) as DurableObjectStub & IngestBufferPort
    return {
      put: (...args) => soon(stub().put(...args)),
      flush: (now) => stub().flush(now),
      stats: () => soon(stub().stats()),
      isAway: () => soon(stub().isAway()),
      list: (...args) => soon(stub().list(...args)),
      read: (id) => soon(stub().read(id)),
      replay: (...args) => stub().replay(...args),
      clear: (...args) => soon(stub().clear(...args)),
    }
  }
}

/** An object that does not answer is one that cannot be reached. */
const ANSWER_WITHIN_MS = 5000

export async function soon<T>(answer: Promise<T>, within_ms = ANSWER_WITHIN_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The object did not answer in time')), within_ms)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
