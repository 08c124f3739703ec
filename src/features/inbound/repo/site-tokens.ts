import { and, eq, isNull, type SQL, sql } from 'drizzle-orm'
import { q } from '#db/client'
import { mustChange } from '#db/guard'
import { isBefore, newestFirst } from '#db/list'
import { site_tokens } from '#db/schema/inbound'
import { organizations } from '#db/schema/organizations'
import type { Cursor } from '#kernel/page'

export { isLostRace } from '#db/guard'

const shown = {
  id: site_tokens.id,
  name: site_tokens.name,
  hint: site_tokens.hint,
  created_by: site_tokens.created_by,
  created_at: site_tokens.created_at,
  last_used_at: site_tokens.last_used_at,
  revoked_at: site_tokens.revoked_at,
}

export function list(limit: number, after: Cursor | null) {
  return q
    .select(shown)
    .from(site_tokens)
    .where(isBefore(site_tokens.created_at, site_tokens.id, after))
    .orderBy(newestFirst(site_tokens.created_at), newestFirst(site_tokens.id))
    .limit(limit)
}

export function findById(id: string) {
  return q.select(shown).from(site_tokens).where(eq(site_tokens.id, id))
}

/** Before `insert`, in the same batch: those who make one at the same moment come one after the other, and each counts anew. */
export function lockOrganization(org_id: string) {
  return q
    .select({ id: organizations.id })
    .from(organizations)
    .where(eq(organizations.id, org_id))
    .for('no key update')
}

/** Fails the whole batch where the organization has `max_active` already (`isLostRace`). */
export function insert(
  row: Required<Omit<typeof site_tokens.$inferInsert, 'last_used_at' | 'revoked_at'>>,
  max_active: number,
) {
  const { id, org_id, name, hash, hint, created_by, created_at } = row
  return mustChange(sql`(insert into site_tokens (id, org_id, name, hash, hint, created_by, created_at)
    select ${id}::uuid, ${org_id}::uuid, ${name}, ${hash}, ${hint}, ${created_by}::uuid, ${created_at?.toISOString()}::timestamptz
      where ${countActive(org_id)} < ${max_active}::integer
    returning id)`)
}

function countActive(org_id: string): SQL {
  return sql`(select count(*) from site_tokens where org_id = ${org_id}::uuid and revoked_at is null)`
}

/** Fails the whole batch where it is revoked already (`isLostRace`). */
export function revoke(id: string, now: Date) {
  return mustChange(
    q
      .update(site_tokens)
      .set({ revoked_at: now })
      .where(and(eq(site_tokens.id, id), isNull(site_tokens.revoked_at)))
      .returning({ id: site_tokens.id }),
  )
}
