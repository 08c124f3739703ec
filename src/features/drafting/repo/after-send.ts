// What became of a draft's send, and what that means for the draft.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { SendState } from '#kernel/vocabulary'
import type { GateVerdict } from '../policy/gate'

/** The draft whose reply will not leave; none when a person has already gone on with it. */
export function findUnsent(send_id: string) {
  return raw<{
    id: string
    version: number
    generation: number
    lead_id: string | null
    conversation_id: string
    gate: GateVerdict[]
    send: { state: SendState; skip_reason: string | null; error: string | null }
  }>(sql`
    select d.id, d.version, d.generation, d.lead_id, d.conversation_id, d.gate,
      jsonb_build_object('state', s.state, 'skip_reason', s.skip_reason, 'error', s.last_error->>'message') as send
    from sends s join drafts d on d.org_id = s.org_id and d.id = s.draft_id and d.send_id = s.id
    where s.id = ${send_id} and s.kind = 'reply' and s.state in ('skipped', 'failed') and d.status = 'approved'`)
}

/** Drafts that wait in a conversation which a person has answered by hand after their messages came. */
export function listAnswered(send_id: string) {
  return raw<{ id: string; version: number }>(sql`
    select d.id, d.version from sends s
    join drafts d on d.org_id = s.org_id and d.conversation_id = s.conversation_id and d.status in ('pending', 'ready')
    join messages m on m.org_id = d.org_id and m.id = d.message_id and m.received_at < s.created_at
    where s.id = ${send_id} and s.kind = 'reply' and s.state = 'sent' and not s.automatic and s.draft_id is null`)
}
