import { and, desc, eq, inArray, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { q, raw } from '#db/client'
import { isBefore } from '#db/list'
import { contacts, conversations } from '#db/schema/conversations'
import { leads } from '#db/schema/leads'
import { mailbox_days, oauth_states } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { dead_letters, events, idempotency_keys, rate_limits, sweep_runs } from '#db/schema/platform'
import { mail_events } from '#db/schema/sending'
import type { Cursor } from '#kernel/page'
import type { LeadStatus } from '#kernel/vocabulary'
import type { Backlog } from './policy'

export interface PageRequest {
  limit: number
  offset: number
  after: Cursor | null
}

export interface LeadFilter {
  status_filter?: LeadStatus | undefined
  organization_id?: string | undefined
}

function matchesLead({ status_filter, organization_id }: LeadFilter): SQL | undefined {
  return and(
    status_filter === undefined ? undefined : eq(leads.status, status_filter),
    organization_id === undefined ? undefined : eq(leads.org_id, organization_id),
  )
}

export function listLeads(filter: LeadFilter, { limit, offset, after }: PageRequest) {
  return q
    .select({
      id: leads.id,
      status: leads.status,
      source: leads.source,
      assignee_id: leads.assignee_id,
      received_at: leads.received_at,
      first_response_at: leads.first_response_at,
      custom: leads.custom,
      signals: leads.signals,
      page_url: leads.page_url,
      utm: leads.utm,
      consent: leads.consent,
      version: leads.version,
      created_at: leads.created_at,
      updated_at: leads.updated_at,
      contact: {
        id: contacts.id,
        email: contacts.email,
        name: contacts.name,
        company: contacts.company,
        phone: contacts.phone,
      },
      conversation: {
        id: conversations.id,
        channel: conversations.channel,
        subject: conversations.subject,
        status: conversations.status,
        last_message_at: conversations.last_message_at,
      },
      organization: { id: organizations.id, name: organizations.name, slug: organizations.slug },
    })
    .from(leads)
    .innerJoin(organizations, eq(organizations.id, leads.org_id))
    .innerJoin(contacts, and(eq(contacts.org_id, leads.org_id), eq(contacts.id, leads.contact_id)))
    .innerJoin(
      conversations,
      and(eq(conversations.org_id, leads.org_id), eq(conversations.id, leads.conversation_id)),
    )
    .where(and(matchesLead(filter), isBefore(leads.received_at, leads.id, after)))
    .orderBy(desc(leads.received_at), desc(leads.id))
    .limit(limit)
    .offset(offset)
}

export function countLeads(filter: LeadFilter) {
  return q.select({ total: sql<number>`count(*)::integer` }).from(leads).where(matchesLead(filter))
}

export function findOrganizationOfLead(id: string) {
  return q
    .select({ id: organizations.id, name: organizations.name, slug: organizations.slug })
    .from(leads)
    .innerJoin(organizations, eq(organizations.id, leads.org_id))
    .where(eq(leads.id, id))
}

/** The latest run of each sweep. */
export function listLastRuns() {
  return q
    .selectDistinctOn([sweep_runs.name])
    .from(sweep_runs)
    .orderBy(sweep_runs.name, desc(sweep_runs.started_at))
}

export function listLastSuccesses() {
  return q
    .selectDistinctOn([sweep_runs.name], { name: sweep_runs.name, scheduled_at: sweep_runs.scheduled_at })
    .from(sweep_runs)
    .where(and(isNotNull(sweep_runs.finished_at), isNull(sweep_runs.error)))
    .orderBy(sweep_runs.name, desc(sweep_runs.started_at))
}

export interface LetterFilter {
  queue?: string | undefined
  job?: string | undefined
  retried?: boolean | undefined
}

function matchesLetter({ queue, job, retried }: LetterFilter): SQL | undefined {
  return and(
    queue === undefined ? undefined : eq(dead_letters.queue, queue),
    job === undefined ? undefined : eq(dead_letters.job, job),
    retried === undefined
      ? undefined
      : retried
        ? isNotNull(dead_letters.retried_at)
        : isNull(dead_letters.retried_at),
  )
}

export function listLetters(filter: LetterFilter, { limit, offset, after }: PageRequest) {
  return q
    .select()
    .from(dead_letters)
    .where(and(matchesLetter(filter), isBefore(dead_letters.created_at, dead_letters.id, after)))
    .orderBy(desc(dead_letters.created_at), desc(dead_letters.id))
    .limit(limit)
    .offset(offset)
}

export function countLetters(filter: LetterFilter) {
  return q.select({ total: sql<number>`count(*)::integer` }).from(dead_letters).where(matchesLetter(filter))
}

export function findLetter(id: string) {
  return q.select().from(dead_letters).where(eq(dead_letters.id, id))
}

export function markRetried(id: string, at: Date) {
  return q
    .update(dead_letters)
    .set({ retried_at: sql`coalesce(${dead_letters.retried_at}, ${at.toISOString()}::timestamptz)` })
    .where(eq(dead_letters.id, id))
    .returning()
}

export function countBacklog(now: Date) {
  const at = sql`${now.toISOString()}::timestamptz`
  return raw<{ backlog: Backlog }>(sql`select json_build_object(
    'events_waiting', (select count(*) from events where dispatched_at is null),
    'oldest_event_seconds', (select coalesce(greatest(0, ceil(extract(epoch from now() - min(created_at)))), 0) from events where dispatched_at is null),
    'sends_overdue', (select count(*) from sends where state = 'scheduled' and next_attempt_at < ${at} - interval '10 minutes'),
    'sends_in_review', (select count(*) from sends where state = 'review'),
    'drafts_overdue', (select count(*) from drafts where status = 'pending' and created_at < ${at} - interval '10 minutes'),
    'dead_letters_open', (select count(*) from dead_letters where retried_at is null),
    'mailboxes_connected', (select count(*) from mailboxes where status = 'connected'),
    'mailboxes_broken', (select count(*) from mailboxes where status in ('needs_scopes', 'reconnect_required'))) as backlog`)
}

/** The oldest rows that match, at most `limit`: a delete of a million rows would hold its locks for minutes. */
function trim(table: PgTable, condition: SQL | undefined, limit: number) {
  const doomed = q.select({ ctid: sql`ctid` }).from(table).where(condition).limit(limit)
  return q.delete(table).where(inArray(sql`ctid`, doomed))
}

export function trimEvents(before: Date, limit: number) {
  return trim(events, and(isNotNull(events.dispatched_at), lt(events.created_at, before)), limit)
}

export function trimSweepRuns(before: Date, limit: number) {
  return trim(sweep_runs, lt(sweep_runs.started_at, before), limit)
}

export function trimRateLimits(before: Date, limit: number) {
  return trim(rate_limits, lt(rate_limits.window_at, before), limit)
}

export function trimIdempotencyKeys(before: Date, limit: number) {
  return trim(idempotency_keys, lt(idempotency_keys.expires_at, before), limit)
}

export function trimOauthStates(before: Date, limit: number) {
  return trim(oauth_states, lt(oauth_states.expires_at, before), limit)
}

/** Fourteen days after the last thing that happened to it. */
export function trimDeadLetters(before: Date, limit: number) {
  return trim(
    dead_letters,
    and(
      lt(dead_letters.created_at, before),
      or(isNull(dead_letters.retried_at), lt(dead_letters.retried_at, before)),
    ),
    limit,
  )
}

/** Fourteen days after it came; those that wait for their send have been given up long before. */
export function trimMailEvents(before: Date, limit: number) {
  return trim(mail_events, lt(mail_events.created_at, before), limit)
}

/** Only today's slots are ever asked for. */
export function trimMailboxDays(before: Date, limit: number) {
  return trim(mailbox_days, lt(mailbox_days.day, before.toISOString().slice(0, 10)), limit)
}

/** Organizations that let something expire. */
export function listWithRetention(limit: number) {
  return q
    .select({ org_id: organizations.id })
    .from(organizations)
    .where(sql`${organizations.retention_days} <> '{}'::jsonb`)
    .orderBy(organizations.id)
    .limit(limit)
}

/** In this order: a send that is over goes before the conversation that it would otherwise be parted from. */
export const expiringTables = [
  'events',
  'notifications',
  'notices',
  'sends',
  'leads',
  'conversations',
] as const

/** What `apply_retention` (migrations) answers; `last` is null when there was nothing to look at. */
export interface Expired {
  examined: number
  removed: Record<string, number>
  last?: { at: string | null; id: string | null } | null
}

export function applyRetention(input: {
  table: (typeof expiringTables)[number]
  now: Date
  rows: number
  after: Expired['last'] | null
}) {
  return raw<{ result: Expired }>(
    sql`select apply_retention(${JSON.stringify({ ...input, now: input.now.toISOString() })}::jsonb) as result`,
  )
}
