// One Gmail call: the answer parsed by zod, Google's errors told apart.
import * as z from 'zod'
import { type Failure, fail, type Result, succeed } from '#kernel/failure'
import type { HttpResponse } from '#platform/http-client'
import type { MailApi } from './contract'

const MAX_BYTES = 4 * 1024 * 1024

const googleError = z.object({
  error: z.object({
    message: z.string().default(''),
    errors: z.array(z.object({ reason: z.string().default('') })).default([]),
    status: z.string().optional(),
  }),
})

const DEFAULT_WAIT_SECONDS = 60
/** Quotas of a day are the longest; a slip of the provider must not silence a mailbox for years. */
const MAX_WAIT_SECONDS = 24 * 3600

const QUOTA =
  /rateLimitExceeded|userRateLimitExceeded|quotaExceeded|dailyLimitExceeded|concurrent requests|rate limit/i

export async function callGmail<S extends z.ZodType>(
  api: MailApi,
  method: string,
  path: string,
  answer: S,
  options: { body?: unknown; notFound?: string; max_bytes?: number; timeout_ms?: number } = {},
): Promise<Result<z.infer<S>>> {
  const response = await api.ctx.http.request(`${api.ctx.config.GMAIL_API_BASE}/gmail/v1/users/me${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${api.access_token}`,
      ...(options.body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    max_bytes: options.max_bytes ?? MAX_BYTES,
    ...(options.timeout_ms === undefined ? {} : { timeout_ms: options.timeout_ms }),
  })
  if (!response.ok) return response
  const { status, text } = response.value
  if (status < 200 || status > 299)
    return { ok: false, failure: readFailure(response.value, api.ctx.clock.now(), options.notFound) }
  const parsed = answer.safeParse(text === '' ? null : parseJson(text))
  return parsed.success
    ? succeed(parsed.data)
    : fail('transient', 'unreadable_answer', 'The answer of Gmail cannot be read.')
}

export function mapResult<A, B>(result: Result<A>, map: (value: A) => B): Result<B> {
  return result.ok ? succeed(map(result.value)) : result
}

function readFailure(response: HttpResponse, now: Date, notFound = 'not_found'): Failure {
  const { status, headers, text } = response
  const parsed = googleError.safeParse(parseJson(text))
  const error = parsed.success ? parsed.data.error : undefined
  const reasons = `${error?.errors.map((entry) => entry.reason).join(' ') ?? ''} ${error?.message ?? ''} ${parsed.success ? '' : text.slice(0, 500)}`
  if (status === 401)
    return { kind: 'auth', code: 'token_refused', message: 'Gmail refused the access token.' }
  if (status === 429 || (status === 403 && QUOTA.test(reasons))) {
    return {
      kind: 'rate_limited',
      code: 'rate_limited',
      message: 'Gmail asks to slow down.',
      retry_after_seconds: readRetryAfter(headers.get('Retry-After'), reasons, now),
    }
  }
  if (status === 403 && /insufficient|scope/i.test(reasons))
    return { kind: 'auth', code: 'insufficient_scopes', message: 'Gmail says that a permission is missing.' }
  if (status === 404) return { kind: 'permanent', code: notFound, message: 'Gmail does not know it.' }
  if (status === 400 && /only one user push notification client/i.test(reasons)) {
    return { kind: 'permanent', code: 'watched_elsewhere', message: 'Another topic watches this mailbox.' }
  }
  if (status === 400 && /mail service not enabled|failedPrecondition/i.test(reasons))
    return { kind: 'permanent', code: 'no_mailbox', message: 'The account has no mailbox.' }
  if (status >= 500 || status === 408)
    return { kind: 'transient', code: 'provider_unavailable', message: `Gmail answered ${status}.` }
  return { kind: 'permanent', code: 'refused', message: `Gmail answered ${status}.` }
}

/** From the header (seconds or a date) or from the text ("Retry after 2025-08-22T18:22:38.763Z"). */
function readRetryAfter(header: string | null, text: string, now: Date): number {
  const written = header?.trim() ?? /retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)/i.exec(text)?.[1] ?? ''
  const seconds = /^\d+$/.test(written)
    ? Number(written)
    : Math.ceil((Date.parse(written) - now.getTime()) / 1000)
  return Number.isNaN(seconds) ? DEFAULT_WAIT_SECONDS : Math.min(Math.max(1, seconds), MAX_WAIT_SECONDS)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
