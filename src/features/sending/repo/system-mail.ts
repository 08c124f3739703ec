// Mail that follows from a lead by itself: an acknowledgement to who wrote, an alert to who runs the installation.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { SendError } from '#db/schema/sending'
import type { LeadStatus, SendKind, TemplateKind, TransportName } from '#kernel/vocabulary'
import { iso, type Trail } from './trail'

/** How long an acknowledgement waits for what may become an answer. */
const ANSWER_WITHIN_SECONDS = 120
const WAITS_FOR_ANSWER = 'automatic_reply_first'
const MAX_TEXT = 2000

/**
 * Who gets an acknowledgement: who gave their own address into a form or by a channel. Mail is answered in its thread instead.
 * Spam makes no event, and what is found to be spam later the gate knows.
 */
const wantsWelcome = sql`(o.welcome_mail and l.status <> 'spam' and v.channel <> 'email' and c.email_norm is not null
  and lower(m.from_email) = c.email_norm)`

const leadWithWords = sql`leads l
    join organizations o on o.id = l.org_id
    join conversations v on v.org_id = l.org_id and v.id = l.conversation_id
    join contacts c on c.org_id = l.org_id and c.id = l.contact_id
    left join lateral (
      select n.from_email, n.stripped_text from messages n
      where n.org_id = l.org_id and n.conversation_id = l.conversation_id and n.direction = 'inbound' and n.classification = 'human'
      order by n.received_at, n.id limit 1) m on true`

export interface LeadFacts {
  id: string
  status: LeadStatus
  source: string
  received_at: string
  conversation_id: string
  organization_name: string
  postal_address: string | null
  contact_email: string | null
  contact_name: string | null
  contact_company: string | null
  contact_phone: string | null
  text: string | null
  wants_welcome: boolean
  /** What is older gets no mail that nobody asked for. */
  is_new: boolean
  templates: Partial<Record<TemplateKind, { subject: string; body: string }>>
  /** Kinds of which the lead has its send. */
  made: TemplateKind[]
}

export function findLead(org_id: string, lead_id: string, now: Date) {
  return raw<{ lead: LeadFacts }>(sql`
    select jsonb_build_object('id', l.id, 'status', l.status, 'source', l.source, 'received_at', l.received_at,
      'conversation_id', l.conversation_id, 'organization_name', o.name, 'postal_address', o.postal_address,
      'contact_email', c.email_norm, 'contact_name', c.name, 'contact_company', c.company, 'contact_phone', c.phone,
      'text', left(m.stripped_text, ${MAX_TEXT}), 'wants_welcome', ${wantsWelcome},
      'is_new', l.created_at > ${iso(now)} - interval '1 day',
      'templates', (select coalesce(jsonb_object_agg(t.kind, jsonb_build_object('subject', t.subject, 'body', t.body)), '{}')
        from mail_templates t where t.org_id = l.org_id),
      'made', (select coalesce(jsonb_agg(s.kind), '[]') from sends s
        where s.org_id = l.org_id and s.dedupe_key in ('welcome:' || l.id, 'admin_alert:' || l.id))) as lead
    from ${leadWithWords} where l.org_id = ${org_id} and l.id = ${lead_id}`)
}

export interface NewSystemSend {
  id: string
  org_id: string
  kind: SendKind
  transport: Exclude<TransportName, 'mailbox'>
  conversation_id: string | null
  lead_id: string | null
  to_email: string
  to_domain: string
  subject: string
  text: string
  message_id: string
  dedupe_key: string
  /** `null`: nobody asked for it. */
  created_by: string | null
  note: SendError | null
  /** Whether it gives way to an answer that is still being written. */
  yields: boolean
}

