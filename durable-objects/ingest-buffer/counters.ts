// Rate limits while the database cannot count: in memory, per minute, as `take_rate_limit` does it.
import type { Slot } from '#platform/rate-limit'

const MINUTE = 60_000
const MAX_KEYS = 50_000

export function createCounters() {
  let minute = 0
  let counts = new Map<string, number>()
  return {
    /** Takes one of each. Returns the seconds to wait, 0 when all were granted. */
    take: (slots: readonly Slot[], now: Date): number => {
      const current = Math.floor(now.getTime() / MINUTE)
      if (current !== minute || counts.size > MAX_KEYS) {
        minute = current
        counts = new Map()
      }
      let refused = false
      for (const { key, limit } of slots) {
        if (limit <= 0) continue
        const count = (counts.get(key) ?? 0) + 1
        counts.set(key, count)
        if (count > limit) refused = true
      }
      return refused ? Math.max(1, Math.ceil(((current + 1) * MINUTE - now.getTime()) / 1000)) : 0
    },
  }
}
