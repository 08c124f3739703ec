// claimed → sending | skipped: the only door to a provider. Past it, the mail counts as possibly sent until proven otherwise.
import { type SQL, sql } from 'drizzle-orm'
import { raw } from '#db/client'
import { contactKinds, optOutReasons } from '#kernel/vocabulary'
import { LEASE_SECONDS } from './claim'
import { iso, type Trail, trailOf } from './trail'

/** Contract §4: limits of automatic replies. */
const THREAD_CAP = 3
const SENDER_CAP_HOURS = 24
/** Design §7: whoever fills in a form proves nothing, so an address gets one automatic mail in that time. */
const ADDRESS_CAP_HOURS = 24
const DOMAIN_CAP = 500
/** Where dots in front of the @ mean nothing. */
const DOTLESS = sql`('gmail.com', 'googlemail.com')`

/** What an address shares with its aliases: `victim+1@` fills the inbox of `victim@`. For the cap alone, elsewhere they are two. */
function inboxOf(email: SQL, domain: SQL): SQL {
  const local = sql`split_part(split_part(${email}, '@', 1), '+', 1)`
  return sql`case when ${domain} in ${DOTLESS} then replace(${local}, '.', '') else ${local} end`
}

/** A cap counts what may have left: everything past the gate that is not known to have failed. */
const MAY_HAVE_LEFT = sql`('sending', 'unknown', 'review', 'sent')`

/**
 * Goes before `gate` in the same batch: under READ COMMITTED a statement counts what its snapshot saw when it began, so the
 * locks have to be held before the caps are counted, or two replies to one sender would both find the other's slot free.
 * In the order in which `ingest_inbound` takes them: contact, conversation, draft.
 */
export function lockForGate(input: { org_id: string; send_id: string; token: string }) {
  return raw<{ locked: number }>(sql`
    with s as materialized (
      select * from sends where org_id = ${input.org_id} and id = ${input.send_id} and state = 'claimed' and claim_token = ${input.token}),
    domain as materialized (
      select pg_advisory_xact_lock(hashtextextended('automatic replies to ' || s.org_id || ' ' || s.to_domain, 0)) from s
        where s.automatic and s.kind = any(${sql.param(contactKinds)}::text[])),
    contact as materialized (
      select c.id from contacts c, s where c.org_id = s.org_id and c.email_norm = s.to_email
        and (select count(*) from domain) >= 0 for no key update of c),
    conversation as materialized (
      select v.id from conversations v, s where v.org_id = s.org_id and v.id = s.conversation_id
        and (select count(*) from contact) >= 0 for no key update of v),
    draft as materialized (
      select d.id from drafts d, s where d.org_id = s.org_id and d.id = s.draft_id
        and (select count(*) from conversation) >= 0 for share of d),
    organization as materialized (
      select o.id from organizations o, s where o.id = s.org_id and (select count(*) from draft) >= 0 for share of o),
    mailbox as materialized (
      select m.id from mailboxes m, s where m.org_id = s.org_id and m.id = s.mailbox_id
        and (select count(*) from organization) >= 0 for share of m)
    select ((select count(*) from contact) + (select count(*) from conversation) + (select count(*) from draft)
      + (select count(*) from organization) + (select count(*) from mailbox))::int as locked`)
}

export type Gated = {
  /** `scheduled`: the mailbox was paused or disconnected meanwhile. */
  state: 'sending' | 'skipped' | 'scheduled'
  provider_draft_id: string | null
  skip_reason: string | null
}

/**
 * Re-checks everything and passes or refuses, in one statement. No row: the lease is over or another run has the send.
 * `now` decides what is due; `send_started_at` is the later of it and the database's time, so that the 20 minutes before a
 * reconciliation are over by both.
 */
