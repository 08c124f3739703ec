import { type Failure, fail } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { OutgoingMail } from '../policy/outgoing-mail'
import { beginDelivery } from '../repo/delivery'
import { findOutgoing } from '../repo/read'
import type { Delivery, TransportSend } from '../transports/contract'
import { completeMail } from './load-outgoing'

/**
 * The mail of a claim whose one delivery begins now, for transports that could take the same mail twice. What is noted here
 * lets `hasBegun` say of a run that died before that nothing has left.
 */
export async function takeMail(
  ctx: Ctx,
  send: TransportSend,
): Promise<{ ok: true; mail: OutgoingMail } | { ok: false; delivery: Delivery }> {
  try {
    const [begun, [mail]] = await ctx.db
      .org({ org_id: send.org_id, visibility: 'all' })
      .batch([beginDelivery(send.id, send.claim_token), findOutgoing(send.id)])
    if (begun.length > 0 && mail) return { ok: true, mail: await completeMail(ctx, mail) }
  } catch {
    // The database did not answer, and nobody was called.
    return { ok: false, delivery: { outcome: 'refused', failure: notLoaded } }
  }
  // Whoever has the claim, or had begun with it, knows what became of the mail.
  return { ok: false, delivery: { outcome: 'ambiguous', failure: taken } }
}

/** False: no run of this claim has come as far as to call the provider, and none can any more once the send is not `sending`. */
export function hasBegun(send: TransportSend): boolean {
  return send.provider_draft_id === send.claim_token
}

const notLoaded: Failure = fail('transient', 'not_loaded', 'The mail could not be read.').failure
const taken: Failure = fail('transient', 'claim_used', 'Another run has delivered under this claim.').failure
