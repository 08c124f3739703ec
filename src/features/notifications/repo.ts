import { and, asc, eq, isNotNull, isNull, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { isBefore, newestFirst } from '#db/list'
import { contacts, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { mailboxes } from '#db/schema/mailboxes'
import { notices, notifications } from '#db/schema/notifications'
import { organizations } from '#db/schema/organizations'
import { sends } from '#db/schema/sending'
import type { Cursor } from '#kernel/page'

const shown = {
  id: notifications.id,
  type: notifications.type,
  entity_type: notifications.entity_type,
  entity_id: notifications.entity_id,
  title: notifications.title,
  body: notifications.body,
  read_at: notifications.read_at,
  created_at: notifications.created_at,
}

export function listNotifications(
  user_id: string,
  filter: { unread?: boolean },
  limit: number,
  after: Cursor | null,
) {
  return q
    .select(shown)
    .from(notifications)
    .where(
      and(
        eq(notifications.user_id, user_id),
        filter.unread === undefined
          ? undefined
          : filter.unread
            ? isNull(notifications.read_at)
            : isNotNull(notifications.read_at),
        isBefore(notifications.created_at, notifications.id, after),
      ),
    )
    .orderBy(newestFirst(notifications.created_at), newestFirst(notifications.id))
    .limit(limit)
}

export function markRead(user_id: string, id: string, at: Date) {
  return q
    .update(notifications)
    .set({ read_at: sql`coalesce(${notifications.read_at}, ${at.toISOString()}::timestamptz)` })
    .where(and(eq(notifications.user_id, user_id), eq(notifications.id, id)))
    .returning(shown)
}

export function markAllRead(user_id: string, at: Date) {
  return q
    .update(notifications)
    .set({ read_at: at })
    .where(and(eq(notifications.user_id, user_id), isNull(notifications.read_at)))
    .returning({ id: notifications.id })
}

const LEASE_SECONDS = 60

/** Which notice: its own id, or the one of a lead. */
export type NoticeKey = { notice_id: string } | { lead_id: string }

function isNotice(key: NoticeKey): SQL | undefined {
  return 'notice_id' in key
    ? eq(notices.id, key.notice_id)
    : and(eq(notices.channel, 'slack'), eq(notices.dedupe_key, `lead:${key.lead_id}`))
}

const isFree = () => or(isNull(notices.lease_until), lt(notices.lease_until, sql`now()`))

/**
 * Takes the notice for one attempt. One that only waits for its lead's outcome may be woken early; one that waits because the
 * channel refused it (it has an error) may not.
 */
export function claim(key: NoticeKey, now: Date) {
  return q
    .update(notices)
    .set({
      attempts: sql`${notices.attempts} + 1`,
      lease_until: sql`now() + make_interval(secs => ${LEASE_SECONDS})`,
    })
    .where(
      and(
        isNotice(key),
        eq(notices.state, 'pending'),
        isFree(),
        or(lte(notices.next_attempt_at, now), isNull(notices.last_error)),
      ),
    )
    .returning({
      id: notices.id,
      channel: notices.channel,
      kind: notices.kind,
      attempts: notices.attempts,
      lease_until: notices.lease_until,
    })
}

export interface Claimed {
  id: string
  attempts: number
  lease_until: Date | null
}

/** Ends one attempt. The lease is the fence: whoever lost it changes nothing. */
export function finish(
  claimed: Claimed,
  set: Pick<
    Partial<typeof notices.$inferInsert>,
    'state' | 'attempts' | 'next_attempt_at' | 'last_error' | 'sent_at'
  >,
) {
  return q
    .update(notices)
    .set({ ...set, lease_until: null })
    .where(
      and(
        eq(notices.id, claimed.id),
        eq(notices.state, 'pending'),
        claimed.lease_until === null ? sql`false` : eq(notices.lease_until, claimed.lease_until),
      ),
    )
}

/** Everything that a notice may tell, read at the moment of telling. */
export function findTruth(key: NoticeKey) {
  const draft = q
    .select({
      status: drafts.status,
      decision: drafts.decision,
      category: drafts.category,
      reason: drafts.reason,
      gate: drafts.gate,
      ai_failure: drafts.ai_failure,
      reject_reason: drafts.reject_reason,
    })
    .from(drafts)
    .where(
      and(
        eq(drafts.org_id, leads.org_id),
        eq(drafts.conversation_id, leads.conversation_id),
        eq(drafts.lead_id, leads.id),
      ),
    )
    .orderBy(sql`${drafts.created_at} desc`, sql`${drafts.id} desc`)
    .limit(1)
    .as('draft')
  const send = q
    .select({
      state: sends.state,
      automatic: sends.automatic,
      skip_reason: sends.skip_reason,
      last_error: sends.last_error,
    })
    .from(sends)
    .where(
      and(
        eq(sends.org_id, leads.org_id),
        eq(sends.conversation_id, leads.conversation_id),
        eq(sends.lead_id, leads.id),
        eq(sends.kind, 'reply'),
      ),
    )
    .orderBy(sql`(${sends.state} = 'sent') desc`, sql`${sends.created_at} desc`, sql`${sends.id} desc`)
    .limit(1)
    .as('send')
  const first = q
    .select({
      subject: messages.subject,
      text: sql<string>`left(${messages.stripped_text}, 1000)`.as('text'),
    })
    .from(messages)
    .where(
      and(
        eq(messages.org_id, leads.org_id),
        eq(messages.conversation_id, leads.conversation_id),
        eq(messages.direction, 'inbound'),
      ),
    )
    .orderBy(asc(messages.received_at), asc(messages.id))
    .limit(1)
    .as('first')
  return q
    .select({
      organization: { name: organizations.name, slack_webhook_sealed: organizations.slack_webhook_sealed },
      lead: { id: leads.id, status: leads.status, source: leads.source },
      contact: { email: contacts.email, name: contacts.name },
      answered: sql<boolean>`exists (select from ${messages} as m where m.org_id = ${leads.org_id}
        and m.conversation_id = ${leads.conversation_id} and m.direction = 'outbound')`,
      first: { subject: first.subject, text: first.text },
      draft: {
        status: draft.status,
        decision: draft.decision,
        category: draft.category,
        reason: draft.reason,
        gate: draft.gate,
        ai_failure: draft.ai_failure,
        reject_reason: draft.reject_reason,
      },
      send: {
        state: send.state,
        automatic: send.automatic,
        skip_reason: send.skip_reason,
        last_error: send.last_error,
      },
      mailbox: { id: mailboxes.id, email: mailboxes.email, status: mailboxes.status },
    })
    .from(notices)
    .innerJoin(organizations, eq(organizations.id, notices.org_id))
    .leftJoin(leads, and(eq(leads.org_id, notices.org_id), eq(leads.id, notices.lead_id)))
    .leftJoin(contacts, and(eq(contacts.org_id, leads.org_id), eq(contacts.id, leads.contact_id)))
    .leftJoin(mailboxes, and(eq(mailboxes.org_id, notices.org_id), eq(mailboxes.id, notices.mailbox_id)))
    .leftJoinLateral(first, sql`true`)
    .leftJoinLateral(draft, sql`true`)
    .leftJoinLateral(send, sql`true`)
    .where(isNotice(key))
}

/**
 * One notice for each loss of a mailbox's grant, named by when that grant was given. None when the mailbox was reconnected in
 * the meantime, or when there is nowhere to post to.
 */
export function insertReconnectNotice(
  row: { id: string; org_id: string; mailbox_id: string; slack_configured: boolean },
  now: Date,
) {
  const at = now.toISOString()
  return raw<{ id: string }>(sql`
    insert into ${notices} (org_id, id, channel, kind, dedupe_key, mailbox_id, next_attempt_at, created_at)
      select m.org_id, ${row.id}::uuid, 'slack', 'mailbox_reconnect_required',
        'mailbox:' || m.id || ':' || coalesce(floor(extract(epoch from m.connected_at) * 1000)::bigint::text, 'never'),
        m.id, ${at}::timestamptz, ${at}::timestamptz
      from ${mailboxes} m join ${organizations} o on o.id = m.org_id
      where m.org_id = ${row.org_id} and m.id = ${row.mailbox_id} and m.status in ('reconnect_required', 'needs_scopes')
        and (o.slack_webhook_sealed is not null or ${row.slack_configured}::boolean)
    on conflict (org_id, channel, dedupe_key) do nothing
    returning id`)
}

/** All organizations' notices that are due, for the sweep. */
export function listDue(now: Date, limit: number) {
  return q
    .select({ id: notices.id, org_id: notices.org_id })
    .from(notices)
    .where(and(eq(notices.state, 'pending'), lte(notices.next_attempt_at, now), isFree()))
    .orderBy(asc(notices.next_attempt_at))
    .limit(limit)
}
