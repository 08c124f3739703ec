import { sql } from 'drizzle-orm'
import { check, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { aiProviders, replyModes } from '../../kernel/vocabulary'
import { createdAt, instant, json, oneOf } from '../columns'

export const organizations = pgTable(
  'organizations',
  {
    id: uuid().primaryKey(),
    slug: text().notNull().unique(),
    name: text().notNull(),
    timezone: text().notNull().default('UTC'),
    business_hours: json<Record<string, [string, string][]>>(),
    sla_minutes: integer(),
    ai_provider: text({ enum: aiProviders }),
    reply_mode: text({ enum: replyModes }).notNull().default('draft'),
    undo_seconds: integer().notNull().default(60),
    from_name: text(),
    postal_address: text(),
    /** What the AI may say about the organization: products, prices, tone. */
    reply_instructions: text().notNull().default(''),
    allowed_link_hosts: text().array().notNull().default([]),
    allowed_commitments: text().array().notNull().default([]),
    slack_webhook_sealed: text(),
    retention_days: integer(),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    oneOf('organizations_reply_mode', t.reply_mode, replyModes),
    oneOf('organizations_ai_provider', t.ai_provider, aiProviders),
    check('organizations_undo_seconds', sql`${t.undo_seconds} between 0 and 86400`),
  ],
)
