import { foreignKey, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { createdAt, instant, orgId, rowId } from '../columns'
import { users } from './auth'
import { organizations } from './organizations'

/** Bearer tokens of an organization's own sites and backends, for posting leads. */
export const site_tokens = pgTable(
  'site_tokens',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    /** SHA-256 of the token, hex. */
    hash: text().notNull(),
    /** Its last characters, by which a person tells it from the others. */
    hint: text().notNull(),
    created_by: uuid(),
    created_at: createdAt(),
    /** Kept to the minute. */
    last_used_at: instant(),
    revoked_at: instant(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('site_tokens_recent').on(t.org_id, t.created_at.desc(), t.id.desc()),
    foreignKey({ columns: [t.org_id, t.created_by], foreignColumns: [users.org_id, users.id] }).onDelete(
      'no action',
    ),
  ],
)
