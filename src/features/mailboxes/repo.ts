import { and, asc, desc, eq, inArray, isNull, lt, ne, or, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { mustChange } from '#db/guard'
import { messages } from '#db/schema/conversations'
import { mailbox_gaps, mailboxes, type MailboxError, oauth_states } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { sends } from '#db/schema/sending'
import type { MailboxProviderName, MailboxStatus } from '#kernel/vocabulary'

export { isLostRace } from '#db/guard'

const shown = {
  id: mailboxes.id,
  provider: mailboxes.provider,
  email: mailboxes.email,
  send_as: mailboxes.send_as,
  status: mailboxes.status,
  push: mailboxes.push,
  auto_send: mailboxes.auto_send,
  daily_cap: mailboxes.daily_cap,
  sequence_daily_cap: mailboxes.sequence_daily_cap,
  sequence_gap_seconds: mailboxes.sequence_gap_seconds,
  watch_expires_at: mailboxes.watch_expires_at,
  last_synced_at: mailboxes.last_synced_at,
  last_push_at: mailboxes.last_push_at,
  last_error: mailboxes.last_error,
  connected_at: mailboxes.connected_at,
  disconnected_at: mailboxes.disconnected_at,
  created_at: mailboxes.created_at,
  updated_at: mailboxes.updated_at,
}

export function list() {
  return q.select(shown).from(mailboxes).orderBy(asc(mailboxes.created_at), asc(mailboxes.id))
}

export function findById(id: string) {
  return q.select(shown).from(mailboxes).where(eq(mailboxes.id, id))
}

export function findStatus(id: string) {
  return q.select({ status: mailboxes.status }).from(mailboxes).where(eq(mailboxes.id, id))
}

/** Whose account a mailbox is. */
export function findAccount(id: string) {
  return q
    .select({
      id: mailboxes.id,
      provider: mailboxes.provider,
      account_subject: mailboxes.account_subject,
      email: mailboxes.email,
      email_norm: mailboxes.email_norm,
    })
    .from(mailboxes)
    .where(eq(mailboxes.id, id))
}

export function organizationExists() {
  return q.select({ id: organizations.id }).from(organizations)
}

/** The newest gaps; `limit` over all mailboxes of the organization. */
export function listGaps(limit: number) {
  return q.select().from(mailbox_gaps).orderBy(desc(mailbox_gaps.detected_at)).limit(limit)
}

export function findByAddress(provider: string, email_norm: string) {
  return raw<{ org_id: string; mailbox_id: string }>(
    sql`select org_id, mailbox_id from mailboxes_by_address(${provider}, ${email_norm})`,
  )
}

export function insertState(row: typeof oauth_states.$inferInsert) {
  return q.insert(oauth_states).values(row)
}

/** Single use: only the first callback within its time gets the row. */
export function useState(nonce_hash: string, now: Date) {
  return q
    .update(oauth_states)
    .set({ used_at: now })
    .where(
      and(
        eq(oauth_states.nonce_hash, nonce_hash),
        isNull(oauth_states.used_at),
        sql`${oauth_states.expires_at} > ${now.toISOString()}`,
      ),
    )
    .returning()
}

export function findByAccount(provider: MailboxProviderName, account_subject: string) {
  return q
    .select()
    .from(mailboxes)
    .where(and(eq(mailboxes.provider, provider), eq(mailboxes.account_subject, account_subject)))
}

/** The same account again is a reconnect of its mailbox. `id` comes in as the account's known one, or a new one. */
export function upsert(row: {
  id: string
  org_id: string
  provider: MailboxProviderName
  account_subject: string
  email: string
  email_norm: string
  status: MailboxStatus
  now: Date
}) {
  const { now, ...values } = row
  return q
    .insert(mailboxes)
    .values({ ...values, created_at: now, updated_at: now })
    .onConflictDoUpdate({
      target: [mailboxes.org_id, mailboxes.provider, mailboxes.account_subject],
      set: {
        email: row.email,
        email_norm: row.email_norm,
        status: row.status,
        last_error: null,
        disconnected_at: null,
        updated_at: now,
      },
    })
    .returning()
}

/** Changes the row, and with `unchanged_since` only one that nobody has changed since, or fails the whole batch. */
export function update(
  id: string,
  set: Partial<Omit<typeof mailboxes.$inferInsert, 'id' | 'org_id' | 'updated_at'>>,
  now: Date,
  unchanged_since: Date | null = null,
) {
  return mustChange(
    q
      .update(mailboxes)
      .set({
        ...set,
        // It is the ETag, so it always moves on.
        updated_at: sql`greatest(${now.toISOString()}::timestamptz, ${mailboxes.updated_at} + interval '1 millisecond')`,
      })
      .where(
        and(
          eq(mailboxes.id, id),
          unchanged_since === null ? undefined : eq(mailboxes.updated_at, unchanged_since),
        ),
      )
      .returning({ id: mailboxes.id }),
  )
}

/** What the object knows after a sync. A mailbox that was disconnected meanwhile stays so. */
export function markSynced(
  id: string,
  at: {
    now: Date
    synced_at: Date
    pushed_at: Date | null
    cursor_moved_at: Date | null
    push: 'on' | 'off'
    watch_expires_at: Date | null
    connected: boolean
  },
) {
  return q
    .update(mailboxes)
    .set({
      status: 'connected',
      last_synced_at: at.synced_at,
      ...(at.pushed_at === null ? {} : { last_push_at: at.pushed_at }),
      ...(at.cursor_moved_at === null ? {} : { cursor_moved_at: at.cursor_moved_at }),
      ...(at.connected ? { connected_at: at.now } : {}),
      push: at.push,
      watch_expires_at: at.watch_expires_at,
      last_error: null,
      updated_at: at.now,
    })
    .where(and(eq(mailboxes.id, id), inArray(mailboxes.status, ['connecting', 'connected', 'paused'])))
}

export function markError(id: string, error: MailboxError, now: Date) {
  return q
    .update(mailboxes)
    .set({ last_error: error, updated_at: now })
    .where(and(eq(mailboxes.id, id), ne(mailboxes.status, 'disconnected')))
}

/** One statement for the state, its event and its audit entry: who arrives second changes nothing and tells nobody. */
export function markLost(lost: {
  id: string
  org_id: string
  status: MailboxStatus
  error: MailboxError
  now: Date
  event_id: string
  audit_id: string
  unchanged_since: Date | null
}) {
  const at = lost.now.toISOString()
  const until = lost.unchanged_since?.toISOString() ?? null
  return raw<{ id: string }>(sql`
    with lost as (
      update mailboxes set status = ${lost.status}, last_error = ${JSON.stringify(lost.error)}::jsonb, updated_at = ${at}
        where id = ${lost.id} and status not in (${lost.status}, 'disconnected')
          and (${until}::timestamptz is null or updated_at <= ${until}::timestamptz) returning org_id, id),
    told as (
      insert into events (org_id, id, type, payload, as_of, created_at)
        select org_id, ${lost.event_id}, 'mailbox.reconnect_required', jsonb_build_object('mailbox_id', id), ${at}, now() from lost
        where ${lost.status} in ('reconnect_required', 'needs_scopes')),
    audited as (
      insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, fields)
        select org_id, ${lost.audit_id}, ${at}, 'system', 'mailbox', ${`mailbox.${lost.status}`}, 'mailbox', id::text, '{status}' from lost)
    select id from lost`)
}

/** The same gap again is the same row. */
export function insertGap(row: typeof mailbox_gaps.$inferInsert) {
  return q.insert(mailbox_gaps).values(row).onConflictDoNothing()
}

export function closeGap(id: string, recovered: number, now: Date) {
  return q
    .update(mailbox_gaps)
    .set({ closed_at: now, recovered: sql`${mailbox_gaps.recovered} + ${recovered}` })
    .where(eq(mailbox_gaps.id, id))
}

/** Which of these provider ids are messages or sends of ours already. */
export function listKnown(mailbox_id: string, provider_ids: string[]) {
  return q
    .select({ id: messages.provider_message_id })
    .from(messages)
    .where(and(eq(messages.mailbox_id, mailbox_id), inArray(messages.provider_message_id, provider_ids)))
    .union(
      q
        .select({ id: sends.provider_message_id })
        .from(sends)
        .where(and(eq(sends.mailbox_id, mailbox_id), inArray(sends.provider_message_id, provider_ids))),
    )
}

/** All addresses that the organization writes from. */
export function listOwnAddresses() {
  return q.select({ email_norm: mailboxes.email_norm, send_as: mailboxes.send_as }).from(mailboxes)
}

/** For the sweeps: connected, and not synced since. */
export function listStale(before: Date, limit: number) {
  return q
    .select({ org_id: mailboxes.org_id, id: mailboxes.id })
    .from(mailboxes)
    .where(
      and(
        inArray(mailboxes.status, ['connecting', 'connected']),
        or(isNull(mailboxes.last_synced_at), lt(mailboxes.last_synced_at, before)),
      ),
    )
    .orderBy(sql`${mailboxes.last_synced_at} nulls first`)
    .limit(limit)
}

export function listWatchEnding(before: Date, limit: number) {
  return (
    q
      .select({ org_id: mailboxes.org_id, id: mailboxes.id })
      .from(mailboxes)
      .where(
        and(
          eq(mailboxes.status, 'connected'),
          or(isNull(mailboxes.watch_expires_at), lt(mailboxes.watch_expires_at, before)),
        ),
      )
      // Each attempt touches the row, so that those which keep failing do not stand before the others.
      .orderBy(asc(mailboxes.updated_at))
      .limit(limit)
  )
}
