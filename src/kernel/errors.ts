// The one error of the product and the one code→status table.

export const errorStatus = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  gone: 410,
  precondition_failed: 412,
  too_large: 413,
  unsupported_media_type: 415,
  unprocessable: 422,
  rate_limited: 429,
  internal: 500,
  not_configured: 503,
  unavailable: 503,
} as const
export type ErrorCode = keyof typeof errorStatus

export interface FieldError {
  path: string
  message: string
}

export interface ErrorDetails {
  errors?: FieldError[]
  /** Sent as WWW-Authenticate, where another scheme than Bearer is asked for. */
  challenge?: string
  /** Sent as Retry-After. */
  retry_after_seconds?: number
  /** Names of the settings that are missing (`not_configured`). */
  settings?: string[]
}

/** The only error whose message reaches a client. Anything else answers 500 without its text. */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message)
    this.name = 'AppError'
    this.code = code
    this.details = details
  }
}

export function notFound(what: string): AppError {
  return new AppError('not_found', `${what} was not found.`)
}

/** Input that is well formed JSON but names a field wrongly. */
export function invalidField(path: string, message: string): AppError {
  return new AppError('invalid', `${path}: ${message}`, { errors: [{ path, message }] })
}
