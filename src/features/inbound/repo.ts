import { sql } from 'drizzle-orm'
import { DatabaseError, q, raw } from '#db/client'
import { dead_letters } from '#db/schema/platform'
import { AppError } from '#kernel/errors'

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
    | 'lead'
    | 'draft'
    | 'notice'
    | 'suppression'
    | 'message_event'
    | 'lead_event'
    | 'draft_event'
    | 'audit',
    string
  >
  message: Record<string, unknown>
  contact: {
    email: string
    email_norm: string
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
  custom?: Record<string, unknown>
  request_hash?: string
  rate_limit?: { key: string; limit: number }
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
    }
  | { outcome: 'duplicate'; lead_id?: string; message_id?: string; conversation_id?: string }
  | { outcome: 'own_send' | 'ignored' | 'key_reused' | 'unknown_organization' }
  | { outcome: 'raced' }
  | { outcome: 'rate_limited'; retry_after_seconds: number }

export function ingest(input: Ingest) {
  return raw<{ result: IngestOutcome }>(sql`select ingest_inbound(${JSON.stringify(input)}::jsonb) as result`)
}

/** Postgres refuses the values themselves (SQLSTATE classes 22, 23 and 54), and will do so however often it is asked. */
export function isUnstorable(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(?:22|23|54)/.test(error.code)
  return error instanceof AppError && error.code === 'invalid'
}

export function insertDeadLetter(row: typeof dead_letters.$inferInsert) {
  return q.insert(dead_letters).values(row)
}
