import * as z from 'zod'
import { AppError } from '#kernel/errors'
import type { Destination, IntakeItem, IntakeKind, IntakeResult } from '#kernel/intake'
import type { Ctx } from '#platform/context'
import { fromBase64Url } from '#platform/crypto'
import { kick } from '#platform/outbox'
import type { MailRoute } from '../policy/mail-route'
import type { IngestOutcome, ManyOutcome } from '../repo/ingest'
import { asDatabaseError, ingestRouted, type Routed } from '../repo/routed-mail'
import { eventsOf, newIds, provenance, type Stored } from './store-inbound'
import { toInput, toResult } from './store-items'

/** One round trip: whose it is, and all that comes of it. */
export async function storeRouted(
  ctx: Ctx,
  input: Stored & Routed,
): Promise<Exclude<IngestOutcome, { outcome: 'raced' }>> {
  const ids = newIds(ctx, ctx.newId())
  const item = {
    ...input,
    ids,
    ...provenance(ctx),
    now: ctx.clock.now(),
    slack_configured: ctx.config.SLACK_WEBHOOK_URL !== undefined,
  }
  const [outcome] = await ask(ctx, [item])
  if (outcome?.outcome === 'refused') throw asDatabaseError(outcome)
  if (outcome === undefined || outcome.outcome === 'raced')
    throw new AppError('unavailable', 'The mail could not be stored.', { retry_after_seconds: 5 })
  kick(ctx, eventsOf(ids, outcome))
  return outcome
}

async function ask(ctx: Ctx, items: Parameters<typeof ingestRouted>[0]): Promise<ManyOutcome[]> {
  const [answer] = await ctx.db.nobody().batch([ingestRouted(items)])
  return answer.rows[0]?.results ?? []
}

export const MAIL_KIND = 'mail'
/** For mail that names nobody. No organization can have this slug, so the database says so of each. */
export const UNROUTED: Destination = { slug: '-unrouted-' }

/** Of a mail that could not be read: itself, or its head where it is too long, to be read again by what has learnt to. */
const unreadMail = z.object({
  facts: z.object({
    recipients: z.object({
      envelope: z.array(z.string()),
      headers: z.array(z.string()),
      hash: z.string().optional(),
    }),
    return_path: z.string().nullable(),
    fallback_id: z.string(),
    ask_sender: z.boolean(),
  }),
  raw: z.string(),
  whole: z.boolean(),
})
export type UnreadMail = z.infer<typeof unreadMail>

/** Mail that was kept. Where a person has given it another destination, that one holds. */
export const mailIntake: IntakeKind<Ctx> = {
  kind: MAIL_KIND,
  store: async (ctx, destination, items) => {
    const read = await Promise.all(items.map((item) => readItem(ctx, destination, item)))
    const inputs = read.flatMap((one) => ('input' in one ? [one.input] : []))
    const outcomes = inputs.length === 0 ? [] : await ask(ctx, inputs)
    if (outcomes.length !== inputs.length)
      throw new AppError('unavailable', 'The database did not answer as it should.')
    kick(
      ctx,
      outcomes.flatMap((outcome, n) =>
        inputs[n] && outcome.outcome !== 'refused' ? eventsOf(inputs[n].ids, outcome) : [],
      ),
    )
    let next = 0
    return read.map((one): IntakeResult => ('input' in one ? toResult(outcomes[next++]) : one))
  },
}

type Input = Parameters<typeof ingestRouted>[0][number]

async function readItem(
  ctx: Ctx,
  destination: Destination,
  item: IntakeItem,
): Promise<{ input: Input } | IntakeResult> {
  let payload = item.payload
  const unread = unreadMail.safeParse(payload)
  if (unread.success) {
    const { facts, raw, whole } = unread.data
    if (!whole) return unreadable('too_large')
    // With the first such mail: see ingest-mail.ts.
    const { readRaw, toRouted } = await import('./routed-mail')
    const parsed = await readRaw(fromBase64Url(raw))
    if (typeof parsed === 'string') return unreadable(parsed)
    payload = { ...(await toRouted(ctx, parsed, { ...facts, received_at: item.received_at })).input }
  }
  const { route, shared_domain } = payload as Partial<Routed>
  return {
    input: {
      ...toInput(ctx, { ...item, payload }),
      route: { ...route, ...override(destination) },
      shared_domain: shared_domain ?? false,
    },
  }
}

function unreadable(reason: string): IntakeResult {
  return { outcome: 'refused', code: `mail_${reason}`, where: null }
}

function override(destination: Destination): MailRoute {
  if ('org_id' in destination) return { org_id: destination.org_id }
  if ('send_id' in destination) return { send_id: destination.send_id }
  return 'slug' in UNROUTED && destination.slug === UNROUTED.slug ? {} : { slugs: [destination.slug] }
}
