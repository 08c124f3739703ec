// When a transport that all organizations share is left alone, and for how long.
import type { Failure } from '#kernel/failure'
import type { TransportName } from '#kernel/vocabulary'

/** One send tries again when a pause is over. The others wait this long for what it finds. */
export const PROBE_SECONDS = 120

/** So much later than the others comes the one that was refused: what it met may be its own, and another one finds out. */
export const AFTER_OTHERS_SECONDS = 60

/**
 * The account or the server is refused, not this mail: the send keeps its attempt, and no other one runs into the same wall.
 * A mailbox says so by its own status; the local outbox has no account.
 */
export function pausesTransport(transport: TransportName, failure: Failure): boolean {
  return failure.kind === 'auth' && transport !== 'mailbox' && transport !== 'outbox'
}

/** 1, then 5, then 15 minutes, by how long it has been paused; `null`: it is not yet. */
export function pauseSeconds(paused_seconds: number | null): number {
  if (paused_seconds === null) return 60
  return paused_seconds < 300 ? 300 : 900
}
