// What a provider reports about mail that has left. Reports are the installation's until their send is found.
import { and, asc, eq, exists, gt, isNull, or, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { mail_events, sends } from '#db/schema/sending'
import type { SendState } from '#kernel/vocabulary'
import { iso } from './trail'

export interface EventIds {
  audit: string
  suppression: string
}

export type AppliedEvent =
  | { outcome: 'applied' | 'known' | 'waiting' }
  | { outcome: 'unsettled'; org_id: string; send_id: string; provider_message_id: string; state: SendState }

/** Keeps it and does what it means, once however often it comes (SQL: record_mail_event). */
export function recordMailEvent(event: Record<string, unknown> & { ids: EventIds; now: Date }) {
  return raw<{ event: AppliedEvent }>(sql`select record_mail_event(${JSON.stringify(event)}::jsonb) as event`)
}

export function applyMailEvent(input: { provider: string; dedupe_key: string; ids: EventIds; now: Date }) {
  const { provider, dedupe_key, ids, now } = input
  return raw<{ event: AppliedEvent }>(
    sql`select apply_mail_event(${provider}, ${dedupe_key}, ${JSON.stringify(ids)}::jsonb, ${iso(now)}) as event`,
  )
}

/** Kept reports whose send is there by now. */
export function listMatched(since: Date, limit: number) {
  return q
    .select({ provider: mail_events.provider, dedupe_key: mail_events.dedupe_key })
    .from(mail_events)
    .where(
      and(
        isNull(mail_events.applied_at),
        gt(mail_events.created_at, since),
        or(
          exists(q.select({ one: sql`1` }).from(sends).where(eq(sends.id, mail_events.send_id))),
          exists(
            q
              .select({ one: sql`1` })
              .from(sends)
              .where(
                and(
                  eq(sends.provider_message_id, mail_events.provider_message_id),
                  // As the index has it.
                  sql`${sends.transport} = 'postmark'`,
                ),
              ),
          ),
        ),
      ),
    )
    .orderBy(asc(mail_events.created_at))
    .limit(limit)
}
