// What was done, written by the same statement that did it: where the guard matches no row, nothing is recorded either.
import { type SQL, sql } from 'drizzle-orm'
import { actorId } from '#kernel/actor'
import type { EventType } from '#kernel/event'
import { contactKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'

export interface Trail {
  event_id: string
  audit_id: string
  at: Date
  actor_type: string
  actor_id: string
  request_id: string | null
  ip: string | null
}

/** `ip` is truncated already. */
export function newTrail(ctx: Ctx, ip: string | null = null): Trail {
  return {
    event_id: ctx.newId(),
    audit_id: ctx.newId(),
    at: ctx.clock.now(),
    actor_type: ctx.actor.type,
    actor_id: actorId(ctx.actor),
    request_id: ctx.origin.request_id,
    ip,
  }
}

/** CTEs after one that returns the changed rows of `sends`: the audit entry and the event. `which` narrows the rows. */
export function trailOf(
  source: SQL,
  which: SQL,
  trail: Trail,
  what: { event: Extract<EventType, 'message.sent' | 'send.ended'> | null; action: string },
): SQL {
  const audit = sql`audit as (
    insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, fields, request_id, ip)
    select d.org_id, ${trail.audit_id}::uuid, ${iso(trail.at)}, ${trail.actor_type}, ${trail.actor_id},
      ${what.action}, 'send', d.id, '{state}', ${trail.request_id}, ${trail.ip}
    from ${source} d where ${which})`
  if (what.event === null) return audit
  // What goes to our own users is no message of a conversation with somebody outside.
  const told =
    what.event === 'message.sent' ? sql`d.kind = any(${sql.param(contactKinds)}::text[])` : sql`true`
  return sql`${audit},
  event as (
    insert into events (org_id, id, type, payload, as_of)
    select d.org_id, ${trail.event_id}::uuid, ${what.event},
      jsonb_strip_nulls(jsonb_build_object('send_id', d.id, 'state', d.state, 'kind', d.kind,
        'conversation_id', d.conversation_id, 'lead_id', d.lead_id, 'draft_id', d.draft_id)), ${iso(trail.at)}
    from ${source} d where ${which} and ${told})`
}

/** The driver would write a Date in the zone of the machine. */
export function iso(at: Date): SQL {
  return sql`${at.toISOString()}::timestamptz`
}
