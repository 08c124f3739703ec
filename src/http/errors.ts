// Every error leaves as RFC 9457 problem+json. Only our own messages are shown.
import type { ErrorHandler, NotFoundHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { AppError, type ErrorCode, errorStatus, type FieldError } from '#kernel/errors'
import { createLog } from '#platform/log'
import type { AppEnv } from './router'

export const titles: Record<ErrorCode, string> = {
  invalid: 'The request is invalid',
  unauthenticated: 'Authentication is required',
  forbidden: 'Not allowed',
  not_found: 'Not found',
  conflict: 'Conflict',
  gone: 'Gone',
  precondition_failed: 'The resource has changed',
  too_large: 'The body is too large',
  unsupported_media_type: 'Unsupported media type',
  unprocessable: 'Refused by a rule',
  rate_limited: 'Too many requests',
  internal: 'Something went wrong',
  not_configured: 'Not configured',
  unavailable: 'Temporarily unavailable',
}

export const onError: ErrorHandler<AppEnv> = (error, c) => {
  const known = asAppError(error)
  if (known.code === 'internal')
    (c.get('ctx')?.log ?? createLog()).error('request.failed', error, { path: c.req.routePath })
  const { retry_after_seconds, errors, settings, challenge = 'Bearer' } = known.details
  if (retry_after_seconds !== undefined) c.header('Retry-After', String(retry_after_seconds))
  if (known.code === 'unauthenticated') c.header('WWW-Authenticate', challenge)
  const status = errorStatus[known.code]
  return c.body(
    JSON.stringify({
      type: 'about:blank',
      title: titles[known.code],
      status,
      detail: known.message,
      code: known.code,
      request_id: c.get('request_id') ?? '',
      ...(errors ? { errors } : {}),
      ...(settings ? { settings } : {}),
    }),
    status,
    { 'Content-Type': 'application/problem+json' },
  )
}

// Answered, not thrown: what waits for the answer in a middleware has to get one.
export const onNotFound: NotFoundHandler<AppEnv> = (c) =>
  onError(new AppError('not_found', 'There is no such route.'), c)

/** Hono and its validators throw plain exceptions for broken JSON, a wrong content type or a body over the limit. */
function asAppError(error: Error): AppError {
  if (error instanceof AppError) return error
  if (error instanceof HTTPException) {
    if (error.status === 400)
      return new AppError('invalid', 'The body cannot be read as JSON.', {
        errors: [{ path: 'body', message: 'is not valid JSON' }],
      })
    if (error.status === 413) return new AppError('too_large', 'The body is larger than this route takes.')
    if (error.status === 415) return new AppError('unsupported_media_type', 'Send application/json.')
  }
  return new AppError('internal', 'Something went wrong on our side. The request id helps us to find it.')
}

export function toFieldErrors(
  issues: readonly { path: PropertyKey[]; message: string; keys?: PropertyKey[] }[],
  target: string,
): FieldError[] {
  return (
    issues
      // Zod reports unknown keys at the object that has them.
      .flatMap(({ path, message, keys }) =>
        keys === undefined
          ? [{ path, message }]
          : keys.slice(0, 10).map((key) => ({ path: [...path, key], message: 'is not known here' })),
      )
      .slice(0, 50)
      // Names that a stranger made up come back in both, so both are cut.
      .map(({ path, message }) => ({
        path: short(path.map(String).join('.') || target),
        message: short(message),
      }))
  )
}

function short(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300).toWellFormed()}…` : text
}
