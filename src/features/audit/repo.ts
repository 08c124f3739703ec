import { and, desc, eq, gt, lt, notExists, or, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { audit_chain, audit_logs } from '#db/schema/audit'
import type { Cursor } from '#kernel/page'

export type AuditRow = typeof audit_logs.$inferInsert

export function insert(row: AuditRow) {
  return q.insert(audit_logs).values(row)
}

export function list(
  filter: {
    entity?: string | undefined
    actor?: string | undefined
    action?: string | undefined
    from?: Date
    to?: Date
  },
  limit: number,
  after: Cursor | null,
) {
  const { id, at, actor_type, actor_id, action, entity, entity_id, fields, request_id, ip } = audit_logs
  return q
    .select({ id, at, actor_type, actor_id, action, entity, entity_id, fields, request_id, ip })
    .from(audit_logs)
    .where(
      and(
        filter.entity === undefined
          ? undefined
          : or(eq(audit_logs.entity, filter.entity), eq(audit_logs.entity_id, filter.entity)),
        filter.actor === undefined ? undefined : eq(audit_logs.actor_id, filter.actor),
        filter.action === undefined ? undefined : eq(audit_logs.action, filter.action),
        filter.from === undefined ? undefined : gt(audit_logs.at, filter.from),
        filter.to === undefined ? undefined : lt(audit_logs.at, filter.to),
        // Ids are UUIDv7, so their order is the order of writing.
        after === null ? undefined : lt(audit_logs.id, after.id),
      ),
    )
    .orderBy(desc(audit_logs.id))
    .limit(limit)
}

export function chain(org_id: string, limit: number) {
  return raw<{ chained: number }>(sql`select chain_audit(${org_id}, ${limit}) as chained`)
}

export function verify(org_id: string) {
  return raw<{ result: { checked: number; unchained: number; broken_at: number | null } }>(
    sql`select verify_audit(${org_id}) as result`,
  )
}

/** Organizations that have lately written what is not chained yet. Older leftovers are chained by `verify`. */
export function listGrown(seconds: number, limit: number) {
  const link = q
    .select({ seq: audit_chain.seq })
    .from(audit_chain)
    .where(and(eq(audit_chain.org_id, audit_logs.org_id), eq(audit_chain.audit_id, audit_logs.id)))
  return q
    .selectDistinct({ org_id: audit_logs.org_id })
    .from(audit_logs)
    .where(and(gt(audit_logs.created_at, sql`now() - make_interval(secs => ${seconds})`), notExists(link)))
    .limit(limit)
}
