import { and, eq, isNull, ne, or } from 'drizzle-orm'
import { q } from '#db/client'
import { sends } from '#db/schema/sending'

/**
 * For transports that know no draft: the claim itself is the token that works once, kept where a draft's id would be. No row:
 * the run has lost its claim, or has begun already.
 */
export function beginDelivery(send_id: string, token: string) {
  return q
    .update(sends)
    .set({ provider_draft_id: token })
    .where(
      and(
        eq(sends.id, send_id),
        eq(sends.state, 'sending'),
        eq(sends.claim_token, token),
        or(isNull(sends.provider_draft_id), ne(sends.provider_draft_id, token)),
      ),
    )
    .returning({ id: sends.id })
}
