// Calls to other systems: a timeout, a cap on the answer, no followed redirects, and no private address for a tenant's URL.
import ipaddr from 'ipaddr.js'
import { type Failure, fail, type Result, succeed } from '#kernel/failure'

interface HttpRequest {
  method?: string
  headers?: Record<string, string>
  body?: string | URLSearchParams
  timeout_ms?: number
  max_bytes?: number
}

export interface HttpResponse {
  status: number
  headers: Headers
  text: string
}

/** `outcome` of a request that got no whole answer: `ambiguous` may have had its effect. */
export type HttpResult = Result<HttpResponse>

export interface HttpClient {
  /** For a URL of the operator's settings. Every HTTP status is a success here; only a missing answer is a failure. */
  request(url: string, init?: HttpRequest): Promise<HttpResult>
  /** For a URL that a tenant gave: refuses private, loopback and odd targets, except `EGRESS_ALLOWED_ORIGINS`. */
  requestPublic(url: string, init?: HttpRequest): Promise<HttpResult>
}

const DEFAULT_TIMEOUT_MS = 15_000
const DEFAULT_MAX_BYTES = 64 * 1024

export function createHttpClient(options: { fetch: typeof fetch; allowed_origins: string[] }): HttpClient {
  const request = async (url: string, init: HttpRequest = {}): Promise<HttpResult> => {
    try {
      const response = await options.fetch(url, {
        method: init.method ?? 'GET',
        headers: init.headers ?? {},
        ...(init.body === undefined ? {} : { body: init.body }),
        redirect: 'manual',
        signal: AbortSignal.timeout(init.timeout_ms ?? DEFAULT_TIMEOUT_MS),
      })
      return await readCapped(response, init.max_bytes ?? DEFAULT_MAX_BYTES)
    } catch (error) {
      const timedOut = error instanceof Error && error.name === 'TimeoutError'
      return fail(
        'transient',
        timedOut ? 'timeout' : 'no_answer',
        timedOut ? 'The other side did not answer in time.' : 'The connection failed.',
      )
    }
  }
  return {
    request,
    requestPublic: async (url, init) => {
      const refusal = refuseTarget(url, options.allowed_origins)
      return refusal ? { ok: false, failure: refusal } : request(url, init)
    },
  }
}

/** Why a tenant's URL may not be called; `null` when it may. Also for validation when the URL is saved. */
export function refuseTarget(url: string, allowed_origins: string[]): Failure | null {
  const refuse = (message: string): Failure => ({ kind: 'permanent', code: 'url_refused', message })
  let target: URL
  try {
    target = new URL(url)
  } catch {
    return refuse('The URL cannot be read.')
  }
  if (target.protocol !== 'https:' && target.protocol !== 'http:')
    return refuse('Only http and https URLs are called.')
  if (target.username !== '' || target.password !== '') return refuse('The URL must not carry credentials.')
  if (allowed_origins.includes(target.origin)) return null
  const host = target.hostname.replace(/\.$/, '').toLowerCase()
  const literal = host.replace(/^\[|\]$/g, '')
  if (ipaddr.isValid(literal)) {
    return isPublic(literal) ? null : refuse('Private and special addresses are not called.')
  }
  if (!host.includes('.')) return refuse('Only public host names are called.')
  if (
    /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|test|invalid|example|onion|arpa|nip\.io|sslip\.io|xip\.io|localtest\.me|lvh\.me|vcap\.me)$/.test(
      host,
    )
  ) {
    return refuse('Only public host names are called.')
  }
  if (target.port !== '' && target.port !== '443' && target.port !== '80' && Number(target.port) < 1024)
    return refuse('That port is not called.')
  return null
}

/** IPv4 inside IPv6 is judged by the address inside, or refused: ::a.b.c.d (RFC 4291 §2.5.5.1) has no use any more. */
function isPublic(literal: string): boolean {
  const address = ipaddr.parse(literal)
  if (!(address instanceof ipaddr.IPv6)) return address.range() === 'unicast'
  if (address.isIPv4MappedAddress()) return address.toIPv4Address().range() === 'unicast'
  return address.range() === 'unicast' && address.parts.slice(0, 6).some((part) => part !== 0)
}

async function readCapped(response: Response, max_bytes: number): Promise<HttpResult> {
  const answer = (text: string): HttpResult =>
    succeed({ status: response.status, headers: response.headers, text })
  if (!response.body) return answer('')
  const reader = response.body.getReader()
  // Decoded as it comes: a large answer is held once, and not as bytes beside it.
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return answer(text + decoder.decode())
    size += value.byteLength
    if (size > max_bytes) {
      await reader.cancel()
      return fail('permanent', 'answer_too_large', `The answer is larger than ${max_bytes} bytes.`)
    }
    text += decoder.decode(value, { stream: true })
  }
}
