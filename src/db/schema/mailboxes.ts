import { sql } from 'drizzle-orm'
import {
  boolean,
  date,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { mailboxProviders, mailboxStatuses } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { organizations } from './organizations'

export interface MailboxError {
  code: string
  message: string
  at: string
}

export const mailboxes = pgTable(
  'mailboxes',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    provider: text({ enum: mailboxProviders }).notNull(),
    /** The provider's own id of the account (`sub`): an address can change hands, this cannot. */
    account_subject: text().notNull(),
    email: text().notNull(),
    email_norm: text().notNull(),
    send_as: text().array().notNull().default([]),
    status: text({ enum: mailboxStatuses }).notNull(),
    push: text({ enum: ['on', 'off'] })
      .notNull()
      .default('off'),
    auto_send: boolean().notNull().default(true),
    daily_cap: integer().notNull().default(1000),
    sequence_daily_cap: integer().notNull().default(50),
    sequence_gap_seconds: integer().notNull().default(480),
    next_sequence_at: instant(),
    watch_expires_at: instant(),
    last_synced_at: instant(),
    last_push_at: instant(),
    cursor_moved_at: instant(),
    last_error: json<MailboxError>(),
    connected_at: instant(),
    disconnected_at: instant(),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('mailboxes_account').on(t.org_id, t.provider, t.account_subject),
    index('mailboxes_email').on(t.provider, t.email_norm),
    index('mailboxes_status_synced').on(t.status, t.last_synced_at),
    oneOf('mailboxes_provider', t.provider, mailboxProviders),
    oneOf('mailboxes_status', t.status, mailboxStatuses),
    oneOf('mailboxes_push', t.push, ['on', 'off']),
  ],
)

/** A stretch of time for which the provider had forgotten its history, and how it was made good. */
export const mailbox_gaps = pgTable(
  'mailbox_gaps',
  {
    id: rowId(),
    org_id: orgId(),
    mailbox_id: uuid().notNull(),
    lost_cursor: text().notNull(),
    new_cursor: text().notNull(),
    searched_from_at: instant().notNull(),
    detected_at: instant().notNull(),
    closed_at: instant(),
    /** Messages that only the search found. */
    recovered: integer().notNull().default(0),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('mailbox_gaps_mailbox').on(t.org_id, t.mailbox_id, t.detected_at),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('cascade'),
  ],
)

/** Daily slots of a mailbox, in UTC days. A claimed slot is never given back: conservative after a crash. */
export const mailbox_days = pgTable(
  'mailbox_days',
  {
    org_id: orgId(),
    mailbox_id: uuid().notNull(),
    day: date().notNull(),
    used: integer().notNull().default(0),
    sequence_used: integer().notNull().default(0),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.mailbox_id, t.day] }),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('cascade'),
  ],
)

/** One row per authorization that was begun; `used_at` makes the signed state single use. */
export const oauth_states = pgTable(
  'oauth_states',
  {
    nonce_hash: text().primaryKey(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    provider: text({ enum: mailboxProviders }).notNull(),
    /** Set on a reconnect: only this mailbox's account may come back. */
    mailbox_id: uuid(),
    expected_email_norm: text(),
    started_by: text().notNull(),
    created_at: createdAt(),
    expires_at: instant().notNull(),
    used_at: instant(),
  },
  (t) => [
    oneOf('oauth_states_provider', t.provider, mailboxProviders),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('cascade'),
  ],
)
