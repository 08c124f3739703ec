// The public form. One database round trip, none while the database is down.
import { AppError } from '#kernel/errors'
import { isSlug } from '#kernel/slug'
import type { LeadSignal } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { type DirectoryEntry, findInDirectory } from '#platform/directory'
import { accept, type Intake } from '#platform/intake'
import { ipSubject, refuseKnown, rememberTaken, type Slot, slotFor } from '#platform/rate-limit'
import { utmOf } from '../policy/form-fields'
import { isSpam, mayPost, signalsOf } from '../policy/form-signals'
import { findForm } from '../repo/form'
import { type Inquiry, leadIdOf, prepareInquiry } from './inquiry'
import { renderedAt } from './render-token'
import { storeInbound, toPayload } from './store-inbound'
import { passesTurnstile } from './turnstile'

export interface PostedForm {
  inquiry: Inquiry
  honeypot: string | undefined
  render_token: string | undefined
  turnstile_token: string | undefined
  idempotency_key: string | undefined
  /** The browser's, null without one. */
  origin: string | null
  /** The request's own; a page of ours may always post. */
  own_origin: string
  /** A browser that shows the answer as a page. */
  is_page: boolean
}

export interface ReceivedLead {
  leadId: string
  timestamp: string
  status: 'received' | 'queued'
  replayed: boolean
  /** Where the organization wants a browser to go. */
  redirect_url: string | null
}

/**
 * The lead's id follows from the form and the Idempotency-Key, else from the body within ten minutes: a double click is one
 * lead. What looks like a program's is kept as spam, and answered as everything else.
 */
export async function receiveForm(ctx: Ctx, slug: string, posted: PostedForm): Promise<ReceivedLead> {
  if (!isSlug(slug)) throw noSuchForm()
  const received_at = ctx.clock.now()
  const slots = await Promise.all([
    slotFor(ctx, 'form', ipSubject(ctx.origin.ip), ctx.config.RATE_LIMIT_FORM_PER_MINUTE),
    slotFor(ctx, 'form organization', slug, ctx.config.RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE),
  ])
  refuseKnown(ctx, slots)
  const input = await judgeForm(ctx, slug, posted, received_at)
  const timestamp = received_at.toISOString()
  const found: { entry: DirectoryEntry | null } = { entry: null }
  const accepted = await accept(
    ctx,
    async (limited) =>
      outcomeOf(
        limited,
        slots,
        await storeInbound(limited, limited.db.bySlug(slug), { ...input, rate_limits: slots }),
      ),
    async () => {
      found.entry = await findInDirectory(ctx, slug)
      return toKeep(ctx, found.entry ?? { slug }, input, received_at, slots)
    },
  )
  if (accepted.outcome === 'key_reused') throw keyReused()
  if (accepted.outcome === 'queued')
    return {
      leadId: await leadIdOf(ownerOf(found.entry ?? { slug }), input.lead_key),
      timestamp,
      status: 'queued',
      replayed: false,
      redirect_url: found.entry?.redirect_url ?? null,
    }
  const { value } = accepted
  if (value.outcome === 'created')
    return {
      leadId: value.lead_id ?? '',
      timestamp,
      status: 'received',
      replayed: false,
      redirect_url: value.redirect_url ?? null,
    }
  return {
    leadId: value.lead_id ?? '',
    timestamp: new Date(value.received_at ?? timestamp).toISOString(),
    status: 'received',
    replayed: true,
    // Of a double click the browser shows only the second answer.
    redirect_url: posted.is_page ? await redirectNow(ctx, slug) : null,
  }
}

type Prepared = Awaited<ReturnType<typeof prepareInquiry>>

/** What is stored of it, whichever way it takes. */
async function judgeForm(ctx: Ctx, slug: string, posted: PostedForm, received_at: Date): Promise<Prepared> {
  const { inquiry, idempotency_key: key, origin, own_origin } = posted
  const utm = inquiry.utm ?? utmOf(inquiry.page_url)
  const prepared = await prepareInquiry(
    { ...inquiry, ...(utm === undefined ? {} : { utm }) },
    { door: 'form', source: 'form', key, received_at },
  )
  const own = [own_origin, new URL(ctx.config.BASE_URL).origin]
  const places = origin === null ? own : [...own, origin]
  const verified = await passesTurnstile(ctx, {
    token: posted.turnstile_token,
    inquiry: `${slug}:${key ?? ''}:${prepared.request_hash}`,
    hostnames: places.flatMap((place) => (URL.canParse(place) ? [new URL(place).hostname] : [])),
  })
  const signals: LeadSignal[] = [
    ...signalsOf(posted.honeypot, await renderedAt(ctx, posted.render_token), received_at),
    ...(verified ? [] : (['turnstile_unverified'] as const)),
  ]
  return {
    ...prepared,
    signals,
    spam: isSpam(signals),
    ...(origin !== null && own.includes(origin) ? {} : { origin }),
  }
}

/** Throws what the sender has to hear. */
function outcomeOf(ctx: Ctx, slots: readonly Slot[], outcome: Awaited<ReturnType<typeof storeInbound>>) {
  switch (outcome.outcome) {
    case 'created':
    case 'duplicate':
      return outcome
    case 'unknown_organization':
      throw noSuchForm()
    case 'origin_refused':
      throw originRefused()
    case 'key_reused':
      throw keyReused()
    case 'rate_limited':
      throw rememberTaken(ctx, slots, outcome.waits)
    case 'own_send':
    case 'ignored':
    case 'unauthenticated':
      throw new TypeError(`A form is not ${outcome.outcome}`)
  }
}

/** While the database is down the directory's copy of the allow-list decides; a form that it does not know is judged later. */
async function toKeep(
  ctx: Ctx,
  owner: DirectoryEntry | { slug: string },
  input: Prepared,
  received_at: Date,
  slots: readonly Slot[],
): Promise<Intake> {
  if ('org_id' in owner && 'origin' in input && !mayPost(input.origin ?? null, owner.allowed_origins))
    throw originRefused()
  return {
    kind: 'inbound',
    destination: 'org_id' in owner ? { org_id: owner.org_id } : { slug: owner.slug },
    id: await leadIdOf(ownerOf(owner), input.lead_key),
    received_at,
    request_hash: input.request_hash,
    payload: toPayload(ctx, input),
    slots,
  }
}

/** Of an organization that nobody can name now, the id is only ours. */
function ownerOf(owner: DirectoryEntry | { slug: string }): string {
  return 'org_id' in owner ? owner.org_id : `slug:${owner.slug}`
}

async function redirectNow(ctx: Ctx, slug: string): Promise<string | null> {
  try {
    const [[form]] = await ctx.db.within(1000).bySlug(slug).batch([findForm()])
    return form?.redirect_url ?? null
  } catch {
    return null
  }
}

export function noSuchForm(): AppError {
  return new AppError('not_found', 'There is no such form.')
}

function originRefused(): AppError {
  return new AppError('forbidden', 'This page may not post the form.')
}

function keyReused(): AppError {
  return new AppError('unprocessable', 'This Idempotency-Key came with another body before.')
}
