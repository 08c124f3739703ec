import { sql } from 'drizzle-orm'
import {
  boolean,
  foreignKey,
  index,
  integer,
  pgTable,
  primaryKey,
  real,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { aiProviders, draftCategories, draftDecisions, draftStatuses } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { conversations, messages, type Verdict } from './conversations'
import { leads } from './leads'

export const drafts = pgTable(
  'drafts',
  {
    id: rowId(),
    org_id: orgId(),
    conversation_id: uuid().notNull(),
    lead_id: uuid(),
    /** The inbound message that it answers. */
    message_id: uuid().notNull(),
    status: text({ enum: draftStatuses }).notNull().default('pending'),
    provider: text({ enum: aiProviders }),
    model: text(),
    text: text().notNull().default(''),
    /** What the AI wrote, kept when a person edits. */
    generated_text: text().notNull().default(''),
    edited: boolean().notNull().default(false),
    category: text({ enum: draftCategories }),
    intent: text(),
    confidence: real(),
    needs_human: boolean(),
    reason: text(),
    price_guidance: text(),
    gate: json<Verdict[]>().notNull().default([]),
    decision: text({ enum: draftDecisions }),
    /** Why the AI could not write it, when a person has to. */
    ai_failure: json<{ code: string; message: string }>(),
    reject_reason: text(),
    /** What a person asked for when they wanted another text. */
    instruction: text(),
    decided_by: uuid(),
    decided_at: instant(),
    send_id: uuid(),
    /** Counts regenerations; a late job of an earlier generation changes nothing. */
    generation: integer().notNull().default(1),
    attempts: integer().notNull().default(0),
    lease_until: instant(),
    version: integer().notNull().default(1),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('drafts_message').on(t.org_id, t.message_id),
    index('drafts_recent').on(t.org_id, t.status, t.created_at.desc(), t.id.desc()),
    index('drafts_conversation').on(t.org_id, t.conversation_id),
    index('drafts_lead').on(t.org_id, t.lead_id),
    index('drafts_pending').on(t.created_at).where(sql`status = 'pending'`),
    oneOf('drafts_status', t.status, draftStatuses),
    oneOf('drafts_provider', t.provider, aiProviders),
    oneOf('drafts_category', t.category, draftCategories),
    oneOf('drafts_decision', t.decision, draftDecisions),
    foreignKey({
      columns: [t.org_id, t.conversation_id],
      foreignColumns: [conversations.org_id, conversations.id],
    }).onDelete('cascade'),
    foreignKey({
      columns: [t.org_id, t.message_id],
      foreignColumns: [messages.org_id, messages.id],
    }).onDelete('cascade'),
    foreignKey({ columns: [t.org_id, t.lead_id], foreignColumns: [leads.org_id, leads.id] }).onDelete(
      'cascade',
    ),
  ],
)
