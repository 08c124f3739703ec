import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import { optOutReasons, type TransportName } from '#kernel/vocabulary'
import { iso, type Trail, trailOf } from './trail'

export interface NewReply {
  id: string
  org_id: string
  draft_id: string | null
  conversation_id: string
  lead_id: string | null
  /** `null`: the first connected mailbox of the organization, else `fallback`. */
  mailbox_id: string | null
  fallback: { transport: Exclude<TransportName, 'mailbox'>; domain: string }
  to_email: string
  to_domain: string
  to_name: string | null
  subject: string
  text: string
  in_reply_to: string | null
  references: string[]
  provider_thread_id: string | null
  automatic: boolean
  dedupe_key: string
  due_at: Date
  waits_because: string | null
  created_by: string | null
  created_at: Date
}

/** Nothing happens when there is a send with this key already. */
export function insertReply(send: NewReply) {
  return raw<{ id: string }>(sql`
    insert into sends (id, org_id, kind, transport, mailbox_id, conversation_id, lead_id, draft_id, automatic,
      to_email, to_domain, to_name, subject, text, in_reply_to, "references", provider_thread_id, message_id,
      dedupe_key, next_attempt_at, waits_because, created_by, created_at, updated_at)
    select ${send.id}::uuid, ${send.org_id}::uuid, 'reply', case when m.id is null then ${send.fallback.transport} else 'mailbox' end, m.id,
      ${send.conversation_id}::uuid, ${send.lead_id}::uuid, ${send.draft_id}::uuid, ${send.automatic}::boolean,
      ${send.to_email}, ${send.to_domain}, ${send.to_name}::text, ${send.subject}, ${send.text}, ${send.in_reply_to}::text,
      ${sql.param(send.references)}::text[],
      -- Thread ids belong to one mailbox.
      case when m.id = ${send.mailbox_id}::uuid then ${send.provider_thread_id}::text end,
      '<' || ${send.id} || '@' || coalesce(nullif(split_part(m.email_norm, '@', 2), ''), ${send.fallback.domain}) || '>',
      ${send.dedupe_key}, ${iso(send.due_at)}, ${send.waits_because}::text, ${send.created_by}::uuid, ${iso(send.created_at)}, ${iso(send.created_at)}
    from (select) one left join lateral (
      select m.id, m.email_norm from mailboxes m
      where m.org_id = ${send.org_id} and case when ${send.mailbox_id}::uuid is null then m.status = 'connected' else m.id = ${send.mailbox_id}::uuid end
      order by m.connected_at, m.id limit 1) m on true
    on conflict (org_id, dedupe_key) do nothing
    returning id`)
}

/** What has passed the gate cannot be called back. */
export function cancelReply(input: { org_id: string; draft_id: string; reason: string; trail: Trail }) {
  return raw<{ id: string }>(sql`
    with done as (
      update sends s set state = 'skipped', skip_reason = ${input.reason}, waits_because = null,
        claim_token = null, lease_until = null, updated_at = now()
      where s.org_id = ${input.org_id} and s.draft_id = ${input.draft_id} and s.kind = 'reply' and s.state in ('scheduled', 'claimed')
      returning s.*),
    -- A draft has one send that still waits.
    one as (select * from done order by id limit 1),
    ${trailOf(sql`one`, sql`true`, input.trail, { event: 'send.ended', action: 'send.cancelled' })}
    select id from done`)
}

/** A person answers by hand: what the machine was about to say in this conversation is stale. */
export function skipAutomaticReplies(input: { org_id: string; conversation_id: string; trail: Trail }) {
  return raw<{ id: string }>(sql`
    with done as (
      update sends s set state = 'skipped', skip_reason = 'answered_by_a_person', waits_because = null,
        claim_token = null, lease_until = null, updated_at = now()
      where s.org_id = ${input.org_id} and s.conversation_id = ${input.conversation_id} and s.kind = 'reply' and s.automatic
        and s.state in ('scheduled', 'claimed')
      returning s.*),
    -- A newer message has stopped the ones before: a conversation has one automatic reply that still waits.
    one as (select * from done order by id desc limit 1),
    ${trailOf(sql`one`, sql`true`, input.trail, { event: 'send.ended', action: 'send.skipped' })}
    select id from done`)
}

export type Answerable = {
  conversation_id: string
  mailbox_id: string | null
  provider_thread_id: string | null
  lead_id: string | null
  undo_seconds: number
  subject: string
  contact_email: string | null
  contact_name: string | null
  /** Of the newest message that a person outside wrote. */
  message_id: string | null
  references: string[] | null
  from_email: string | null
  from_name: string | null
  message_subject: string | null
  suppressed: boolean
  erasure_key_sealed: string | null
}

export function findAnswerable(input: { org_id: string; conversation_id: string }) {
  return raw<Answerable>(sql`
    select v.id as conversation_id, v.mailbox_id, v.provider_thread_id, v.subject, o.undo_seconds, o.erasure_key_sealed,
      c.email_norm as contact_email, c.name as contact_name,
      (select l.id from leads l where l.org_id = v.org_id and l.conversation_id = v.id order by l.received_at desc, l.id desc limit 1) as lead_id,
      n.message_id, n."references", n.from_email, n.from_name, n.subject as message_subject,
      exists (select from suppressions x where x.org_id = v.org_id and x.reason <> all(${sql.param(optOutReasons)}::text[]) and (
        (x.kind = 'email' and x.value_norm = lower(coalesce(n.from_email, c.email_norm)))
        or (x.kind = 'domain' and x.value_norm = split_part(lower(coalesce(n.from_email, c.email_norm)), '@', 2)))) as suppressed
    from conversations v
      join organizations o on o.id = v.org_id
      left join contacts c on c.org_id = v.org_id and c.id = v.contact_id
      left join lateral (
        select m.message_id, m."references", m.from_email, m.from_name, m.subject from messages m
        where m.org_id = v.org_id and m.conversation_id = v.id and m.direction = 'inbound' and m.classification <> 'bounce'
          and m.from_email like '%_@_%'
        order by m.received_at desc, m.id desc limit 1) n on true
    where v.org_id = ${input.org_id} and v.id = ${input.conversation_id}`)
}
