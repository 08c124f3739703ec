import { AppError } from '#kernel/errors'
import type { Destination, IntakeItem, IntakeKind, IntakeResult } from '#kernel/intake'
import type { Ctx, Door } from '#platform/context'
import { kick } from '#platform/outbox'
import * as repo from '../repo/ingest'
import { eventsOf, newIds } from './store-inbound'

/** The parameters of `ingest_inbound`, as they were when the item came in; ids that are not given are made. */
type Payload = Partial<Omit<repo.Ingest, 'ids' | 'message'>> & {
  message?: Record<string, unknown>
  ids?: Partial<repo.Ingest['ids']>
}

/** What the buffer has kept of leads and messages: one round trip for all of them, each exactly once. */
export const inboundIntake: IntakeKind<Ctx> = {
  kind: 'inbound',
  store: async (ctx, destination, items) => {
    // Two flushes at once lock their contacts in one order; of one person, what came first goes first.
    const order = items.map((_, i) => i).toSorted((a, b) => compare(contactOf(items[a]), contactOf(items[b])))
    const inputs = order.flatMap((i) => (items[i] ? [toInput(ctx, items[i])] : []))
    const [answer] = await doorTo(ctx, destination).batch([repo.ingestMany(inputs)])
    const outcomes = answer.rows[0]?.results
    if (outcomes?.length !== items.length)
      throw new AppError('unavailable', 'The database did not answer as it should.')
    kick(
      ctx,
      outcomes.flatMap((outcome, n) =>
        inputs[n] && outcome.outcome !== 'refused' ? eventsOf(inputs[n].ids, outcome) : [],
      ),
    )
    const results: IntakeResult[] = []
    order.forEach((i, n) => {
      results[i] = toResult(outcomes[n])
    })
    return results
  },
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function contactOf(item: IntakeItem | undefined): string {
  const { contact } = (item?.payload ?? {}) as Payload
  return contact?.email_norm ?? contact?.handle ?? ''
}

function doorTo(ctx: Ctx, destination: Destination): Door {
  if ('org_id' in destination) return ctx.db.org({ org_id: destination.org_id, visibility: 'all' })
  if ('slug' in destination) return ctx.db.bySlug(destination.slug)
  return ctx.db.bySend(destination.send_id)
}

export function toInput(ctx: Ctx, { id, received_at, payload }: IntakeItem): repo.Ingest {
  // It was counted when it came in.
  const { rate_limits: _counted, lead_key, ids, message, ...given } = payload as Payload
  return {
    actor: ctx.actor.type === 'system' ? ctx.actor.name : ctx.actor.type,
    request_id: null,
    ip: null,
    contact: null,
    source: 'unknown',
    slack_configured: ctx.config.SLACK_WEBHOOK_URL !== undefined,
    ...given,
    now: ctx.clock.now(),
    message: { received_at, ...message },
    // The id that its sender was told, also where the organization was not known then.
    ids: { ...newIds(ctx, lead_key === undefined ? ctx.newId() : id), ...ids },
  }
}

export function toResult(outcome: repo.ManyOutcome | undefined): IntakeResult {
  switch (outcome?.outcome) {
    case 'created':
      return { outcome: 'stored' }
    case 'duplicate':
    case 'own_send':
    case 'ignored':
      return { outcome: 'known' }
    case 'refused':
      return { outcome: 'refused', code: outcome.code, where: outcome.where }
    case 'key_reused':
    case 'unauthenticated':
    case 'origin_refused':
    case 'unknown_organization':
      return { outcome: 'refused', code: outcome.outcome, where: null }
    // Another delivery of the same message won each time; the next look sees it.
    case 'raced':
    case 'rate_limited':
      return { outcome: 'later', code: outcome.outcome }
    case undefined:
      return { outcome: 'later', code: 'no_answer' }
  }
}
