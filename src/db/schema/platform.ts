import { sql } from 'drizzle-orm'
import { index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { eventTypes } from '../../kernel/event'
import { createdAt, instant, json, oneOf, orgId, rowId } from '../columns'
import { organizations } from './organizations'

/** The outbox: facts written in the transaction that made them, relayed to their subscribers afterwards. */
export const events = pgTable(
  'events',
  {
    id: rowId(),
    org_id: orgId().references(() => organizations.id, { onDelete: 'cascade' }),
    type: text({ enum: eventTypes }).notNull(),
    payload: json<Record<string, string>>().notNull(),
    as_of: instant().notNull(),
    created_at: createdAt(),
    dispatched_at: instant(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('events_undispatched').on(t.created_at).where(sql`dispatched_at is null`),
    oneOf('events_type', t.type, eventTypes),
  ],
)

/** Jobs and mails that gave up, visible to the operator and retryable. `org_id` is null when the message did not even parse. */
export const dead_letters = pgTable(
  'dead_letters',
  {
    id: uuid().primaryKey(),
    org_id: uuid(),
    queue: text().notNull(),
    job: text().notNull(),
    payload: json<unknown>().notNull(),
    failure: json<{ kind: string; code: string; message: string }>().notNull(),
    attempts: integer().notNull(),
    as_of: instant(),
    created_at: createdAt(),
    retried_at: instant(),
  },
  (t) => [index('dead_letters_recent').on(t.created_at.desc(), t.id.desc())],
)

/** One row per slot of a sweep, so that a tick that fires twice runs once at a time. */
export const sweep_runs = pgTable(
  'sweep_runs',
  {
    name: text().notNull(),
    scheduled_at: instant().notNull(),
    cron: text().notNull(),
    started_at: instant().notNull(),
    finished_at: instant(),
    duration_ms: integer(),
    result: json<Record<string, number>>(),
    error: text(),
  },
  (t) => [
    primaryKey({ columns: [t.name, t.scheduled_at] }),
    index('sweep_runs_recent').on(t.name, t.started_at.desc()),
  ],
)

export const idempotency_keys = pgTable(
  'idempotency_keys',
  {
    /** Actor and route: the same key of another organization or route is another key. */
    scope: text().notNull(),
    key: text().notNull(),
    request_hash: text().notNull(),
    state: text({ enum: ['running', 'done'] }).notNull(),
    lease_until: instant().notNull(),
    response_status: integer(),
    response_headers: json<Record<string, string>>(),
    /** Sealed: a token answer must not lie in the table in the clear. */
    response_sealed: text(),
    created_at: createdAt(),
    expires_at: instant().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.scope, t.key] }),
    oneOf('idempotency_keys_state', t.state, ['running', 'done']),
  ],
)

/** Fixed windows of one minute. The key is a hash: no address is kept. */
export const rate_limits = pgTable(
  'rate_limits',
  {
    key: text().notNull(),
    window_at: instant().notNull(),
    count: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.key, t.window_at] })],
)
