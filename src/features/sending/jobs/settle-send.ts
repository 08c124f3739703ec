// The provider has reported on a mail that we do not know to have left: it has, and is never sent again.
import * as z from 'zod'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import { messageOf } from '../policy/postmark'
import { findFacts } from '../repo/read'
import { recordSent } from '../service/record-sent'

const payload = z.object({ org_id: z.uuid(), send_id: z.uuid(), provider_message_id: z.string().max(100) })

export const settleSend: Job<z.infer<typeof payload>, Ctx> = {
  name: 'settle-send',
  queue: 'sends',
  payload,
  run: async (ctx, { org_id, send_id, provider_message_id }) => {
    const [[send]] = await ctx.db.org({ org_id, visibility: 'all' }).batch([findFacts(send_id)])
    if (!send) return
    // A run that has claimed it again loses its claim, and the gate refuses it.
    const states = ['scheduled', 'claimed', 'unknown', 'review'] as const
    await recordSent(ctx, send, { org_id, send_id, token: null, states }, messageOf(provider_message_id))
  },
}
