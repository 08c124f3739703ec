// When the buffer tries again, and when it gives up. Pure.

const SECOND = 1000
const DAY = 86_400 * SECOND

/** What waits longer is a dead letter. */
export const WAITS_MS = 7 * DAY
/** Dead letters are kept that long. */
export const DEAD_KEPT_MS = 14 * DAY

/** The first try comes soon after the item: the outage may be over already. */
export const FIRST_TRY_MS = 5 * SECOND
/** A try costs one cheap question while the database is away, and without traffic nobody else asks. */
const LONGEST_WAIT_MS = 60 * SECOND

/** 5 s, 10 s, 20 s … 1 min, ±20 %. `failures` counts the last one; `spread` in [0,1) is the caller's randomness. */
export function backoffMs(failures: number, spread: number): number {
  const base = Math.min(FIRST_TRY_MS * 2 ** Math.min(Math.max(0, failures - 1), 10), LONGEST_WAIT_MS)
  return Math.round(base * (0.8 + 0.4 * spread))
}

export const BATCH_ITEMS = 100
export const BATCH_BYTES = 4_000_000
/** Items in a row that fail for no reason of their own: something is wrong with us, and trying the rest would be a storm. */
export const MAX_STRANGE = 20

/** No value exceeds 2 MB, by the platform's limit, and none of ours half of that. */
export const PART_CHARS = 1_000_000
/** An object holds 10 GB. */
export const MAX_OBJECT_BYTES = 8_000_000_000
