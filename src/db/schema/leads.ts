import { sql } from 'drizzle-orm'
import { foreignKey, index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { leadSignals, leadStatuses } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { users } from './auth'
import { contacts, conversations } from './conversations'

export const leads = pgTable(
  'leads',
  {
    id: rowId(),
    org_id: orgId(),
    contact_id: uuid().notNull(),
    conversation_id: uuid().notNull(),
    status: text({ enum: leadStatuses }).notNull().default('received'),
    source: text().notNull(),
    assignee_id: uuid(),
    /** When it reached us, however late it was stored: SLA clocks start here. */
    received_at: instant().notNull(),
    first_response_at: instant(),
    custom: json<Record<string, unknown>>().notNull().default({}),
    /** Of the posted body: the same Idempotency-Key with another body is refused. */
    request_hash: text(),
    signals: text({ enum: leadSignals }).array().notNull().default([]),
    page_url: text(),
    utm: json<Record<string, string>>(),
    /** What the person agreed to, as the form asked. */
    consent: json<Record<string, boolean>>(),
    version: integer().notNull().default(1),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('leads_recent').on(t.org_id, t.received_at.desc(), t.id.desc()),
    index('leads_status').on(t.org_id, t.status, t.received_at.desc(), t.id.desc()),
    index('leads_contact').on(t.org_id, t.contact_id),
    index('leads_conversation').on(t.org_id, t.conversation_id),
    // A few bytes a page: tells the sweep where the last day begins.
    index('leads_created').using('brin', t.created_at),
    oneOf('leads_status', t.status, leadStatuses),
    foreignKey({
      columns: [t.org_id, t.contact_id],
      foreignColumns: [contacts.org_id, contacts.id],
    }).onDelete('cascade'),
    foreignKey({
      columns: [t.org_id, t.conversation_id],
      foreignColumns: [conversations.org_id, conversations.id],
    }).onDelete('cascade'),
    foreignKey({ columns: [t.org_id, t.assignee_id], foreignColumns: [users.org_id, users.id] }).onDelete(
      'no action',
    ),
  ],
)
