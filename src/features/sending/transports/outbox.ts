// The local outbox: the mail as it would have left, kept in our own database. Its row is the acceptance, so nothing about it
// is ever unknown for good. It may carry anything, because nothing leaves.
import { fail, succeed } from '#kernel/failure'
import { composeMail, senderOf } from '../policy/outgoing-mail'
import * as repo from '../repo/read'
import { completeMail } from '../service/load-outgoing'
import type { Transport } from './contract'

export const outbox: Transport = {
  name: 'outbox',
  carries: ['cold', 'opted_in', 'transactional'],

  prepare: async () => succeed({ provider_draft_id: null, provider_thread_id: null }),

  deliver: async (ctx, send) => {
    const door = ctx.db.org({ org_id: send.org_id, visibility: 'all' })
    const now = ctx.clock.now()
    const [[mail]] = await door.batch([repo.findOutgoing(send.id)])
    const raw = mail ? await composeMail(await completeMail(ctx, mail), senderOf(ctx.config), now) : null
    const [accepted, known] =
      raw === null
        ? [[], []]
        : await door.batch([
            repo.acceptIntoOutbox({
              send_id: send.id,
              token: send.claim_token,
              raw: new TextDecoder().decode(raw),
              now,
            }),
            repo.findOutboxMail(send.id),
          ])
    if (accepted.length + known.length > 0) return { outcome: 'accepted', message: null }
    return {
      outcome: 'refused',
      failure: fail('transient', 'claim_lost', 'Another run has taken the send over.').failure,
    }
  },

  reconcile: async (ctx, send) => {
    const [[mail]] = await ctx.db
      .org({ org_id: send.org_id, visibility: 'all' })
      .batch([repo.findOutboxMail(send.id)])
    return mail ? { outcome: 'sent', message: null } : { outcome: 'not_sent' }
  },

  discard: async () => succeed(null),
}
