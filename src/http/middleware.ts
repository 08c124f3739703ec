// In this order: request id → errors → body limit → ctx → Server-Timing. What belongs to single routes is in auth.ts.
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { createMiddleware } from 'hono/factory'
import { secureHeaders } from 'hono/secure-headers'
import { uuidv7 } from 'uuidv7'
import { AppError } from '#kernel/errors'
import { readConfig } from '#platform/config'
import { type CtxOptions, createContext } from '#platform/context'
import type { AppEnv } from './router'

const REQUEST_ID = /^[\w.:-]{1,100}$/

// Set once the answer is there: a header set before makes Hono build an answer early, only to merge it later. And on the answer
// itself, which is ours by now: `c.header` would make another one of it.
export const requestId = createMiddleware<AppEnv>(async (c, next) => {
  const given = c.req.header('X-Request-Id')
  const id = given !== undefined && REQUEST_ID.test(given) ? given : uuidv7()
  c.set('request_id', id)
  await next()
  c.res.headers.set('X-Request-Id', id)
})

const MB = 1024 * 1024
const SMALL = 64 * 1024
const small = /^\/(api\/v1\/auth|api\/auth|lead|u|webhooks\/(gmail|microsoft)|inbound\/leads)(\/|$)/

function limit(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError: () => {
      throw tooLarge(maxSize)
    },
  })
}

function tooLarge(max: number): AppError {
  return new AppError('too_large', `The body is larger than ${max} bytes.`)
}

const limitSmall = limit(SMALL)
const limitNormal = limit(MB)

/** For the form's own middleware, which makes a page of the refusal. */
export const limitForm = limitSmall

/** Read by its handler as it comes in: never in memory as a whole. */
const STREAMED = /^\/api(?:\/v1)?\/webhooks\/postmark\/inbound$/
const limitStreamed = stream(50 * MB)

function stream(max: number) {
  return createMiddleware<AppEnv>((c, next) => {
    if (Number(c.req.header('Content-Length') ?? 0) > max) throw tooLarge(max)
    // Whoever sends in pieces names no length.
    const { body, method } = c.req.raw
    if (body) c.req.raw = new Request(c.req.raw, { method, body: body.pipeThrough(countUpTo(max)) })
    return next()
  })
}

function countUpTo(max: number): TransformStream<Uint8Array, Uint8Array> {
  let size = 0
  return new TransformStream({
    transform: (chunk, controller) => {
      size += chunk.length
      if (size > max) controller.error(tooLarge(max))
      else controller.enqueue(chunk)
    },
  })
}

const FORM = /^\/lead\//
export const limitBody = createMiddleware<AppEnv>((c, next) => {
  const { path } = c.req
  if (FORM.test(path)) return next()
  if (STREAMED.test(path)) return limitStreamed(c, next)
  return small.test(path) ? limitSmall(c, next) : limitNormal(c, next)
})

/** `overrides`: tests bring their own time and outside world through the same door. */
export const provideContext = (overrides: Pick<CtxOptions, 'clock' | 'fetch'>) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const ctx = createContext(c.env, {
      ...overrides,
      actor: { type: 'system', name: 'anonymous' },
      // The execution context loses `this` when it is destructured.
      waitUntil: (work) => c.executionCtx.waitUntil(work),
      request_id: c.get('request_id'),
      ip: c.req.header('CF-Connecting-IP') ?? null,
    })
    c.set('ctx', ctx)
    c.set('actor', null)
    const started = performance.now()
    await next()
    const { round_trips, milliseconds } = ctx.meter
    c.header('Server-Timing', `db;dur=${milliseconds.toFixed(1)};desc="${round_trips}"`)
    ctx.log.info('request', {
      method: c.req.method,
      route: c.req.routePath,
      status: c.res.status,
      ms: Math.round(performance.now() - started),
      round_trips,
    })
  })

const allow = cors({
  origin: (origin, c: Context<AppEnv>) => (readConfig(c.env).CORS_ORIGINS.includes(origin) ? origin : null),
  allowHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'X-Request-Id'],
  exposeHeaders: ['ETag', 'Retry-After', 'X-Request-Id', 'Idempotent-Replayed', 'Server-Timing'],
  maxAge: 600,
})
const ANY_PAGE = /^\/(?:lead\/|embed\.js$)/
/** Only a browser on another origin needs to be told. */
export const allowOrigins = createMiddleware<AppEnv>((c, next) =>
  c.req.header('Origin') === undefined || ANY_PAGE.test(c.req.path) ? next() : allow(c, next),
)

const PREFLIGHT = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST',
  'Access-Control-Allow-Headers': 'Content-Type, Idempotency-Key, X-Request-Id',
  'Access-Control-Max-Age': '86400',
}
/**
 * For the public form, which knows no cookie and no token: any page may ask. What a page reads of the answer is its own doing,
 * but for a page that the organization does not let post.
 */
export const allowAnyPage = createMiddleware<AppEnv>(async (c, next) => {
  if (c.req.method === 'OPTIONS') return new Response(null, { status: 204, headers: PREFLIGHT })
  await next()
  if (c.res.status === 403) return undefined
  c.header('Access-Control-Allow-Origin', '*')
  c.header('Access-Control-Expose-Headers', 'Retry-After, X-Request-Id, Idempotent-Replayed')
  return undefined
})

// What a route has set for its own page stays.
export const secure = secureHeaders({ crossOriginResourcePolicy: false, overwrite: false })
