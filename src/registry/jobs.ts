import { draftReply, retireDrafts, returnDraft } from '#features/drafting'
import { renewWatch, syncMailbox } from '#features/mailboxes'
import { postNotice } from '#features/notifications'
import { deliverSend, reconcileSend } from '#features/sending'
import type { AppJob } from '#platform/context'
import { relayJob } from '#platform/outbox'
import { subscribers } from './subscribers'

/** Every job of the running system. */
export const jobs: readonly AppJob[] = [
  relayJob(subscribers),
  syncMailbox,
  renewWatch,
  postNotice,
  deliverSend,
  reconcileSend,
  draftReply,
  returnDraft,
  retireDrafts,
]
