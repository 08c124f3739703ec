import { and, desc, eq, lt, or } from 'drizzle-orm'
import { q } from '#db/client'
import { mustChange } from '#db/guard'
import { contains } from '#db/list'
import { contacts } from '#db/schema/conversations'
import { organizations } from '#db/schema/organizations'
import type { Cursor } from '#kernel/page'

export { isLostRace } from '#db/guard'

const shown = {
  id: contacts.id,
  email: contacts.email,
  name: contacts.name,
  company: contacts.company,
  phone: contacts.phone,
  last_inbound_at: contacts.last_inbound_at,
  created_at: contacts.created_at,
  updated_at: contacts.updated_at,
}

export function list(filter: { q?: string | undefined }, limit: number, after: Cursor | null) {
  return q
    .select(shown)
    .from(contacts)
    .where(
      and(
        filter.q === undefined
          ? undefined
          : or(
              contains(contacts.email, filter.q),
              contains(contacts.name, filter.q),
              contains(contacts.company, filter.q),
            ),
        // Ids are UUIDv7, so their order is the order of making.
        after === null ? undefined : lt(contacts.id, after.id),
      ),
    )
    .orderBy(desc(contacts.id))
    .limit(limit)
}

export function findById(id: string) {
  return q.select(shown).from(contacts).where(eq(contacts.id, id))
}

/** Fails the whole batch when there is none (see `isLostRace`). */
export function mustExist(id: string) {
  return mustChange(q.select({ id: contacts.id }).from(contacts).where(eq(contacts.id, id)))
}

/** By what its organization knows erased addresses; none: nobody was erased there. */
export function findHashed(id: string) {
  return q
    .select({ email_norm: contacts.email_norm, erasure_key_sealed: organizations.erasure_key_sealed })
    .from(contacts)
    .innerJoin(organizations, eq(organizations.id, contacts.org_id))
    .where(eq(contacts.id, id))
}
