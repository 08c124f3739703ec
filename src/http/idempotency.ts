// Idempotency-Key on POST: the same key and body get the first answer again, another body is refused.
import { createMiddleware } from 'hono/factory'
import type { StatusCode } from 'hono/utils/http-status'
import { type Actor, actorId } from '#kernel/actor'
import { AppError, invalidField } from '#kernel/errors'
import type { Ctx } from '#platform/context'
import { hmacSha256, sha256Hex, toHex } from '#platform/crypto'
import {
  claimKey,
  keepResponse,
  type KeyedRequest,
  releaseKey,
  type StoredResponse,
} from '#platform/idempotency'
import { readActor } from './auth'
import type { AppEnv } from './router'

const KEYED = /^\/(?:api|admin)\//
/** Webhooks have keys of their own; a sign-in makes nothing, and a refresh token is its own key. */
const NOT_KEYED = /^\/(?:admin\/login|api(?:\/v1)?\/(?:auth\/(?:login|refresh)|webhooks\/.*))$/
/** What nobody has to be signed in for. Elsewhere a key without a token is not even looked at: its answer is 401. */
const OPEN = /^\/api(?:\/v1)?\/auth\//
const KEPT_HEADERS = ['Content-Type', 'Cache-Control', 'ETag', 'Location']
/** Nothing has happened yet, and the same request may fare better later. */
const RETRYABLE = new Set([401, 403, 404, 408, 409, 429])
const MAX_PATH = 200

export const idempotency = createMiddleware<AppEnv>(async (c, next) => {
  const key = c.req.header('Idempotency-Key')
  const { path } = c.req
  if (key === undefined || c.req.method !== 'POST' || !KEYED.test(path) || NOT_KEYED.test(path)) return next()
  judgeKey(key)
  const ctx = c.get('ctx')
  const actor = await readActor(ctx, c.req.header('Authorization'))
  if (actor === null && !OPEN.test(path)) return next()
  const body = await c.req.raw.arrayBuffer()
  // What was read is put back, for handlers that stream as well as for those that parse.
  c.req.raw = new Request(c.req.raw, { method: 'POST', body: body.byteLength === 0 ? null : body })
  const request = await describe(ctx, actor, new URL(c.req.url), key, new Uint8Array(body))

  const claim = await claimKey(ctx, request)
  switch (claim.outcome) {
    case 'replay':
      return replay(claim.response)
    case 'running':
      throw new AppError('conflict', 'The first request with this Idempotency-Key is still running.')
    case 'unreadable':
      throw new AppError('conflict', 'The request was carried out, but its answer cannot be read any more.')
    case 'other_request':
      throw new AppError('unprocessable', 'This Idempotency-Key was used for another request.')
    case 'run':
      await next()
      await settle(ctx, request, claim.lease, c.res, actor !== null)
      return undefined
  }
})

export function judgeKey(key: string): void {
  if (!/^[\x20-\x7e]{1,255}$/.test(key))
    throw invalidField('Idempotency-Key', 'must be 1 to 255 ASCII characters')
}

/** The caller as the token proves it: a key of one caller never answers another. */
async function describe(
  ctx: Ctx,
  actor: Actor | null,
  url: URL,
  key: string,
  body: Uint8Array,
): Promise<KeyedRequest> {
  const caller =
    actor === null
      ? 'anonymous'
      : `${actor.type}:${actor.type === 'user' ? `${actor.org_id}:` : ''}${actorId(actor)}`
  // Keyed: a body may hold a password, and a plain hash of it could be guessed.
  const text = `idempotency|${url.pathname}${url.search}|${await sha256Hex(body)}`
  const request_hash = toHex(await hmacSha256(ctx.config.JWT_SECRET, text))
  // An index takes no longer one, and no route of ours is: what is cut off is still in the hash.
  return { scope: `${caller} ${url.pathname.slice(0, MAX_PATH)}`, key, request_hash }
}

async function settle(
  ctx: Ctx,
  request: KeyedRequest,
  lease: Date,
  response: Response,
  keeps_refusals: boolean,
): Promise<void> {
  const { status } = response
  try {
    // Nobody fills our table with refusals of strangers.
    if (status >= 500 || RETRYABLE.has(status) || (status >= 400 && !keeps_refusals))
      return await releaseKey(ctx, request, lease)
    const body = await response.clone().text()
    const headers = Object.fromEntries(
      KEPT_HEADERS.flatMap((name) => {
        const value = response.headers.get(name)
        return value === null ? [] : [[name, value]]
      }),
    )
    await keepResponse(ctx, request, lease, { status, headers, body })
  } catch (error) {
    // The request itself was carried out; its caller must hear so.
    ctx.log.error('idempotency.not_kept', error)
  }
}

function replay({ status, headers, body }: StoredResponse): Response {
  const answer = { status: status as StatusCode, headers: { ...headers, 'Idempotent-Replayed': 'true' } }
  return new Response(status === 204 ? null : body, answer)
}
