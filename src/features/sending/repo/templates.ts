import { and, asc, eq, sql } from 'drizzle-orm'
import { q } from '#db/client'
import { mustChange } from '#db/guard'
import { organizations } from '#db/schema/organizations'
import { mail_templates } from '#db/schema/sending'
import type { TemplateKind } from '#kernel/vocabulary'

export { isLostRace } from '#db/guard'

const { kind, subject, body, updated_by, updated_at } = mail_templates
const shown = { kind, subject, body, updated_by, updated_at }

export type StoredTemplate = Pick<typeof mail_templates.$inferSelect, keyof typeof shown>

export function list() {
  return q.select(shown).from(mail_templates).orderBy(asc(kind))
}

export function findByKind(wanted: TemplateKind) {
  return q.select(shown).from(mail_templates).where(eq(kind, wanted))
}

type Row = typeof mail_templates.$inferInsert & { updated_at: Date }

/** `unchanged`: the version that it replaces, `none` where there must be none yet, `null`: whatever is there. Else the batch fails. */
export function save(row: Row, unchanged: Date | 'none' | null) {
  const set = {
    subject: row.subject,
    body: row.body,
    updated_by: row.updated_by ?? null,
    updated_at: later(row),
  }
  if (unchanged instanceof Date)
    return mustChange(
      q
        .update(mail_templates)
        .set(set)
        .where(and(eq(mail_templates.org_id, row.org_id), eq(kind, row.kind), eq(updated_at, unchanged)))
        .returning({ kind }),
    )
  const insert = q.insert(mail_templates).values(row)
  return mustChange(
    (unchanged === 'none'
      ? insert.onConflictDoNothing()
      : insert.onConflictDoUpdate({ target: [mail_templates.org_id, kind], set })
    ).returning({ kind }),
  )
}

/** It always moves on: it is the ETag. */
function later({ updated_at: now }: Row) {
  return sql`greatest(${now.toISOString()}::timestamptz, ${updated_at} + interval '1 millisecond')`
}

export function remove(wanted: TemplateKind) {
  return mustChange(q.delete(mail_templates).where(eq(kind, wanted)).returning({ kind }))
}

export function findOrganization(org_id: string) {
  return q
    .select({ organization_name: organizations.name, postal_address: organizations.postal_address })
    .from(organizations)
    .where(eq(organizations.id, org_id))
}
