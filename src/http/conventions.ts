// What holds for every route of the API and of the operator, and for leads from a backend.
import { createMiddleware } from 'hono/factory'
import { AppError } from '#kernel/errors'
import type { AppEnv } from './router'

const API = /^\/(?:(?:api|admin)\/|inbound\/leads$)/
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json(?:\s*;|$)/i

/**
 * A body is JSON: one of another type would be taken for none, and "disconnect this one" for "disconnect all". An answer is
 * its caller's alone, so no cache keeps it, unless the route says otherwise.
 */
export const apiConventions = createMiddleware<AppEnv>(async (c, next) => {
  if (!API.test(c.req.path)) return next()
  if (hasBody(c.req.raw) && !JSON_TYPE.test(c.req.header('Content-Type') ?? ''))
    throw new AppError('unsupported_media_type', 'Send application/json.')
  await next()
  // On the answer itself: `c.header` would make another one of it.
  if (!c.res.headers.has('Cache-Control')) c.res.headers.set('Cache-Control', 'no-store')
  return undefined
})

function hasBody(request: Request): boolean {
  return request.body !== null && request.headers.get('Content-Length') !== '0'
}
