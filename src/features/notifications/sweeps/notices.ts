import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { postNotice } from '../jobs/post-notice'
import * as repo from '../repo'

const LIMIT = 500

/** Brings back every notice whose wake-up was lost, whose outcome was open, or whose channel was down. */
export const enqueueNotices: Sweep<Ctx> = {
  name: 'notices-due',
  cron: '* * * * *',
  run: async (ctx) => {
    const [due] = await systemDb(ctx).batch([repo.listDue(ctx.clock.now(), LIMIT)])
    const messages = due.map(({ id, org_id }) => ({
      message: { job: postNotice.name, payload: { org_id, notice_id: id } },
    }))
    await ctx.enqueueMessages(postNotice.queue, messages)
    return { enqueued: due.length }
  },
}
