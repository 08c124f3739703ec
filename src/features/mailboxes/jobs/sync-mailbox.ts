import * as z from 'zod'
import { addSeconds } from '#kernel/clock'
import type { Job } from '#kernel/job'
import type { MailboxStatus } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { recordLost } from '../service/report-state'

const payload = z.object({ org_id: z.uuid(), mailbox_id: z.uuid() })

/** Longer than a callback takes to hand its tokens over. */
const HANDOVER_SECONDS = 5 * 60

/** What people should see when the object has no use of its tokens, or none: its callback has died on the way to it. */
function lostStatus(code: string): MailboxStatus | null {
  if (code === 'needs_scopes' || code === 'reconnect_required') return code
  return code === 'not_connected' ? 'reconnect_required' : null
}

/** Polling: what push has lost. The object goes on from its own cursor, so twice is as good as once. */
export const syncMailbox: Job<z.infer<typeof payload>, Ctx> = {
  name: 'sync-mailbox',
  queue: 'events',
  payload,
  run: async (ctx, { org_id, mailbox_id }) => {
    const synced = await ctx.mailboxes(mailbox_id).sync(ctx.clock.now().toISOString())
    if (synced.ok) return
    const { failure } = synced
    // The object keeps its own backoff and its alarm, and the next tick asks again: no second retry loop on top.
    if (failure.code === 'mailbox_unreachable') return synced
    const status = lostStatus(failure.code)
    if (status === null) return
    const since = addSeconds(ctx.clock.now(), -HANDOVER_SECONDS)
    await recordLost(ctx, { org_id, mailbox_id }, status, failure, since)
  },
}
