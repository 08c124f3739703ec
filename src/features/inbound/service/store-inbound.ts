import { truncateIp } from '#features/audit'
import { AppError } from '#kernel/errors'
import type { Ctx, Door } from '#platform/context'
import { kick } from '#platform/outbox'
import * as repo from '../repo/ingest'

type Outcome = Exclude<repo.IngestOutcome, { outcome: 'raced' }>
export type Stored = Omit<repo.Ingest, 'now' | 'actor' | 'request_id' | 'ip' | 'ids' | 'slack_configured'>

/**
 * One round trip: all rows of one inbound message, or none. `raced` means that another delivery of the same message, or of
 * the same thread's first one, committed between our look and our write; the next attempt sees it.
 */
export async function storeInbound(ctx: Ctx, door: Door, input: Stored, lead_id?: string): Promise<Outcome> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const outcome = await store(ctx, door, input, lead_id)
    if (outcome.outcome !== 'raced') return outcome
  }
  // Nothing of it is stored, and nobody may believe that it is.
  throw new AppError('unavailable', 'The message could not be stored. Please try again.', {
    retry_after_seconds: 5,
  })
}

const ATTEMPTS = 3

async function store(
  ctx: Ctx,
  door: Door,
  input: Stored,
  lead_id: string | undefined,
): Promise<repo.IngestOutcome> {
  const ids = newIds(ctx, input.lead_key === undefined ? (lead_id ?? ctx.newId()) : lead_id)
  const [result] = await door.batch([
    repo.ingest({
      ...input,
      ids,
      ...provenance(ctx),
      now: ctx.clock.now(),
      slack_configured: ctx.config.SLACK_WEBHOOK_URL !== undefined,
    }),
  ])
  const outcome = result.rows[0]?.result ?? { outcome: 'unknown_organization' as const }
  kickFor(ctx, ids, outcome)
  return outcome
}

type Ids = repo.Ingest['ids']

/** Without the lead's: it follows from the lead's key. */
export function newIds(ctx: Ctx, lead: string | undefined): Ids {
  return {
    contact: ctx.newId(),
    conversation: ctx.newId(),
    message: ctx.newId(),
    ...(lead === undefined ? {} : { lead }),
    draft: ctx.newId(),
    notice: ctx.newId(),
    suppression: ctx.newId(),
    message_event: ctx.newId(),
    lead_event: ctx.newId(),
    draft_event: ctx.newId(),
    audit: ctx.newId(),
  }
}

/** Hands on the events that were written, if any were. */
function kickFor(ctx: Ctx, ids: Ids, outcome: repo.IngestOutcome): void {
  kick(ctx, eventsOf(ids, outcome))
}

export function eventsOf(ids: Ids, outcome: repo.IngestOutcome): string[] {
  if (outcome.outcome !== 'created') return []
  return [
    ...(outcome.spam ? [] : [ids.message_event]),
    ...(outcome.new_lead && !outcome.spam ? [ids.lead_event] : []),
    ...(outcome.draft_id === undefined ? [] : [ids.draft_event]),
  ]
}

export function provenance(ctx: Ctx) {
  return {
    actor: ctx.actor.type === 'system' ? ctx.actor.name : ctx.actor.type,
    request_id: ctx.origin.request_id,
    ip: truncateIp(ctx.origin.ip),
  }
}

/** What is kept of it while the database is down: all but the ids and the time of the run that will store it. */
export function toPayload(ctx: Ctx, input: Stored): Record<string, unknown> {
  return { ...input, ...provenance(ctx) }
}
