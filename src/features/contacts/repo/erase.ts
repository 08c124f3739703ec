import { eq, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { contacts } from '#db/schema/conversations'

export function findAddress(id: string) {
  return q.select({ email_norm: contacts.email_norm }).from(contacts).where(eq(contacts.id, id))
}

/** What `erase_contact` (migrations) takes. */
export interface Erasure {
  contact_id: string
  /** As it was read for the hash. */
  email_norm: string | null
  email_hash: string | null
  suppression_id: string
  /** Sends of these kinds to the address are about the person, whatever they belong to. */
  kinds: readonly string[]
  now: string
  audit: {
    id: string
    actor_type: string
    actor_id: string
    request_id: string | null
    ip: string | null
  }
}

export type ErasureOutcome =
  | { outcome: 'erased'; suppressed: boolean; removed: Removed }
  /** `changed`: the address is another one by now. `in_flight`: a mail is with its provider this moment. */
  | { outcome: 'unknown' | 'changed' | 'in_flight' }

type Removed = Record<'leads' | 'conversations' | 'messages' | 'comments' | 'drafts' | 'sends', number>

export function erase(erasure: Erasure) {
  return raw<{ result: ErasureOutcome }>(
    sql`select erase_contact(${JSON.stringify(erasure)}::jsonb) as result`,
  )
}
