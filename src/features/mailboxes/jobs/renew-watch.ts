import * as z from 'zod'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'

const payload = z.object({ org_id: z.uuid(), mailbox_id: z.uuid() })

export const renewWatch: Job<z.infer<typeof payload>, Ctx> = {
  name: 'renew-watch',
  queue: 'events',
  payload,
  run: async (ctx, { mailbox_id }) => {
    const renewed = await ctx.mailboxes(mailbox_id).renewWatch(ctx.clock.now().toISOString())
    if (!renewed.ok && renewed.failure.code === 'mailbox_unreachable') return renewed
  },
}
