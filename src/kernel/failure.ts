// What a provider or another system can do to us, and the one table of what follows from it. Pure.

export type FailureKind = 'auth' | 'rate_limited' | 'transient' | 'permanent'

export interface Failure {
  kind: FailureKind
  /** Stable, snake_case: what a person searches for. */
  code: string
  /** No addresses, tokens or bodies: it is stored and shown. */
  message: string
  retry_after_seconds?: number
}

export type Result<T> = { ok: true; value: T } | { ok: false; failure: Failure }

export function succeed<T>(value: T): Result<T> {
  return { ok: true, value }
}

export function fail(
  kind: FailureKind,
  code: string,
  message: string,
  retry_after_seconds?: number,
): { ok: false; failure: Failure } {
  return {
    ok: false,
    failure: { kind, code, message, ...(retry_after_seconds === undefined ? {} : { retry_after_seconds }) },
  }
}

const MAX_JOB_ATTEMPTS = 10

export type Verdict =
  | { action: 'retry'; delay_seconds: number }
  | { action: 'dead_letter' }
  /** The mailbox's status already says it; a person has to reconnect. Retrying would be a storm. */
  | { action: 'drop' }

/** `attempts` counts this one (1 = first). `spread` in [0,1) is the caller's randomness. */
export function judgeFailure(failure: Failure, attempts: number, spread: number): Verdict {
  switch (failure.kind) {
    case 'auth':
      return { action: 'drop' }
    case 'permanent':
      return { action: 'dead_letter' }
    case 'rate_limited':
      // Being throttled says nothing about the job, so it never becomes a dead letter for it.
      return {
        action: 'retry',
        delay_seconds: clampDelay(failure.retry_after_seconds ?? backoff(attempts, spread)),
      }
    case 'transient':
      if (attempts >= MAX_JOB_ATTEMPTS) return { action: 'dead_letter' }
      return {
        action: 'retry',
        delay_seconds: clampDelay(failure.retry_after_seconds ?? backoff(attempts, spread)),
      }
  }
}

/** 2 s, 4 s, 8 s … at most 15 min, ±20 %. */
function backoff(attempts: number, spread: number): number {
  const base = Math.min(2 ** Math.max(1, attempts), 900)
  return Math.max(1, Math.round(base * (0.8 + 0.4 * spread)))
}

// Queues refuse a delay over 12 h; whatever is due later is found by a sweep.
const MAX_DELAY_SECONDS = 12 * 3600
function clampDelay(seconds: number): number {
  return Math.min(Math.max(0, Math.ceil(seconds)), MAX_DELAY_SECONDS)
}