/** Nothing happens when there is a send with this key already. */
export function insertSystemSend(
  send: NewSystemSend,
  trail: Trail,
  action: 'send.scheduled' | 'send.resent',
) {
  const at = iso(trail.at)
  const note = send.note === null ? null : JSON.stringify(send.note)
  return raw<{ id: string; waits: boolean }>(sql`
    with made as (
      insert into sends (id, org_id, kind, transport, conversation_id, lead_id, automatic, to_email, to_domain, subject, text,
        message_id, dedupe_key, next_attempt_at, waits_because, last_error, created_by, created_at, updated_at)
      select ${send.id}::uuid, ${send.org_id}::uuid, ${send.kind}, ${send.transport}, ${send.conversation_id}::uuid, ${send.lead_id}::uuid,
        ${send.created_by === null}::boolean, ${send.to_email}, ${send.to_domain}, ${send.subject}, ${send.text},
        ${send.message_id}, ${send.dedupe_key}, case when w.waits then ${at} + ${ANSWER_WITHIN_SECONDS} * interval '1 second' else ${at} end,
        case when w.waits then ${WAITS_FOR_ANSWER} end, ${note}::jsonb, ${send.created_by}::uuid, ${at}, ${at}
      from (select ${send.yields}::boolean and exists (
          select from drafts d join organizations o on o.id = d.org_id
          where d.org_id = ${send.org_id} and d.conversation_id = ${send.conversation_id}::uuid and d.lead_id = ${send.lead_id}::uuid
            and d.status = 'pending' and o.reply_mode = 'auto') as waits) w
      on conflict (org_id, dedupe_key) do nothing
      returning org_id, id, waits_because is not null as waits),
    audit as (
      insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, request_id, ip)
      select m.org_id, ${trail.audit_id}::uuid, ${at}, ${trail.actor_type}, ${trail.actor_id}, ${action}, 'send', m.id::text,
        ${trail.request_id}::text, ${trail.ip}::text from made m)
    select id, waits from made`)
}

/** What was awaited has been written: the gate finds out what is to become of the acknowledgement. */
export function releaseWelcome(org_id: string, lead_id: string, now: Date) {
  return raw<{ id: string }>(sql`
    update sends s set next_attempt_at = ${iso(now)}, waits_because = null, updated_at = now()
    where s.org_id = ${org_id} and s.dedupe_key = 'welcome:' || ${lead_id}::text and s.state = 'scheduled'
      and s.waits_because = ${WAITS_FOR_ANSWER} and not exists (
        select from drafts d where d.org_id = s.org_id and d.conversation_id = s.conversation_id and d.lead_id = s.lead_id
          and d.status = 'pending')
    returning s.id`)
}

/**
 * Leads of the last day whose job was lost with its message. Not those from before the organization last changed its settings:
 * whoever switches the acknowledgement on means leads to come. In all organizations; runs as inlet_system.
 */
export function listForgotten(now: Date, alerts: boolean, limit: number) {
  const lacks = (kind: TemplateKind) =>
    sql`not exists (select from sends s where s.org_id = l.org_id and s.dedupe_key = ${`${kind}:`}::text || l.id)`
  return raw<{ org_id: string; lead_id: string }>(sql`
    select l.org_id, l.id as lead_id from ${leadWithWords}
    where l.created_at between ${iso(now)} - interval '1 day' and ${iso(now)} - interval '3 minutes' and l.status <> 'spam'
      and ((${alerts}::boolean and ${lacks('admin_alert')})
        or (${wantsWelcome} and l.created_at > o.updated_at and ${lacks('welcome')}))
    order by l.created_at limit ${limit}`)
}

export type Resendable = {
  kind: SendKind
  lead_id: string | null
  /** One of this kind and lead is on its way, or nobody knows what became of it. */
  busy: boolean
  /** The newest of them: names the next one, also when older ones have expired. */
  latest_id: string
  suppressed: boolean
  erasure_key_sealed: string | null
}

export function findResendable(id: string) {
  return raw<Resendable>(sql`
    select s.kind, s.lead_id, o.erasure_key_sealed, k.busy, k.latest_id,
      exists (select from suppressions x where x.org_id = s.org_id
        and ((x.kind = 'email' and x.value_norm = c.email_norm) or (x.kind = 'domain' and x.value_norm = split_part(c.email_norm, '@', 2)))) as suppressed
    from sends s join organizations o on o.id = s.org_id
      left join leads l on l.org_id = s.org_id and l.id = s.lead_id
      -- Who gets the next one: the address may have been corrected after the last one bounced.
      left join contacts c on c.org_id = l.org_id and c.id = l.contact_id
      cross join lateral (
        select (array_agg(x.id order by x.id desc))[1] as latest_id, bool_or(x.state not in ('sent', 'failed', 'skipped')) as busy from sends x
        where x.org_id = s.org_id and x.kind = s.kind and (x.id = s.id or x.lead_id = s.lead_id)) k
    where s.id = ${id}`)
}
