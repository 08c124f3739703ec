import { sql } from 'drizzle-orm'
import { boolean, check, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { aiProviders, type RetainedTable, replyModes } from '../../kernel/vocabulary'
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
    /** Origins that may post the public form; none: any. */
    form_allowed_origins: text().array().notNull().default([]),
    form_redirect_url: text(),
    /** A lead that filled in a form gets an acknowledgement at once. */
    welcome_mail: boolean().notNull().default(true),
    /** Days after which rows are deleted; a table that is not named keeps them. */
    retention_days: json<Partial<Record<RetainedTable, number>>>(),
    /** Keys the hashes that erased addresses are suppressed by; made at the first erasure. */
    erasure_key_sealed: text(),
    created_at: createdAt(),
    updated_at: instant().notNull().default(sql`now()`),
  },
  (t) => [
    oneOf('organizations_reply_mode', t.reply_mode, replyModes),
    oneOf('organizations_ai_provider', t.ai_provider, aiProviders),
    check('organizations_undo_seconds', sql`${t.undo_seconds} between 0 and 86400`),
  ],
)
