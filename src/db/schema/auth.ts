import { foreignKey, index, pgTable, primaryKey, text, unique, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { roles } from '../../kernel/vocabulary'
import { createdAt, instant, oneOf, orgId, rowId } from '../columns'
import { organizations } from './organizations'

export const users = pgTable(
  'users',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    email: text().notNull(),
    /** Unique in the whole installation: sign-in knows no organization yet. */
    email_norm: text().notNull(),
    name: text().notNull(),
    role: text({ enum: roles }).notNull(),
    password_hash: text(),
    created_at: createdAt(),
    last_login_at: instant(),
    disabled_at: instant(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    uniqueIndex('users_email_norm').on(t.email_norm),
    oneOf('users_role', t.role, roles),
  ],
)

export const sessions = pgTable(
  'sessions',
  {
    id: rowId(),
    org_id: orgId(),
    user_id: uuid().notNull(),
    created_at: createdAt(),
    absolute_expires_at: instant().notNull(),
    revoked_at: instant(),
    revoke_reason: text(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    unique('sessions_id').on(t.id),
    foreignKey({ columns: [t.org_id, t.user_id], foreignColumns: [users.org_id, users.id] }).onDelete(
      'cascade',
    ),
  ],
)

export const refresh_tokens = pgTable(
  'refresh_tokens',
  {
    /** SHA-256 of the token, hex: a copy of the database signs nobody in. */
    hash: text().primaryKey(),
    org_id: orgId(),
    session_id: uuid().notNull(),
    issued_at: createdAt(),
    expires_at: instant().notNull(),
    used_at: instant(),
    replaced_by: text(),
  },
  (t) => [
    index('refresh_tokens_session').on(t.org_id, t.session_id),
    foreignKey({
      columns: [t.org_id, t.session_id],
      foreignColumns: [sessions.org_id, sessions.id],
    }).onDelete('cascade'),
  ],
)
