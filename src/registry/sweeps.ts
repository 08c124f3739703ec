import { chainAudit } from '#features/audit'
import { draftsDue } from '#features/drafting'
import { ingestFlush } from '#features/inbound'
import { mailboxSync, watchRenewal } from '#features/mailboxes'
import { enqueueNotices } from '#features/notifications'
import { refreshDirectory, resealSecrets } from '#features/organizations'
import { leadMails, mailEvents, sendsDue } from '#features/sending'
import { retention, trimLeftovers } from '#features/operations'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { relaySweep } from '#platform/outbox'
import { subscribers } from './subscribers'

/** What each cron tick runs. */
export const sweeps: readonly Sweep<Ctx>[] = [
  relaySweep(subscribers),
  chainAudit,
  mailboxSync,
  watchRenewal,
  enqueueNotices,
  sendsDue,
  mailEvents,
  leadMails,
  draftsDue,
  trimLeftovers,
  retention,
  resealSecrets,
  refreshDirectory,
  ingestFlush,
]
