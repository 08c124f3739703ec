// What the minute tick looks for, in all organizations. Runs as inlet_system.
import { and, asc, eq, isNull, lte, or, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { mailboxes } from '#db/schema/mailboxes'
import { sends } from '#db/schema/sending'
import { iso } from './trail'

/** The run has died before the gate, so nothing has left: a free retry. Leases run on the database's clock. */
export function releaseExpired(limit: number) {
  return raw<{ id: string }>(sql`
    update sends s set state = 'scheduled', claim_token = null, lease_until = null, updated_at = now()
    from (select org_id, id from sends where state = 'claimed' and lease_until < now()
      order by lease_until limit ${limit} for update skip locked) expired
    where s.org_id = expired.org_id and s.id = expired.id returning s.id`)
}

/** The run has died behind the gate: possibly sent. */
export function markStalled(now: Date, after_seconds: number, limit: number) {
  return raw<{ id: string }>(sql`
    update sends s set state = 'unknown', lease_until = null, next_attempt_at = ${iso(now)}, updated_at = now(),
      last_error = jsonb_build_object('code', 'no_outcome', 'message', 'The run ended before it could note the outcome.', 'at', to_jsonb(${iso(now)}))
    from (select org_id, id from sends where state = 'sending' and send_started_at <= ${iso(now)} - ${after_seconds} * interval '1 second'
      order by send_started_at limit ${limit} for update skip locked) stalled
    where s.org_id = stalled.org_id and s.id = stalled.id returning s.id`)
}

/**
 * Due and able to leave. One whose mailbox cannot send now is listed until it says why it waits, then not again before the
 * mailbox can.
 */
export function listDue(now: Date, limit: number) {
  return q
    .select({ org_id: sends.org_id, send_id: sends.id })
    .from(sends)
    .leftJoin(mailboxes, and(eq(mailboxes.org_id, sends.org_id), eq(mailboxes.id, sends.mailbox_id)))
    .where(
      and(
        eq(sends.state, 'scheduled'),
        lte(sends.next_attempt_at, now),
        or(
          isNull(mailboxes.id),
          eq(mailboxes.status, 'connected'),
          sql`${sends.waits_because} is distinct from case when ${mailboxes.status} = 'paused' then 'mailbox_paused' else 'mailbox_reconnect_required' end`,
        ),
      ),
    )
    .orderBy(asc(sends.next_attempt_at), asc(sends.id))
    .limit(limit)
}

export function listUnknown(now: Date, started_before: Date, limit: number) {
  return q
    .select({ org_id: sends.org_id, send_id: sends.id })
    .from(sends)
    .where(
      and(
        eq(sends.state, 'unknown'),
        lte(sends.send_started_at, started_before),
        lte(sends.next_attempt_at, now),
      ),
    )
    .orderBy(asc(sends.next_attempt_at), asc(sends.id))
    .limit(limit)
}
