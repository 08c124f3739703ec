// One refresh at a time, however many ask: a rotating provider answers a second one with a dead session.
import { fail, type Failure, type Result, succeed } from '#kernel/failure'
import { isTokenFresh } from '../policy'
import type { Tokens } from '../providers/contract'

export interface TokenDeps {
  now(): Date
  /** `null` when the mailbox holds none. May throw when they were sealed with another key. */
  read(): Promise<Tokens | null>
  /** Persisted before the new token is used: the old refresh token may be dead already. */
  write(tokens: Tokens): Promise<void>
  refresh(refresh_token: string): Promise<Result<Tokens>>
  /** Waits about that long; jittered by the caller's randomness. */
  pause(milliseconds: number): Promise<void>
}

export interface TokenKeeper {
  /** An access token that is fresh for minutes. `refused`: the one that the provider has just not taken. */
  get(deps: TokenDeps, refused?: string): Promise<Result<string>>
  forget(): void
}

const ATTEMPTS = 3
const PAUSE_MS = 400
/** After a failed flight everybody is told the same for a while, so that a waiting crowd makes no storm. */
const NEGATIVE_CACHE_MS = 7_000

export function createTokenKeeper(): TokenKeeper {
  let tokens: Tokens | null = null
  let flight: Promise<Result<Tokens>> | null = null
  let failed: { failure: Failure; until: number } | null = null
  // A flight of an earlier connection must not leave its tokens in the next one.
  let generation = 0

  const refresh = async (deps: TokenDeps, held: Tokens): Promise<Result<Tokens>> => {
    const mine = generation
    let result: Result<Tokens> = fail('transient', 'refresh_failed', 'The token could not be refreshed.')
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      result = await deps.refresh(held.refresh_token)
      if (result.ok || result.failure.kind !== 'transient') break
      if (attempt < ATTEMPTS) await deps.pause(PAUSE_MS * attempt)
    }
    if (mine !== generation) return fail('auth', 'not_connected', 'The mailbox was disconnected meanwhile.')
    if (!result.ok) {
      failed = { failure: result.failure, until: deps.now().getTime() + NEGATIVE_CACHE_MS }
      return result
    }
    await deps.write(result.value)
    tokens = result.value
    return result
  }

  return {
    get: async (deps, refused) => {
      if (flight === null) {
        tokens ??= await deps.read()
        if (tokens === null) return fail('auth', 'not_connected', 'The mailbox is not connected.')
        if (tokens.access_token !== refused && isTokenFresh(tokens.expires_at, deps.now()))
          return succeed(tokens.access_token)
        if (failed !== null && failed.until > deps.now().getTime())
          return { ok: false, failure: failed.failure }
        // No await between this check and the assignment, or two would fly.
        flight ??= refresh(deps, tokens).finally(() => {
          flight = null
        })
      }
      const result = await flight
      return result.ok ? succeed(result.value.access_token) : result
    },
    forget: () => {
      generation++
      tokens = null
      flight = null
      failed = null
    },
  }
}
