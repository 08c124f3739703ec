import { sql } from 'drizzle-orm'
import {
  boolean,
  check,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import {
  mailEventKinds,
  sendKinds,
  sendStates,
  suppressionKinds,
  templateKinds,
  transportNames,
} from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { conversations } from './conversations'
import { drafts } from './drafting'
import { leads } from './leads'
import { mailboxes } from './mailboxes'
import { organizations } from './organizations'

export interface SendError {
  code: string
  message: string
  at: string
}

/** One outgoing mail and all that happened to it. */
export const sends = pgTable(
  'sends',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    kind: text({ enum: sendKinds }).notNull(),
    state: text({ enum: sendStates }).notNull().default('scheduled'),
    transport: text({ enum: transportNames }).notNull(),
    mailbox_id: uuid(),
    conversation_id: uuid(),
    lead_id: uuid(),
    draft_id: uuid(),
    /** Nobody looked at it before it left. */
    automatic: boolean().notNull(),
    to_email: text().notNull(),
    to_domain: text().notNull(),
    to_name: text(),
    subject: text().notNull(),
    text: text().notNull(),
    in_reply_to: text(),
    references: text().array().notNull().default([]),
    provider_thread_id: text(),
    /** The Message-ID that we gave it. */
    message_id: text().notNull(),
    provider_draft_id: text(),
    provider_message_id: text(),
    dedupe_key: text().notNull(),
    attempts: integer().notNull().default(0),
    next_attempt_at: instant().notNull(),
    claim_token: uuid(),
    lease_until: instant(),
    send_started_at: instant(),
    sent_at: instant(),
    waits_because: text(),
    skip_reason: text(),
    last_error: json<SendError>(),
    delivered_at: instant(),
    bounced_at: instant(),
    bounce: json<{ hard: boolean; status: string | null; detail: string }>(),
    complained_at: instant(),
    created_by: uuid(),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('sends_dedupe').on(t.org_id, t.dedupe_key),
    index('sends_due').on(t.next_attempt_at).where(sql`state = 'scheduled'`),
    index('sends_leased').on(t.lease_until).where(sql`state = 'claimed'`),
    index('sends_started').on(t.send_started_at).where(sql`state in ('sending', 'unknown')`),
    index('sends_recent').on(t.org_id, t.created_at.desc(), t.id.desc()),
    index('sends_recipient').on(t.org_id, t.to_email, t.created_at),
    index('sends_domain').on(t.org_id, t.to_domain, t.created_at),
    index('sends_conversation').on(t.org_id, t.conversation_id),
    index('sends_lead').on(t.org_id, t.lead_id),
    // A draft that goes takes its send along, and must not read all of them for it.
    index('sends_draft').on(t.org_id, t.draft_id),
    index('sends_provider_message_id').on(t.org_id, t.provider_message_id),
    // An answer names the send and not its organization (SQL: org_by_send).
    index('sends_id').on(t.id),
    index('sends_message_id').on(t.org_id, t.message_id),
    // What a provider reports names its own id and no organization (SQL: apply_mail_event).
    index('sends_reported').on(t.provider_message_id).where(sql`transport = 'postmark'`),
    oneOf('sends_kind', t.kind, sendKinds),
    oneOf('sends_state', t.state, sendStates),
    oneOf('sends_transport', t.transport, transportNames),
    check('sends_mailbox', sql`${t.transport} <> 'mailbox' or ${t.mailbox_id} is not null`),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('no action'),
    foreignKey({
      columns: [t.org_id, t.conversation_id],
      foreignColumns: [conversations.org_id, conversations.id],
    }).onDelete('cascade'),
    foreignKey({ columns: [t.org_id, t.lead_id], foreignColumns: [leads.org_id, leads.id] }).onDelete(
      'cascade',
    ),
    foreignKey({ columns: [t.org_id, t.draft_id], foreignColumns: [drafts.org_id, drafts.id] }).onDelete(
      'cascade',
    ),
  ],
)

/** Local outbox transport: the mail as it would have left, kept where a person can read it. One row per accepted send. */
export const outbox_mails = pgTable(
  'outbox_mails',
  {
    send_id: rowId(),
    org_id: orgId(),
    raw: text().notNull(),
    accepted_at: instant().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.send_id] }),
    foreignKey({ columns: [t.org_id, t.send_id], foreignColumns: [sends.org_id, sends.id] }).onDelete(
      'cascade',
    ),
  ],
)

export const suppressions = pgTable(
  'suppressions',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    kind: text({ enum: suppressionKinds }).notNull(),
    value_norm: text().notNull(),
    reason: text().notNull(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('suppressions_value').on(t.org_id, t.kind, t.value_norm),
    oneOf('suppressions_kind', t.kind, suppressionKinds),
  ],
)

/** The organization's own words for a mail of the product; without a row the built-in ones are used. */
export const mail_templates = pgTable(
  'mail_templates',
  {
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    kind: text({ enum: templateKinds }).notNull(),
    subject: text().notNull(),
    body: text().notNull(),
    updated_by: uuid(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [primaryKey({ columns: [t.org_id, t.kind] }), oneOf('mail_templates_kind', t.kind, templateKinds)],
)

/** What a mail provider reported. Installation-wide, because a report names no organization; kept until its send is found. */
export const mail_events = pgTable(
  'mail_events',
  {
    provider: text().notNull(),
    /** The provider's own identity of the report: the same one twice is one row. */
    dedupe_key: text().notNull(),
    kind: text({ enum: mailEventKinds }).notNull(),
    send_id: uuid(),
    provider_message_id: text(),
    /** Emptied when the report has been applied; that of a subscription is kept, to be compared with what comes late. */
    recipient: text(),
    detail: json<Record<string, unknown>>().notNull(),
    occurred_at: instant().notNull(),
    created_at: createdAt(),
    applied_at: instant(),
  },
  (t) => [
    primaryKey({ columns: [t.provider, t.dedupe_key] }),
    index('mail_events_waiting').on(t.created_at).where(sql`applied_at is null`),
    index('mail_events_created').on(t.created_at),
    index('mail_events_subscriptions').on(t.recipient).where(sql`kind = 'subscription'`),
    oneOf('mail_events_kind', t.kind, mailEventKinds),
  ],
)

/** A transport whose account the provider refuses: nothing is tried over it until then. */
export const transport_pauses = pgTable(
  'transport_pauses',
  {
    transport: text({ enum: transportNames }).primaryKey(),
    paused_until: instant().notNull(),
    failure: json<{ code: string; message: string }>().notNull(),
    paused_at: instant().notNull(),
  },
  (t) => [oneOf('transport_pauses_transport', t.transport, transportNames)],
)
