// Cloudflare Turnstile, asked when the form comes in and never later: a token lives five minutes and works once.
import * as z from 'zod'
import { AppError } from '#kernel/errors'
import type { Ctx } from '#platform/context'
import { derivedUuid } from '#platform/crypto'
import { TURNSTILE } from '../policy/form-fields'

/** Set on the widget, so that a token of another form of the same site key is none for this one. */
const TURNSTILE_ACTION = 'lead'
const TIMEOUT_MS = 4000
const MAX_TOKEN = 2048

const verdict = z.object({
  success: z.boolean(),
  'error-codes': z.array(z.string()).default([]),
  hostname: z.string().optional(),
  action: z.string().optional(),
})

/** The visitor's token is at fault; whatever else the verifier complains of is its trouble or ours. */
const REFUSALS = new Set(['missing-input-response', 'invalid-input-response', 'timeout-or-duplicate'])

export interface Challenge {
  token: string | undefined
  /** What the token is spent on: the same inquiry may come again with it, another one may not. */
  inquiry: string
  /** Where the widget may have stood. */
  hostnames: readonly string[]
}

/**
 * `true`: no doubt, or Turnstile is off. `false`: the verifier cannot tell, and no lead is lost for that. Throws
 * `unprocessable` for a token that is missing, wrong or spent; the visitor gets a new one and tries again.
 */
export async function passesTurnstile(ctx: Ctx, challenge: Challenge): Promise<boolean> {
  const secret = ctx.config.TURNSTILE_SECRET_KEY
  if (secret === undefined) return true
  const { token = '', inquiry, hostnames } = challenge
  if (token === '') throw refused('is missing')
  if (token.length > MAX_TOKEN) throw refused('is no Turnstile token')
  const answer = await ctx.http.request(ctx.config.TURNSTILE_VERIFY_URL, {
    method: 'POST',
    body: new URLSearchParams({
      secret,
      response: token,
      ...(ctx.origin.ip === null ? {} : { remoteip: ctx.origin.ip }),
      // The verifier repeats its answer for it: a client that did not hear ours may send the same again.
      idempotency_key: await derivedUuid(`turnstile:${inquiry}:${token}`),
    }),
    timeout_ms: TIMEOUT_MS,
  })
  if (!answer.ok) return unverified(ctx, answer.failure.code)
  const judged = readVerdict(answer.value.text)
  if (judged === null) return unverified(ctx, `status_${answer.value.status}`)
  if (!judged.success) {
    const [code = 'no_code'] = judged['error-codes']
    if (REFUSALS.has(code)) throw refused('is not valid any more')
    return unverified(ctx, code)
  }
  if (judged.action !== TURNSTILE_ACTION) throw refused('was made for another form')
  if (judged.hostname === undefined || !hostnames.includes(judged.hostname))
    throw refused('was made on another site')
  return true
}

function readVerdict(text: string): z.infer<typeof verdict> | null {
  try {
    return verdict.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}

function unverified(ctx: Ctx, why: string): false {
  ctx.log.warn('turnstile.unverified', { why: why.slice(0, 60) })
  return false
}

function refused(message: string): AppError {
  return new AppError('unprocessable', 'Please confirm once more that you are a person, and send again.', {
    errors: [{ path: TURNSTILE, message }],
  })
}
