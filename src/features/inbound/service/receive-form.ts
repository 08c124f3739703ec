import { canonicalJson } from '#kernel/canonical-json'
import { AppError } from '#kernel/errors'
import { normalizeEmail } from '#kernel/email-address'
import type { Ctx } from '#platform/context'
import { sha256Hex } from '#platform/crypto'
import { ipSubject, refuseKnown, rememberTaken, slotFor } from '#platform/rate-limit'
import { normalizeBody } from '../policy/automated-signs'
import { cleanLine, cleanText } from './clean-text'
import { storeInbound } from './store-inbound'

export interface FormInput {
  email: string
  name?: string | undefined
  phone?: string | undefined
  company?: string | undefined
  service?: string | undefined
  message?: string | undefined
  page_url?: string | undefined
  custom?: Record<string, unknown> | undefined
}

export interface ReceivedLead {
  leadId: string
  timestamp: string
  status: 'received'
  replayed: boolean
}

const DEDUPE_MINUTES = 10

/**
 * The public form, in its plain form. One database round trip. The lead's id follows from the form and the Idempotency-Key,
 * else from the body within ten minutes: a double click is one lead.
 */
export async function receiveForm(
  ctx: Ctx,
  slug: string,
  posted: FormInput,
  idempotency_key: string | undefined,
): Promise<ReceivedLead> {
  const input = clean(posted)
  const email_norm = normalizeEmail(input.email)
  if (email_norm === null)
    throw new AppError('invalid', 'email: is not an address', {
      errors: [{ path: 'email', message: 'is not an address' }],
    })
  const now = ctx.clock.now()
  const request_hash = await sha256Hex(canonicalJson(input))
  const key = idempotency_key ?? `${request_hash}:${Math.floor(now.getTime() / (DEDUPE_MINUTES * 60_000))}`
  const text = [input.message, input.service === undefined ? undefined : `Service: ${input.service}`]
    .filter((part) => part !== undefined)
    .join('\n\n')
  const body = normalizeBody(text)
  const slot = await slotFor(ctx, 'form', ipSubject(ctx.origin.ip), ctx.config.RATE_LIMIT_FORM_PER_MINUTE)
  refuseKnown(ctx, [slot])

  const outcome = await storeInbound(ctx, ctx.db.bySlug(slug), {
    source: 'form',
    contact: {
      email: input.email.trim(),
      email_norm,
      name: input.name ?? null,
      company: input.company ?? null,
      phone: input.phone ?? null,
    },
    message: {
      channel: 'form',
      from_email: email_norm,
      from_name: input.name ?? null,
      subject: input.service ?? '',
      text,
      stripped_text: text,
      body_hash: body === '' ? null : await sha256Hex(body),
      received_at: now,
    },
    custom: input.custom ?? {},
    ...(input.page_url === undefined ? {} : { page_url: input.page_url }),
    request_hash,
    rate_limits: [slot],
    lead_key: key,
  })
  switch (outcome.outcome) {
    case 'unknown_organization':
      throw new AppError('not_found', 'There is no such form.')
    case 'rate_limited':
      throw rememberTaken(ctx, slot, outcome.waits[0] ?? 0)
    case 'unauthenticated':
    case 'origin_refused':
      throw new AppError('forbidden', 'This page may not post the form.')
    case 'key_reused':
      throw new AppError('unprocessable', 'This Idempotency-Key came with another body before.')
    case 'created':
      return {
        leadId: outcome.lead_id ?? '',
        timestamp: now.toISOString(),
        status: 'received',
        replayed: false,
      }
    case 'own_send':
    case 'ignored':
      throw new TypeError('A form is no mail of ours')
    case 'duplicate':
      return {
        leadId: outcome.lead_id ?? '',
        timestamp: now.toISOString(),
        status: 'received',
        replayed: true,
      }
  }
}

/** What Postgres takes: one-line fields without control characters, no NUL and no half characters anywhere. */
function clean({ message, custom, ...lines }: FormInput): FormInput {
  const line = (value: string | undefined) =>
    value === undefined ? undefined : cleanLine(value, MAX_LINE) || undefined
  return {
    email: lines.email.trim(),
    name: line(lines.name),
    phone: line(lines.phone),
    company: line(lines.company),
    service: line(lines.service),
    page_url: line(lines.page_url),
    message: message === undefined ? undefined : cleanText(message),
    custom:
      custom === undefined
        ? undefined
        : Object.fromEntries(
            Object.entries(custom).map(([key, value]) => [
              cleanLine(key, MAX_LINE),
              typeof value === 'string' ? cleanText(value) : value,
            ]),
          ),
  }
}

const MAX_LINE = 2000
