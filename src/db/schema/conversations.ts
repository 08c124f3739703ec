import { sql } from 'drizzle-orm'
import {
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import { channels, conversationStatuses, directions, mailClassifications } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { users } from './auth'
import { mailboxes } from './mailboxes'
import { organizations } from './organizations'

export interface Verdict {
  rule: string
  passed: boolean
  detail: string
}

export interface NamedAddress {
  email: string
  name: string
}

export interface AttachmentInfo {
  filename: string
  mime_type: string
  size: number
}

export const contacts = pgTable(
  'contacts',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    /** Null for who wrote on a channel without addresses (see `contact_handles`). */
    email: text(),
    email_norm: text(),
    name: text(),
    company: text(),
    phone: text(),
    last_inbound_at: instant(),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [primaryKey({ columns: [t.org_id, t.id] }), unique('contacts_email').on(t.org_id, t.email_norm)],
)

/** Who somebody is on a channel that knows no e-mail address: a phone number, a user name. */
export const contact_handles = pgTable(
  'contact_handles',
  {
    org_id: orgId(),
    channel: text({ enum: channels }).notNull(),
    handle: text().notNull(),
    contact_id: uuid().notNull(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.channel, t.handle] }),
    index('contact_handles_contact').on(t.org_id, t.contact_id),
    oneOf('contact_handles_channel', t.channel, channels),
    foreignKey({
      columns: [t.org_id, t.contact_id],
      foreignColumns: [contacts.org_id, contacts.id],
    }).onDelete('cascade'),
  ],
)

export const conversations = pgTable(
  'conversations',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    /** Null for automated mail: a newsletter makes no contact. */
    contact_id: uuid(),
    channel: text({ enum: channels }).notNull(),
    mailbox_id: uuid(),
    provider_thread_id: text(),
    subject: text().notNull().default(''),
    status: text({ enum: conversationStatuses }).notNull().default('open'),
    assignee_id: uuid(),
    last_message_at: instant().notNull(),
    last_inbound_at: instant(),
    /** A person of the organization wrote, edited or decided something here. */
    last_human_activity_at: instant(),
    version: integer().notNull().default(1),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    uniqueIndex('conversations_thread')
      .on(t.org_id, t.mailbox_id, t.provider_thread_id)
      .where(sql`provider_thread_id is not null`),
    index('conversations_recent').on(t.org_id, t.last_message_at.desc(), t.id.desc()),
    index('conversations_contact').on(t.org_id, t.contact_id),
    oneOf('conversations_channel', t.channel, channels),
    oneOf('conversations_status', t.status, conversationStatuses),
    foreignKey({
      columns: [t.org_id, t.contact_id],
      foreignColumns: [contacts.org_id, contacts.id],
    }).onDelete('cascade'),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('no action'),
    foreignKey({ columns: [t.org_id, t.assignee_id], foreignColumns: [users.org_id, users.id] }).onDelete(
      'no action',
    ),
  ],
)

export const messages = pgTable(
  'messages',
  {
    id: rowId(),
    org_id: orgId(),
    conversation_id: uuid().notNull(),
    direction: text({ enum: directions }).notNull(),
    channel: text({ enum: channels }).notNull(),
    mailbox_id: uuid(),
    provider_message_id: text(),
    /** RFC 5322 Message-ID with its angle brackets. */
    message_id: text(),
    in_reply_to: text(),
    references: text().array().notNull().default([]),
    from_email: text(),
    from_name: text(),
    to: json<NamedAddress[]>().notNull().default([]),
    cc: json<NamedAddress[]>().notNull().default([]),
    subject: text().notNull().default(''),
    /** Everything that was visible, quotes included. */
    text: text().notNull(),
    /** What the person wrote in this message. */
    stripped_text: text().notNull(),
    hidden_text: text().notNull().default(''),
    attachments: json<AttachmentInfo[]>().notNull().default([]),
    classification: text({ enum: mailClassifications }).notNull().default('human'),
    /** Why it was classified so, rule by rule. */
    verdicts: json<Verdict[]>().notNull().default([]),
    /** Rules that forbid an automatic answer to this human message. */
    no_auto_reply: json<Verdict[]>().notNull().default([]),
    dmarc: text({ enum: ['pass', 'fail', 'none'] }),
    /** SHA-256 of the stripped text: the same text again is a loop. */
    body_hash: text(),
    send_id: uuid(),
    author_id: uuid(),
    sent_at: instant(),
    received_at: instant().notNull(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    uniqueIndex('messages_provider')
      .on(t.org_id, t.mailbox_id, t.provider_message_id)
      .where(sql`provider_message_id is not null`),
    uniqueIndex('messages_routed')
      .on(t.org_id, t.channel, t.provider_message_id)
      .where(sql`provider_message_id is not null and mailbox_id is null`),
    index('messages_conversation').on(t.org_id, t.conversation_id, t.received_at),
    index('messages_message_id').on(t.org_id, t.message_id),
    oneOf('messages_direction', t.direction, directions),
    oneOf('messages_channel', t.channel, channels),
    oneOf('messages_classification', t.classification, mailClassifications),
    foreignKey({
      columns: [t.org_id, t.conversation_id],
      foreignColumns: [conversations.org_id, conversations.id],
    }).onDelete('cascade'),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('no action'),
  ],
)

/** Notes between colleagues; never sent. */
export const comments = pgTable(
  'comments',
  {
    id: rowId(),
    org_id: orgId(),
    conversation_id: uuid().notNull(),
    author_id: uuid().notNull(),
    body: text().notNull(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('comments_conversation').on(t.org_id, t.conversation_id, t.created_at),
    foreignKey({
      columns: [t.org_id, t.conversation_id],
      foreignColumns: [conversations.org_id, conversations.id],
    }).onDelete('cascade'),
    foreignKey({ columns: [t.org_id, t.author_id], foreignColumns: [users.org_id, users.id] }).onDelete(
      'no action',
    ),
  ],
)
