import * as z from 'zod'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'

const payload = z.object({ org_id: z.uuid(), mailbox_id: z.uuid() })

/** Polling: what push has lost. The object goes on from its own cursor, so twice is as good as once. */
export const syncMailbox: Job<z.infer<typeof payload>, Ctx> = {
  name: 'sync-mailbox',
  queue: 'events',
  payload,
  run: async (ctx, { mailbox_id }) => {
    const synced = await ctx.mailboxes(mailbox_id).sync(ctx.clock.now().toISOString())
    // The object keeps its own backoff and its alarm, and the next tick asks again: no second retry loop on top.
    if (!synced.ok && synced.failure.code === 'mailbox_unreachable') return synced
  },
}
