import { and, eq, inArray, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { sends } from '#db/schema/sending'
import { contactKinds } from '#kernel/vocabulary'
import { iso, type Trail } from './trail'

/** More than one person waits for; what is beyond it the gate refuses when it is due. */
export const SKIPPED_AT_ONCE = 20

/**
 * The recipient of a send wants no more mail. What is still to come to them is skipped, but not what a person writes by hand.
 * The second time changes nothing. `trails`: the first for the wish, the others for the sends that it ends.
 */
export function unsubscribe(input: {
  org_id: string
  send_id: string
  suppression_id: string
  at: Date
  trails: readonly Trail[]
}) {
  const [trail, ...others] = input.trails
  if (trail === undefined) throw new TypeError('The wish itself has a trail')
  const ids = (key: 'audit_id' | 'event_id') => sql`${sql.param(others.map((one) => one[key]))}::uuid[]`
  return raw<{ known: boolean; event_ids: string[] }>(sql`
    with s as materialized (
      select org_id, id, to_email, lead_id from sends
      where org_id = ${input.org_id} and id = ${input.send_id} and kind = any(${sql.param(contactKinds)}::text[])
      -- An erasure of the recipient comes before or after, so that it leaves no address behind.
      for share),
    kept as (
      -- What the provider may take back gives way to what it may not.
      insert into suppressions as x (org_id, id, kind, value_norm, reason, created_at)
      select s.org_id, ${input.suppression_id}::uuid, 'email', s.to_email, 'unsubscribed', ${iso(input.at)} from s
      on conflict (org_id, kind, value_norm) do update set reason = excluded.reason, created_at = excluded.created_at
        where x.reason = 'unsubscribed_at_provider'
      returning x.org_id, x.id),
    waiting as (
      select p.org_id, p.id, row_number() over (order by p.id) as n from sends p join s on p.org_id = s.org_id and p.to_email = s.to_email
      where p.state in ('scheduled', 'claimed') and (p.kind in ('welcome', 'sequence') or (p.kind = 'reply' and p.automatic))
      order by p.id limit ${others.length}),
    skipped as (
      update sends p set state = 'skipped', skip_reason = 'suppressed', waits_because = null, claim_token = null, lease_until = null,
        updated_at = now()
      from waiting w where p.org_id = w.org_id and p.id = w.id and p.state in ('scheduled', 'claimed')
      returning p.*, (${ids('audit_id')})[w.n] as audit_id, (${ids('event_id')})[w.n] as event_id),
    audit as (
      insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, fields, request_id, ip)
      select d.org_id, d.audit_id, ${iso(trail.at)}, ${trail.actor_type}, ${trail.actor_id}, d.action, 'send', d.id, d.fields,
        ${trail.request_id}::text, ${trail.ip}::text
      from (select k.org_id, ${trail.audit_id}::uuid as audit_id, 'recipient.unsubscribed' as action, ${input.send_id}::text as id,
          '{suppression}'::text[] as fields from kept k
        union all select p.org_id, p.audit_id, 'send.skipped', p.id::text, '{state}' from skipped p) d),
    told as (
      insert into events (org_id, id, type, payload, as_of)
      select e.org_id, e.id, e.type, jsonb_strip_nulls(e.payload), ${iso(trail.at)}
      from (select k.org_id, ${trail.event_id}::uuid as id, 'recipient.unsubscribed' as type,
          jsonb_build_object('suppression_id', k.id, 'send_id', s.id, 'lead_id', s.lead_id) as payload from kept k, s
        union all select p.org_id, p.event_id, 'send.ended', jsonb_build_object('send_id', p.id, 'state', p.state, 'kind', p.kind,
          'conversation_id', p.conversation_id, 'lead_id', p.lead_id, 'draft_id', p.draft_id) from skipped p) e
      returning id)
    select exists (select from s) as known, (select coalesce(json_agg(id), '[]') from told) as event_ids`)
}

/** Whether a link that does not prove itself names a send that somebody got. */
export function findRecipientOf(org_id: string, send_id: string) {
  return q
    .select({ id: sends.id })
    .from(sends)
    .where(and(eq(sends.org_id, org_id), eq(sends.id, send_id), inArray(sends.kind, [...contactKinds])))
}
