// Storage behind Idempotency-Key: who runs a request first, and what was answered then.
import { and, eq, lt, lte, or, sql } from 'drizzle-orm'
import { q } from '#db/client'
import { idempotency_keys } from '#db/schema/platform'
import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Ctx } from './context'
import { SealedWithAnotherKey } from './crypto'

export interface KeyedRequest {
  /** Caller and route. */
  scope: string
  key: string
  request_hash: string
}

export interface StoredResponse {
  status: number
  headers: Record<string, string>
  body: string
}

/** `lease` is the fence: whoever lost it keeps and releases nothing. */
export type Claim =
  | { outcome: 'run'; lease: Date }
  | { outcome: 'replay'; response: StoredResponse }
  | { outcome: 'running' }
  | { outcome: 'other_request' }
  /** The answer was sealed with a key that is gone. */
  | { outcome: 'unreadable' }

/** Longer than any request of ours takes; after it the first one is taken for dead. */
const LEASE_SECONDS = 60
const KEPT_SECONDS = 24 * 3600

export async function claimKey(ctx: Ctx, request: KeyedRequest): Promise<Claim> {
  const lease_until = sql`now() + make_interval(secs => ${LEASE_SECONDS})`
  const now = ctx.clock.now()
  const expires_at = addSeconds(now, KEPT_SECONDS)
  const table = idempotency_keys
  const [[claimed], [known]] = await systemDb(ctx).batch([
    q
      .insert(table)
      .values({ ...request, state: 'running', lease_until, expires_at })
      .onConflictDoUpdate({
        target: [table.scope, table.key],
        set: {
          request_hash: request.request_hash,
          state: 'running',
          lease_until,
          expires_at,
          response_status: null,
          response_headers: null,
          response_sealed: null,
        },
        setWhere:
          or(
            lte(table.expires_at, now),
            and(
              eq(table.state, 'running'),
              lt(table.lease_until, sql`now()`),
              eq(table.request_hash, request.request_hash),
            ),
          ) ?? sql`false`,
      })
      .returning({ lease: table.lease_until }),
    // A statement of its own, so that it sees the row of whoever was quicker.
    q
      .select()
      .from(table)
      .where(and(eq(table.scope, request.scope), eq(table.key, request.key))),
  ])
  if (claimed) return { outcome: 'run', lease: claimed.lease }
  if (!known) return { outcome: 'running' }
  if (known.request_hash !== request.request_hash) return { outcome: 'other_request' }
  if (known.state === 'running' || known.response_sealed === null) return { outcome: 'running' }
  try {
    const body = await ctx.open(known.response_sealed, sealContext(request))
    const { response_status, response_headers } = known
    return {
      outcome: 'replay',
      response: { status: response_status ?? 200, headers: response_headers ?? {}, body },
    }
  } catch (error) {
    if (error instanceof SealedWithAnotherKey) return { outcome: 'unreadable' }
    throw error
  }
}

export async function keepResponse(
  ctx: Ctx,
  request: KeyedRequest,
  lease: Date,
  response: StoredResponse,
): Promise<void> {
  await systemDb(ctx).batch([
    q
      .update(idempotency_keys)
      .set({
        state: 'done',
        response_status: response.status,
        response_headers: response.headers,
        response_sealed: await ctx.seal(response.body, sealContext(request)),
      })
      .where(isHeld(request, lease)),
  ])
}

/** The request had no effect: the same key may try again. */
export async function releaseKey(ctx: Ctx, request: KeyedRequest, lease: Date): Promise<void> {
  await systemDb(ctx).batch([q.delete(idempotency_keys).where(isHeld(request, lease))])
}

function isHeld({ scope, key }: KeyedRequest, lease: Date) {
  return and(
    eq(idempotency_keys.scope, scope),
    eq(idempotency_keys.key, key),
    eq(idempotency_keys.state, 'running'),
    eq(idempotency_keys.lease_until, lease),
  )
}

function sealContext({ scope, key }: KeyedRequest): string {
  return `idempotency:${scope}:${key}`
}
