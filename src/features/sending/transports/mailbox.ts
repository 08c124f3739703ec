// Gmail and Outlook, inside the mailbox's Durable Object. The draft is a token that works once, which makes the effect
// exactly-once although neither provider takes an idempotency key.
import { type Failure, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { MailboxPort } from '#platform/mailboxes'
import type { Transport, TransportSend } from './contract'

/** `not_found`: a draft that is gone may have been sent by a run that got no answer, or by hand. */
const provesNothing: readonly string[] = ['not_found', 'answer_too_large']

export const mailbox: Transport = {
  name: 'mailbox',
  carries: ['cold', 'opted_in', 'transactional'],

  prepare: async (ctx, send) => {
    if (send.provider_draft_id !== null)
      return succeed({ provider_draft_id: send.provider_draft_id, provider_thread_id: null })
    return portOf(ctx, send).createDraft(send.id)
  },

  deliver: async (ctx, send) => {
    const sent = await portOf(ctx, send).sendDraft(draftOf(send))
    if (sent.ok) return { outcome: 'accepted', message: sent.value }
    return { outcome: isAmbiguous(sent.failure) ? 'ambiguous' : 'refused', failure: sent.failure }
  },

  reconcile: async (ctx, send) => {
    const found = await portOf(ctx, send).findSent(send.id, draftOf(send))
    if (!found.ok) return { outcome: 'unavailable', failure: found.failure }
    const { outcome, message } = found.value
    return outcome === 'sent' ? { outcome, message: message ?? null } : { outcome }
  },

  discard: (ctx, send, provider_draft_id) => portOf(ctx, send).deleteDraft(provider_draft_id),
}

/** An answer that says no is definite; no answer, a broken one or a server error is not. */
function isAmbiguous(failure: Failure): boolean {
  return failure.kind === 'transient' || provesNothing.includes(failure.code)
}

function portOf(ctx: Ctx, send: TransportSend): MailboxPort {
  if (send.mailbox_id === null) throw new TypeError('A send of the mailbox transport has a mailbox')
  return ctx.mailboxes(send.mailbox_id)
}

function draftOf(send: TransportSend): string {
  if (send.provider_draft_id === null) throw new TypeError('The gate has kept the draft of the send')
  return send.provider_draft_id
}
