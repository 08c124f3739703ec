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
import { sendKinds, sendStates, transportNames } from '../../kernel/vocabulary'
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
    bounced_at: instant(),
    bounce: json<{ hard: boolean; status: string | null; detail: string }>(),
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
    index('sends_message_id').on(t.org_id, t.message_id),
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
    kind: text({ enum: ['email', 'domain'] }).notNull(),
    value_norm: text().notNull(),
    reason: text().notNull(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('suppressions_value').on(t.org_id, t.kind, t.value_norm),
    oneOf('suppressions_kind', t.kind, ['email', 'domain']),
  ],
)
