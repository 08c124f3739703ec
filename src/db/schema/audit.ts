import { bigint, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { actorTypes } from '../../kernel/vocabulary'
import { createdAt, instant, oneOf, orgId, rowId } from '../columns'

/** Append-only: triggers refuse update, delete and truncate even to the owner. Ids, field names and a truncated address only. */
export const audit_logs = pgTable(
  'audit_logs',
  {
    id: rowId(),
    org_id: orgId(),
    at: instant().notNull(),
    actor_type: text({ enum: actorTypes }).notNull(),
    actor_id: text().notNull(),
    action: text().notNull(),
    entity: text().notNull(),
    entity_id: text().notNull(),
    fields: text().array().notNull().default([]),
    request_id: text(),
    ip: text(),
    created_at: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.org_id, t.id] }),
    index('audit_logs_entity').on(t.org_id, t.entity, t.entity_id),
    // Rows come in the order of time, so a few bytes a page tell the sweep where the last hour begins.
    index('audit_logs_created').using('brin', t.created_at),
    oneOf('audit_logs_actor_type', t.actor_type, actorTypes),
  ],
)

/**
 * The hash chain beside the log, written by a sweep so that no request waits for another's audit row. Insert-only, and
 * deliberately without a foreign key: a removed audit row has to leave its link behind.
 */
export const audit_chain = pgTable(
  'audit_chain',
  {
    org_id: orgId(),
    seq: bigint({ mode: 'number' }).notNull(),
    audit_id: uuid().notNull(),
    hash: text().notNull(),
    chained_at: instant().notNull(),
  },
  (t) => [primaryKey({ columns: [t.org_id, t.seq] }), index('audit_chain_audit').on(t.org_id, t.audit_id)],
)
