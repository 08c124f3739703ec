// Whether a form was filled in by a program. A wrong guess costs a look into the spam list and never the lead. Pure.
import type { LeadSignal } from '#kernel/vocabulary'

/** Nobody reads, types and sends in less; a script does. */
const MIN_MS = 2000
/** An older page says nothing any more. */
const MAX_MS = 24 * 3600 * 1000

/** `rendered_at` is null where nothing proves it; then the time is not judged. */
export function signalsOf(honeypot: string | undefined, rendered_at: Date | null, now: Date): LeadSignal[] {
  const age = rendered_at === null ? MAX_MS : now.getTime() - rendered_at.getTime()
  return [
    ...(honeypot !== undefined && honeypot.trim() !== '' ? (['honeypot'] as const) : []),
    ...(age < MIN_MS ? (['too_fast'] as const) : []),
  ]
}

export function isSpam(signals: readonly LeadSignal[]): boolean {
  return signals.includes('honeypot') || signals.includes('too_fast')
}

/** As the database judges it: an empty list lets everybody post. */
export function mayPost(origin: string | null, allowed: readonly string[]): boolean {
  return allowed.length === 0 || (origin !== null && allowed.includes(origin))
}