export function gate(input: {
  org_id: string
  send_id: string
  token: string
  provider_draft_id: string | null
  provider_thread_id: string | null
  /** Of the recipient, by the organization's key; `null`: nobody was erased there. */
  to_hash: string | null
  now: Date
  trail: Trail
}) {
  const now = iso(input.now)
  const automaticReply = sql`s.automatic and s.kind = 'reply'`
  const automaticWelcome = sql`s.automatic and s.kind = 'welcome'`
  const leftWithinCap = sql`x.state in ${MAY_HAVE_LEFT}
    and coalesce(x.sent_at, x.send_started_at) > ${now} - ${ADDRESS_CAP_HOURS} * interval '1 hour'`
  // Aliases are looked for among what is new: a cap of a day needs no more, and the index by domain is read no further.
  const toAlias = sql`x.to_domain = s.to_domain and x.created_at > ${now} - interval '2 days'
    and ${inboxOf(sql`x.to_email`, sql`x.to_domain`)} = ${inboxOf(sql`s.to_email`, sql`s.to_domain`)}`
  return raw<Gated>(sql`
    with facts as (
      select s.id, s.org_id, case
          when s.kind = any(${sql.param(contactKinds)}::text[]) and exists (
            select from suppressions x where x.org_id = s.org_id
              and ((x.kind = 'email' and x.value_norm = s.to_email) or (x.kind = 'domain' and x.value_norm = s.to_domain)
                or (x.kind = 'email_hash' and x.value_norm = ${input.to_hash}::text))
              -- Who wants no more mail still gets the answer that a person writes to what they wrote.
              and (s.automatic or s.kind <> 'reply' or x.reason <> all(${sql.param(optOutReasons)}::text[])))
            then 'suppressed'
          when ${automaticWelcome} and not o.welcome_mail then 'welcome_mail_off'
          when ${automaticWelcome} and exists (
            select from leads l where l.org_id = s.org_id and l.id = s.lead_id and l.status = 'spam')
            then 'lead_is_spam'
          -- An answer is worth more than an acknowledgement, and the address gets one of them.
          when ${automaticWelcome} and exists (
            select from sends x where x.org_id = s.org_id and x.conversation_id = s.conversation_id and x.automatic and x.kind = 'reply'
              and (x.state in ('scheduled', 'claimed') or x.state in ${MAY_HAVE_LEFT}))
            then 'automatic_reply'
          when ${automaticWelcome} and exists (
            select from messages n where n.org_id = s.org_id and n.conversation_id = s.conversation_id and n.direction = 'outbound')
            then 'answered_already'
          when ${automaticWelcome} and exists (
            select from sends x where x.org_id = s.org_id and x.to_email = s.to_email and x.id <> s.id
              and x.automatic and x.kind = any(${sql.param(contactKinds)}::text[])
              and ((x.kind = 'reply' and x.state in ('scheduled', 'claimed')) or ${leftWithinCap}))
            then 'address_cap'
          when ${automaticWelcome} and exists (
            select from sends x where x.org_id = s.org_id and ${toAlias} and x.id <> s.id
              and x.automatic and x.kind = any(${sql.param(contactKinds)}::text[]) and ${leftWithinCap})
            then 'address_cap'
          when s.draft_id is not null and d.status is distinct from 'approved' then 'draft_not_approved'
          when not (${automaticReply}) then null
          when o.reply_mode <> 'auto' then 'reply_mode_not_auto'
          when not m.auto_send then 'mailbox_auto_send_off'
          when exists (
            select from messages n join messages base on base.org_id = d.org_id and base.id = d.message_id
            where n.org_id = s.org_id and n.conversation_id = s.conversation_id and n.direction = 'inbound'
              and (n.received_at, n.id) > (base.received_at, base.id))
            then 'newer_message'
          when v.last_human_activity_at > coalesce(d.created_at, s.created_at) then 'human_activity'
          when (select count(*) from sends x where x.org_id = s.org_id and x.conversation_id = s.conversation_id and x.id <> s.id
              and x.automatic and x.kind = 'reply' and x.state in ${MAY_HAVE_LEFT}) >= ${THREAD_CAP}
            then 'thread_cap'
          when exists (select from sends x where x.org_id = s.org_id and x.to_email = s.to_email and x.id <> s.id
              and x.automatic and x.kind = 'reply' and x.state in ${MAY_HAVE_LEFT}
              and coalesce(x.sent_at, x.send_started_at) > ${now} - ${SENDER_CAP_HOURS} * interval '1 hour')
            then 'sender_cap'
          when exists (select from messages base where base.org_id = d.org_id and base.id = d.message_id and base.channel = 'form')
            and (exists (select from sends x where x.org_id = s.org_id and x.to_email = s.to_email and x.automatic and x.kind = 'welcome'
                and ${leftWithinCap})
              or exists (select from sends x where x.org_id = s.org_id and ${toAlias} and x.id <> s.id
                and x.automatic and x.kind = any(${sql.param(contactKinds)}::text[]) and ${leftWithinCap}))
            then 'address_cap'
          when (select count(*) from sends x where x.org_id = s.org_id and x.to_domain = s.to_domain and x.id <> s.id
              and x.created_at > ${now} - interval '30 days'
              and x.automatic and x.kind = 'reply' and x.state in ${MAY_HAVE_LEFT}
              and coalesce(x.sent_at, x.send_started_at) > ${now} - interval '1 day') >= ${DOMAIN_CAP}
            then 'domain_cap'
        end as refusal,
        case
          -- The organization erased somebody for the first time since the claim: the next one brings the hash along.
          when s.kind = any(${sql.param(contactKinds)}::text[]) and o.erasure_key_sealed is not null and ${input.to_hash}::text is null
            then 'suppressions_unread'
          when s.transport <> 'mailbox' or m.status = 'connected' then null
          when m.status = 'paused' then 'mailbox_paused'
          else 'mailbox_reconnect_required'
        end as waits
      from sends s
        join organizations o on o.id = s.org_id
        left join mailboxes m on m.org_id = s.org_id and m.id = s.mailbox_id
        left join drafts d on d.org_id = s.org_id and d.id = s.draft_id
        left join conversations v on v.org_id = s.org_id and v.id = s.conversation_id
      where s.org_id = ${input.org_id} and s.id = ${input.send_id} and s.state = 'claimed' and s.claim_token = ${input.token}),
    gated as (
      update sends s set
        state = case when f.refusal is not null then 'skipped' when f.waits is not null then 'scheduled' else 'sending' end,
        skip_reason = f.refusal,
        waits_because = case when f.refusal is null then f.waits end,
        attempts = s.attempts - (f.refusal is null and f.waits is not null)::int,
        provider_draft_id = coalesce(${input.provider_draft_id}::text, s.provider_draft_id),
        provider_thread_id = coalesce(s.provider_thread_id, ${input.provider_thread_id}::text),
        send_started_at = case when f.refusal is null and f.waits is null then greatest(now(), ${now}) else s.send_started_at end,
        claim_token = case when f.refusal is null and f.waits is null then s.claim_token end,
        lease_until = case when f.refusal is null and f.waits is null then now() + ${LEASE_SECONDS} * interval '1 second' end,
        updated_at = now()
      from facts f
      where s.org_id = f.org_id and s.id = f.id
        and s.state = 'claimed' and s.claim_token = ${input.token} and s.lease_until > clock_timestamp()
      returning s.*),
    ${trailOf(sql`gated`, sql`d.state = 'skipped'`, input.trail, { event: 'send.ended', action: 'send.skipped' })}
    select state, provider_draft_id, skip_reason from gated`)
}
