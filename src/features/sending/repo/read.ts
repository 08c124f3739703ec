import { and, eq, inArray, lte, notInArray, sql } from 'drizzle-orm'
import { q } from '#db/client'
import { isBefore, newestFirst } from '#db/list'
import { mailboxes } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { outbox_mails, sends, suppressions } from '#db/schema/sending'
import type { Cursor } from '#kernel/page'
import { optOutReasons, type SendKind, type SendState } from '#kernel/vocabulary'

export interface SendFilter {
  kind?: SendKind | undefined
  state?: SendState | undefined
  to_email?: string | undefined
  lead_id?: string | undefined
}

const shown = {
  id: sends.id,
  kind: sends.kind,
  state: sends.state,
  transport: sends.transport,
  automatic: sends.automatic,
  to: sends.to_email,
  to_name: sends.to_name,
  subject: sends.subject,
  text: sends.text,
  mailbox_id: sends.mailbox_id,
  conversation_id: sends.conversation_id,
  lead_id: sends.lead_id,
  draft_id: sends.draft_id,
  attempts: sends.attempts,
  next_attempt_at: sends.next_attempt_at,
  waits_because: sends.waits_because,
  skip_reason: sends.skip_reason,
  last_error: sends.last_error,
  send_started_at: sends.send_started_at,
  sent_at: sends.sent_at,
  delivered_at: sends.delivered_at,
  bounced_at: sends.bounced_at,
  bounce: sends.bounce,
  complained_at: sends.complained_at,
  created_by: sends.created_by,
  created_at: sends.created_at,
  updated_at: sends.updated_at,
}

export function list(filter: SendFilter, limit: number, after: Cursor | null) {
  return q
    .select(shown)
    .from(sends)
    .where(
      and(
        filter.kind === undefined ? undefined : eq(sends.kind, filter.kind),
        filter.state === undefined ? undefined : eq(sends.state, filter.state),
        filter.to_email === undefined ? undefined : eq(sends.to_email, filter.to_email),
        filter.lead_id === undefined ? undefined : eq(sends.lead_id, filter.lead_id),
        isBefore(sends.created_at, sends.id, after),
      ),
    )
    .orderBy(newestFirst(sends.created_at), newestFirst(sends.id))
    .limit(limit)
}

export function findById(id: string) {
  return q.select(shown).from(sends).where(eq(sends.id, id))
}

/** What the mail is made of, while a run of ours has the send; one of unknown fate is compared with what the provider has. */
export function findOutgoing(id: string) {
  return q
    .select({
      id: sends.id,
      org_id: sends.org_id,
      kind: sends.kind,
      automatic: sends.automatic,
      to_email: sends.to_email,
      to_name: sends.to_name,
      subject: sends.subject,
      text: sends.text,
      message_id: sends.message_id,
      in_reply_to: sends.in_reply_to,
      references: sends.references,
      provider_thread_id: sends.provider_thread_id,
      from_name: organizations.from_name,
      from_email: mailboxes.email,
    })
    .from(sends)
    .innerJoin(organizations, eq(organizations.id, sends.org_id))
    .leftJoin(mailboxes, and(eq(mailboxes.org_id, sends.org_id), eq(mailboxes.id, sends.mailbox_id)))
    .where(and(eq(sends.id, id), inArray(sends.state, ['claimed', 'sending', 'unknown'])))
}

/** An erased address is known by its hash alone. Not counted, as everywhere: who opted out still gets what a person answers. */
export function countHashed(hash: string) {
  return q
    .select({ count: sql<number>`count(*)::integer` })
    .from(suppressions)
    .where(
      and(
        eq(suppressions.kind, 'email_hash'),
        eq(suppressions.value_norm, hash),
        notInArray(suppressions.reason, [...optOutReasons]),
      ),
    )
}

/** What a transport and the record of the outcome need. */
const facts = {
  id: sends.id,
  org_id: sends.org_id,
  kind: sends.kind,
  transport: sends.transport,
  mailbox_id: sends.mailbox_id,
  conversation_id: sends.conversation_id,
  lead_id: sends.lead_id,
  automatic: sends.automatic,
  from_email: mailboxes.email,
  to_email: sends.to_email,
  to_name: sends.to_name,
  subject: sends.subject,
  text: sends.text,
  message_id: sends.message_id,
  in_reply_to: sends.in_reply_to,
  references: sends.references,
  created_by: sends.created_by,
  provider_draft_id: sends.provider_draft_id,
  provider_thread_id: sends.provider_thread_id,
  attempts: sends.attempts,
}

function selectFacts() {
  return q
    .select({
      ...facts,
      state: sends.state,
      claim_token: sends.claim_token,
      send_started_at: sends.send_started_at,
    })
    .from(sends)
    .leftJoin(mailboxes, and(eq(mailboxes.org_id, sends.org_id), eq(mailboxes.id, sends.mailbox_id)))
}

export type SendFacts = Pick<Awaited<ReturnType<typeof selectFacts>>[number], keyof typeof facts>

export function findFacts(id: string) {
  return selectFacts().where(eq(sends.id, id))
}

/** A send of unknown fate whose time of grace is over. */
export function findUnknown(id: string, now: Date, started_before: Date) {
  return selectFacts().where(
    and(
      eq(sends.id, id),
      eq(sends.state, 'unknown'),
      lte(sends.next_attempt_at, now),
      lte(sends.send_started_at, started_before),
    ),
  )
}

export function findOutboxMail(send_id: string) {
  return q
    .select({ send_id: outbox_mails.send_id })
    .from(outbox_mails)
    .where(eq(outbox_mails.send_id, send_id))
}

/**
 * The outbox accepts a send once, and only from the run that has passed the gate: the row is locked, so that a run which was
 * suspended for long can no longer deliver what others have given up.
 */
export function acceptIntoOutbox(input: { send_id: string; token: string; raw: string; now: Date }) {
  return q
    .insert(outbox_mails)
    .select(
      q
        .select({
          send_id: sends.id,
          org_id: sends.org_id,
          raw: sql<string>`${input.raw}`.as('raw'),
          accepted_at: sql<Date>`${input.now.toISOString()}::timestamptz`.as('accepted_at'),
        })
        .from(sends)
        .where(
          and(eq(sends.id, input.send_id), eq(sends.state, 'sending'), eq(sends.claim_token, input.token)),
        )
        .for('share'),
    )
    .onConflictDoNothing()
    .returning({ send_id: outbox_mails.send_id })
}
