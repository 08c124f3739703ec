import { sql } from 'drizzle-orm'
import { DatabaseError, raw } from '#db/client'
import type { MailRoute } from '../policy/mail-route'
import type { Ingest, ManyOutcome } from './ingest'

/** What a mail that names its organization by itself adds to an inbound message. */
export interface Routed {
  route: MailRoute
  /** Its sender's domain is everybody's: another address there is another person. */
  shared_domain: boolean
}

/** Through a door that shows nothing: each item is stored in the organization that it names. */
export function ingestRouted(inputs: readonly (Ingest & Routed)[]) {
  return raw<{ results: ManyOutcome[] }>(
    sql`select ingest_routed(${JSON.stringify(inputs)}::jsonb) as results`,
  )
}

/** As Postgres would have said it of one alone. */
export function asDatabaseError({ code, where }: { code: string; where: string | null }): DatabaseError {
  return new DatabaseError({ code, constraint: where ?? undefined })
}
