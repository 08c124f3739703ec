// What follows from a provider's answer, and when the next attempt may be made.
import type { Failure } from '#kernel/failure'
import type { SendKind } from '#kernel/vocabulary'

export const MAX_ATTEMPTS = 8
/** A notice that is hours late helps nobody, and a person can send it again. */
const MAX_NOTICE_ATTEMPTS = 3

/** How often a provider may answer that it cannot now, before the send has failed. */
export function attemptsOf(kind: SendKind): number {
  return kind === 'reply' || kind === 'sequence' ? MAX_ATTEMPTS : MAX_NOTICE_ATTEMPTS
}

/**
 * No invocation outlives 15 minutes, and a provider's index lags: earlier than this, "not found" proves nothing
 * (in a simulation, 2 minutes gave 17 duplicates in 445 mails, 20 minutes none).
 */
export const RECONCILE_AFTER_SECONDS = 20 * 60

/**
 * Between the gate and the provider's call; more means that this run was suspended, and others may have moved on. With the
 * longest delivery it fits into the lease: whoever is erased after it is over gets no mail that was still on its way.
 */
export const DELIVER_WITHIN_MS = 30_000

/** After this a mail of unknown fate is a person's to judge. */
export const RECONCILE_FOR_SECONDS = 24 * 3600

const RECONNECT_SECONDS = 300
const RATE_LIMIT_SECONDS = 60
const DAY_SECONDS = 24 * 3600

const badRecipient: readonly string[] = ['bad_recipient', 'recipient_refused']

export type AfterRefusal =
  | {
      state: 'scheduled'
      delay_seconds: number
      waits_because: 'mailbox_reconnect_required' | 'rate_limited' | 'provider_unavailable'
      /** Being throttled or signed out says nothing about this mail. */
      burns_attempt: boolean
    }
  | { state: 'failed'; bad_recipient: boolean }

/** `attempts` counts this one. `spread` in [0,1) is the caller's randomness. */
export function afterRefusal(
  failure: Failure,
  attempts: number,
  spread: number,
  most = MAX_ATTEMPTS,
): AfterRefusal {
  switch (failure.kind) {
    case 'auth':
      return {
        state: 'scheduled',
        delay_seconds: RECONNECT_SECONDS,
        waits_because: 'mailbox_reconnect_required',
        burns_attempt: false,
      }
    case 'rate_limited':
      return {
        state: 'scheduled',
        delay_seconds: between(failure.retry_after_seconds ?? RATE_LIMIT_SECONDS, 1, DAY_SECONDS),
        waits_because: 'rate_limited',
        burns_attempt: false,
      }
    case 'transient':
      if (attempts >= most) return { state: 'failed', bad_recipient: false }
      return {
        state: 'scheduled',
        delay_seconds: between(
          failure.retry_after_seconds ?? retryDelay(attempts, spread, most),
          1,
          DAY_SECONDS,
        ),
        waits_because: 'provider_unavailable',
        burns_attempt: true,
      }
    case 'permanent':
      return { state: 'failed', bad_recipient: badRecipient.includes(failure.code) }
  }
}

/** 1, 2, 4 … 60 minutes ±20 %: eight attempts outlast an outage of two hours. Three are spread wider: 1, then 15 minutes. */
export function retryDelay(attempts: number, spread: number, most = MAX_ATTEMPTS): number {
  const nth = Math.max(1, attempts)
  const seconds = most === MAX_ATTEMPTS ? 30 * 2 ** nth : 60 * 15 ** (nth - 1)
  return Math.round(Math.min(seconds, 3600) * (0.8 + 0.4 * spread))
}

function between(value: number, least: number, most: number): number {
  return Math.min(Math.max(Math.ceil(value), least), most)
}
