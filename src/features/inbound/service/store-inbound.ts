import type { Ctx, Door } from '#platform/context'
import { kick } from '#platform/outbox'
import * as repo from '../repo'

type Stored = Omit<repo.Ingest, 'now' | 'actor' | 'request_id' | 'ip' | 'ids' | 'slack_configured'>

/**
 * One round trip: all rows of one inbound message, or none. `raced` means that another delivery of the same message, or of
 * the same thread's first one, committed between our look and our write; the second attempt sees it.
 */
export async function storeInbound(
  ctx: Ctx,
  door: Door,
  input: Stored,
  lead_id = ctx.newId(),
): Promise<repo.IngestOutcome> {
  const first = await store(ctx, door, input, lead_id)
  return first.outcome === 'raced' ? store(ctx, door, input, lead_id) : first
}

async function store(ctx: Ctx, door: Door, input: Stored, lead_id: string): Promise<repo.IngestOutcome> {
  const ids = {
    contact: ctx.newId(),
    conversation: ctx.newId(),
    message: ctx.newId(),
    lead: lead_id,
    draft: ctx.newId(),
    notice: ctx.newId(),
    suppression: ctx.newId(),
    message_event: ctx.newId(),
    lead_event: ctx.newId(),
    draft_event: ctx.newId(),
    audit: ctx.newId(),
  }
  const [result] = await door.batch([
    repo.ingest({
      ...input,
      ids,
      now: ctx.clock.now(),
      actor: ctx.actor.type === 'system' ? ctx.actor.name : ctx.actor.type,
      request_id: ctx.origin.request_id,
      ip: ctx.origin.ip,
      slack_configured: ctx.config.SLACK_WEBHOOK_URL !== undefined,
    }),
  ])
  const outcome = result.rows[0]?.result ?? { outcome: 'unknown_organization' as const }
  if (outcome.outcome === 'created') {
    kick(ctx, [
      ids.message_event,
      ...(outcome.new_lead ? [ids.lead_event] : []),
      ...(outcome.draft_id === undefined ? [] : [ids.draft_event]),
    ])
  }
  return outcome
}
