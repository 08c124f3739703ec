import { draftReply, retireDrafts, returnDraft } from '#features/drafting'
import { bufferIntakeJob } from '#features/inbound'
import { renewWatch, syncMailbox } from '#features/mailboxes'
import { postNotice } from '#features/notifications'
import { applyRetention } from '#features/operations'
import { deliverSend, reconcileSend, sendLeadMails, sendOperatorNotice, settleSend } from '#features/sending'
import type { AppJob } from '#platform/context'
import { relayJob } from '#platform/outbox'
import { intakes } from './intakes'
import { subscribers } from './subscribers'

/** Every job of the running system. */
export const jobs: readonly AppJob[] = [
  relayJob(subscribers),
  bufferIntakeJob(intakes),
  syncMailbox,
  renewWatch,
  postNotice,
  deliverSend,
  reconcileSend,
  settleSend,
  sendLeadMails,
  sendOperatorNotice,
  draftReply,
  returnDraft,
  retireDrafts,
  applyRetention,
]
