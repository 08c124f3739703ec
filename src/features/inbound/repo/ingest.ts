import { sql } from 'drizzle-orm'
import { DatabaseError, q, raw } from '#db/client'
import { dead_letters } from '#db/schema/platform'
import { AppError } from '#kernel/errors'
import type { LeadSignal } from '#kernel/vocabulary'

/** What `ingest_inbound` (migrations) takes. Ids come from us, so that events can be kicked without reading them back. */
export interface Ingest {
  now: Date
  actor: string
  request_id: string | null
  ip: string | null
  ids: Record<
    | 'contact'
    | 'conversation'
    | 'message'
    | 'draft'
    | 'notice'
    | 'suppression'
    | 'message_event'
    | 'lead_event'
    | 'draft_event'
    | 'audit',
    string
  > & { lead?: string }
  message: Record<string, unknown>
  contact: {
    email?: string
    email_norm?: string
    /** Who they are on a channel without addresses. */
    handle?: string
    name: string | null
    company?: string | null
    phone?: string | null
  } | null
  provider_thread_id?: string
  reference_ids?: string[]
  in_sent?: boolean
  own_send_id?: string
  bounce?: { original_message_id: string | null; hard: boolean; status: string | null; detail: string }
  source: string
  /** The send that its recipient's address names. */
  reply_send_id?: string
  /** What keeps a conversation together where neither a thread nor a reference does. */
  thread_by?: 'contact' | 'sender'
  custom?: Record<string, unknown>
  page_url?: string
  utm?: Record<string, string>
  consent?: Record<string, boolean>
  signals?: readonly LeadSignal[]
  spam?: boolean
  /** The lead's id follows from it, if none is given. */
  lead_key?: string
  request_hash?: string
  rate_limits?: readonly { key: string; limit: number }[]
  /** Of a browser; present and null for a caller without one. Absent: not asked. */
  origin?: string | null
  site_token?: { id: string; hash: string }
  slack_configured: boolean
}

export type IngestOutcome =
  | {
      outcome: 'created'
      org_id: string
      message_id: string
      conversation_id: string
      lead_id?: string
      new_lead: boolean
      draft_id?: string
      classification: string
      spam: boolean
      redirect_url?: string
    }
  | {
      outcome: 'duplicate'
      lead_id?: string
      message_id?: string
      conversation_id?: string
      received_at?: string
    }
  | { outcome: 'own_send' | 'ignored' | 'key_reused' | 'unknown_organization' }
  | { outcome: 'unauthenticated' | 'origin_refused' }
  | { outcome: 'raced' }
  /** A wait for each of the limits; 0 where it was granted. */
  | { outcome: 'rate_limited'; waits: number[] }

export function ingest(input: Ingest) {
  return raw<{ result: IngestOutcome }>(sql`select ingest_inbound(${JSON.stringify(input)}::jsonb) as result`)
}

/** One that Postgres refuses for its content holds up none of the others. */
export type ManyOutcome = IngestOutcome | { outcome: 'refused'; code: string; where: string | null }

export function ingestMany(inputs: readonly Ingest[]) {
  return raw<{ results: ManyOutcome[] }>(sql`select ingest_many(${JSON.stringify(inputs)}::jsonb) as results`)
}

/** Postgres refuses the values themselves (SQLSTATE classes 22, 23 and 54), and will do so however often it is asked. */
export function isUnstorable(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(?:22|23|54)/.test(error.code)
  return error instanceof AppError && error.code === 'invalid'
}

export function insertDeadLetter(row: typeof dead_letters.$inferInsert) {
  return q.insert(dead_letters).values(row)
}
