import { and, desc, eq, gt, isNull, notLike, or, sql } from 'drizzle-orm'
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

/** By id; all of them without `since`. */
export function listForDirectory(since: Date | null, after: string | null, limit: number) {
  return q
    .select({
      id: organizations.id,
      slug: organizations.slug,
      form_allowed_origins: organizations.form_allowed_origins,
      form_redirect_url: organizations.form_redirect_url,
      updated_at: organizations.updated_at,
    })
    .from(organizations)
    .where(
      and(
        since === null ? undefined : gt(organizations.updated_at, since),
        after === null ? undefined : gt(organizations.id, after),
      ),
    )
    .orderBy(organizations.id)
    .limit(limit)
}
export type DirectoryRow = Awaited<ReturnType<typeof listForDirectory>>[number]

export function isTakenSlug(error: unknown): boolean {
  return isUniqueViolation(error, 'organizations_slug_unique')
}

/** Secrets that another key than the present one sealed. `present` is how the present key's begin. */
export function listSealedOtherwise(present: string, limit: number) {
  const { id, slack_webhook_sealed, erasure_key_sealed } = organizations
  return q
    .select({ id, slack_webhook_sealed, erasure_key_sealed })
    .from(organizations)
    .where(or(notLike(slack_webhook_sealed, `${present}%`), notLike(erasure_key_sealed, `${present}%`)))
    .limit(limit)
}

/** Only while it is still what was opened: a person may have saved another one meanwhile. */
export function replaceSealed(
  id: string,
  column: 'slack_webhook_sealed' | 'erasure_key_sealed',
  before: string,
  after: string,
) {
  return q
    .update(organizations)
    .set({ [column]: after })
    .where(and(eq(organizations.id, id), eq(organizations[column], before)))
}

/** The first one stays. */
export function insertErasureKey(id: string, sealed: string) {
  return q
    .update(organizations)
    .set({ erasure_key_sealed: sealed })
    .where(and(eq(organizations.id, id), isNull(organizations.erasure_key_sealed)))
}

export function findErasureKey(id: string) {
  return q
    .select({ erasure_key_sealed: organizations.erasure_key_sealed })
    .from(organizations)
    .where(eq(organizations.id, id))
}
