// scheduled → claimed: a lease, and a slot of the mailbox's day. Nothing can leave yet.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import { PROBE_SECONDS } from '../policy/pause'
import type { SendFacts } from './read'
import { iso } from './trail'

export const LEASE_SECONDS = 120

/** All that a run needs, so that it reads nothing else. */
export type ClaimedSend = SendFacts & {
  state: 'claimed' | 'scheduled'
  claim_token: string
  /** Why it was not claimed. */
  waits_because: string | null
  /** It is the one that tries a paused transport again, after a pause of so long; `null`: there is no pause. */
  paused_seconds: number | null
  /** What erased addresses are suppressed by; `null`: nobody was erased in this organization. */
  erasure_key_sealed: string | null
}

/**
 * One statement. No row: it is not due, done, or somebody else has it. The due time is compared with the caller's clock,
 * the lease runs on the database's. `spread` in [0,1) varies the gap between mails of a sequence.
 *
 * A transport that is paused (SQL: take_transport) lets one send through when the pause is over; the others wait for its end.
 * A mailbox that cannot send now leaves `next_attempt_at` as it is, so that the sweep goes on as soon as it can again.
 */
export function claim(input: { org_id: string; send_id: string; token: string; now: Date; spread: number }) {
  const now = iso(input.now)
  // The slots belong to the mailboxes slice; taking one has to be part of the claim, or a cap could be passed.
  return raw<ClaimedSend>(sql`
    with due as (
      select s.id, s.org_id, s.kind, s.transport, s.mailbox_id, m.status, m.daily_cap, m.sequence_daily_cap,
        m.sequence_gap_seconds, m.next_sequence_at, m.email as from_email
      from sends s left join mailboxes m on m.org_id = s.org_id and m.id = s.mailbox_id
      where s.org_id = ${input.org_id} and s.id = ${input.send_id} and s.state = 'scheduled' and s.next_attempt_at <= ${now}
      for update of s skip locked),
    pace as (
      update mailboxes m set next_sequence_at = ${now} + d.sequence_gap_seconds * (0.7 + 0.6 * ${input.spread}::float8) * interval '1 second'
      from due d where m.org_id = d.org_id and m.id = d.mailbox_id and d.kind = 'sequence' and d.status = 'connected'
        and (m.next_sequence_at is null or m.next_sequence_at <= ${now})
      returning m.id),
    slot as (
      insert into mailbox_days as taken (org_id, mailbox_id, day, used, sequence_used)
      select d.org_id, d.mailbox_id, (${now} at time zone 'UTC')::date, 1, (d.kind = 'sequence')::int
      from due d where d.transport = 'mailbox' and d.status = 'connected' and d.daily_cap > 0
        and (d.kind <> 'sequence' or (d.sequence_daily_cap > 0 and exists (select from pace)))
      on conflict (org_id, mailbox_id, day) do update
        set used = taken.used + 1, sequence_used = taken.sequence_used + excluded.sequence_used
        where taken.used < (select daily_cap from due)
          and (excluded.sequence_used = 0 or taken.sequence_used < (select sequence_daily_cap from due))
      returning taken.mailbox_id),
    shared as materialized (
      select t.paused_until, t.paused_seconds from due d, take_transport(d.transport, ${now}, ${PROBE_SECONDS}::integer) t
      where d.transport <> 'mailbox'),
    verdict as (
      select d.id, d.org_id, d.next_sequence_at, d.from_email, p.paused_until, p.paused_seconds, case
          when p.paused_until is not null then 'transport_paused'
          when d.transport <> 'mailbox' or exists (select from slot) then null
          when d.status = 'paused' then 'mailbox_paused'
          when d.status is distinct from 'connected' then 'mailbox_reconnect_required'
          when d.kind = 'sequence' and not exists (select from pace) then 'sequence_gap'
          else 'daily_cap'
        end as waits
      from due d left join shared p on true)
    update sends s set
      state = case when v.waits is null then 'claimed' else 'scheduled' end,
      claim_token = case when v.waits is null then ${input.token}::uuid end,
      lease_until = case when v.waits is null then now() + ${LEASE_SECONDS} * interval '1 second' end,
      attempts = s.attempts + (v.waits is null)::int,
      waits_because = v.waits,
      next_attempt_at = case v.waits
        when 'daily_cap' then (date_trunc('day', ${now} at time zone 'UTC') + interval '1 day') at time zone 'UTC'
        when 'transport_paused' then v.paused_until
        when 'sequence_gap' then greatest(v.next_sequence_at, s.next_attempt_at)
        else s.next_attempt_at end,
      updated_at = now()
    from verdict v where s.org_id = v.org_id and s.id = v.id
    returning s.id, s.org_id, s.kind, s.state, s.transport, s.mailbox_id, s.conversation_id, s.lead_id, s.automatic, v.from_email,
      s.to_email, s.to_name, s.subject, s.text, s.message_id, s.in_reply_to, s."references", s.created_by,
      s.provider_draft_id, s.provider_thread_id, s.claim_token, s.attempts, s.waits_because, v.paused_seconds,
      (select o.erasure_key_sealed from organizations o where o.id = s.org_id) as erasure_key_sealed`)
}
