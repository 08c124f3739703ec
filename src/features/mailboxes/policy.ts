// The mailbox's decisions. No I/O and no clock: `now` is passed in.
import type { Failure } from '#kernel/failure'

/** Fresh for at least this long, so that a call never starts with a token that dies under way. */
const TOKEN_SKEW_MS = 5 * 60_000
/** Without push. */
const POLL_MS = 90_000
/** With push, as a net: the cron does the same for objects that lost their alarm. */
const SAFETY_POLL_MS = 5 * 60_000
const DAY_MS = 24 * 3600_000
const FAILURE_BASE_MS = 30_000
const FAILURE_MAX_MS = 30 * 60_000
/** Our own database was away: that is nothing to spare the provider for. */
const OWN_FAILURE_MS = 15_000

export interface WakeState {
  push: 'on' | 'off'
  watch_expires_at: string | null
  cooldown_until: string | null
  last_synced_at: string | null
  sync_failures: number
  renew_failures: number
  /** Something was pushed while a cooldown held. */
  poked: boolean
}

export function isTokenFresh(expires_at: string, now: Date): boolean {
  return Date.parse(expires_at) - TOKEN_SKEW_MS > now.getTime()
}

/** A watch lives 7 days and is renewed daily; a shorter one at half of what it lives. */
export function isRenewalDue(watch_expires_at: string | null, now: Date): boolean {
  if (watch_expires_at === null) return true
  return Date.parse(watch_expires_at) - now.getTime() < 6 * DAY_MS
}

/** Renewals that fail come back after 1, 2, 4 … 60 minutes. */
export function renewalBackoffMs(failures: number): number {
  return Math.min(60_000 * 2 ** Math.max(0, failures - 1), 3600_000)
}

/** How long to leave the provider alone after a failure. */
export function cooldownMs(failure: Failure, failures: number): number {
  if (failure.retry_after_seconds !== undefined) return failure.retry_after_seconds * 1000
  if (failure.code === 'sync_failed') return OWN_FAILURE_MS
  return Math.min(FAILURE_BASE_MS * 2 ** Math.max(0, failures - 1), FAILURE_MAX_MS)
}

/** When the object next has to wake by itself: the earliest of backoff end, poll and, when it is due, renewal. */
export function nextWake(state: WakeState, now: Date): Date {
  const at = now.getTime()
  const cooldown = state.cooldown_until === null ? at : Date.parse(state.cooldown_until)
  if (cooldown > at) return new Date(cooldown)
  if (state.poked || state.last_synced_at === null) return now
  const poll = Date.parse(state.last_synced_at) + (state.push === 'on' ? SAFETY_POLL_MS : POLL_MS)
  return new Date(Math.max(at + 1000, poll))
}

/** What a gap is searched from: an hour before the last message that is certainly ours, at most 30 days back. */
export function gapStart(last_good: Date | null, now: Date): Date {
  const HOUR_MS = 3600_000
  const earliest = now.getTime() - 30 * DAY_MS
  // A clock that was set back must not begin the search in the future.
  const latest = Math.min((last_good ?? now).getTime(), now.getTime())
  return new Date(Math.max(latest - HOUR_MS, earliest))
}
