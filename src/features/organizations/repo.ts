import { and, desc, eq, isNotNull, notLike, sql } from 'drizzle-orm'
import { isUniqueViolation, q } from '#db/client'
import { mustChange } from '#db/guard'
import { isBefore } from '#db/list'
import { organizations } from '#db/schema/organizations'
import type { Cursor } from '#kernel/page'

export { isLostRace } from '#db/guard'

export type OrganizationRow = typeof organizations.$inferSelect
export type OrganizationSet = Partial<typeof organizations.$inferInsert>

export function findById(id: string) {
  return q.select().from(organizations).where(eq(organizations.id, id))
}

/** For the operator: newest first. */
export function list(limit: number, offset: number, after: Cursor | null) {
  return q
    .select()
    .from(organizations)
    .where(isBefore(organizations.created_at, organizations.id, after))
    .orderBy(desc(organizations.created_at), desc(organizations.id))
    .limit(limit)
    .offset(offset)
}

export function count() {
  return q.select({ total: sql<number>`count(*)::integer` }).from(organizations)
}

/**
 * Changes the row, and with `unchanged_since` only one that nobody has changed since, or fails the whole batch.
 * `updated_at` always moves on: it is the ETag.
 */
export function update(id: string, set: OrganizationSet, now: Date, unchanged_since: Date | null) {
  return mustChange(
    q
      .update(organizations)
      .set({
        ...set,
        updated_at: sql`greatest(${now.toISOString()}::timestamptz, ${organizations.updated_at} + interval '1 millisecond')`,
      })
      .where(
        and(
          eq(organizations.id, id),
          unchanged_since === null ? undefined : eq(organizations.updated_at, unchanged_since),
        ),
      )
      .returning({ id: organizations.id }),
  )
}

export function isTakenSlug(error: unknown): boolean {
  return isUniqueViolation(error, 'organizations_slug_unique')
}

/** Secrets that another key than the present one sealed. `present` is how the present key's begin. */
export function listSealedOtherwise(present: string, limit: number) {
  return q
    .select({ id: organizations.id, slack_webhook_sealed: organizations.slack_webhook_sealed })
    .from(organizations)
    .where(
      and(
        isNotNull(organizations.slack_webhook_sealed),
        notLike(organizations.slack_webhook_sealed, `${present}%`),
      ),
    )
    .limit(limit)
}

/** Only while it is still what was opened: a person may have saved another one meanwhile. */
export function replaceSealed(id: string, before: string, after: string) {
  return q
    .update(organizations)
    .set({ slack_webhook_sealed: after })
    .where(and(eq(organizations.id, id), eq(organizations.slack_webhook_sealed, before)))
}
