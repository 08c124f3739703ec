import { sql } from 'drizzle-orm'
import { foreignKey, index, integer, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { noticeKinds, noticeStates } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { users } from './auth'
import { leads } from './leads'
import { mailboxes } from './mailboxes'
import { organizations } from './organizations'

/** What the product tells a user inside itself. */
export const notifications = pgTable(
  'notifications',
  {
    id: rowId(),
    org_id: orgId(),
    user_id: uuid().notNull(),
    type: text().notNull(),
    entity_type: text().notNull(),
    entity_id: uuid(),
    title: text().notNull(),
    body: text().notNull(),
    dedupe_key: text().notNull(),
    read_at: instant(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('notifications_dedupe').on(t.org_id, t.dedupe_key),
    index('notifications_user').on(t.org_id, t.user_id, t.created_at.desc()),
    foreignKey({ columns: [t.org_id, t.user_id], foreignColumns: [users.org_id, users.id] }).onDelete(
      'cascade',
    ),
  ],
)

/** One posting to Slack. The text is made from the truth at posting time, so no body is kept here. */
export const notices = pgTable(
  'notices',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    channel: text({ enum: ['slack'] }).notNull(),
    kind: text({ enum: noticeKinds }).notNull(),
    dedupe_key: text().notNull(),
    lead_id: uuid(),
    mailbox_id: uuid(),
    state: text({ enum: noticeStates }).notNull().default('pending'),
    attempts: integer().notNull().default(0),
    next_attempt_at: instant().notNull(),
    lease_until: instant(),
    last_error: json<{ code: string; message: string }>(),
    created_at: createdAt(),
    sent_at: instant(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('notices_dedupe').on(t.org_id, t.channel, t.dedupe_key),
    index('notices_lead').on(t.org_id, t.lead_id),
    index('notices_due').on(t.next_attempt_at).where(sql`state = 'pending'`),
    oneOf('notices_channel', t.channel, ['slack']),
    oneOf('notices_kind', t.kind, noticeKinds),
    oneOf('notices_state', t.state, noticeStates),
    foreignKey({ columns: [t.org_id, t.lead_id], foreignColumns: [leads.org_id, leads.id] }).onDelete(
      'cascade',
    ),
    foreignKey({
      columns: [t.org_id, t.mailbox_id],
      foreignColumns: [mailboxes.org_id, mailboxes.id],
    }).onDelete('cascade'),
  ],
)
