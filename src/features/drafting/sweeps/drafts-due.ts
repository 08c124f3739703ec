import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { draftReply } from '../jobs/draft-reply'
import * as repo from '../repo/drafts'

/** Time for the event and its queue; what is older was lost on the way, or its run died. */
const GRACE_SECONDS = 60
const LIMIT = 500

/** Drafts that nobody is writing. The job itself gives the AI up after a few attempts, so none comes back for ever. */
export const draftsDue: Sweep<Ctx> = {
  name: 'drafts-due',
  cron: '* * * * *',
  run: async (ctx) => {
    const [due] = await systemDb(ctx).batch([
      repo.listDue(addSeconds(ctx.clock.now(), -GRACE_SECONDS), LIMIT),
    ])
    await ctx.enqueueMessages(
      draftReply.queue,
      due.map(({ org_id, id }) => ({ message: { job: draftReply.name, payload: { org_id, draft_id: id } } })),
    )
    return { enqueued: due.length }
  },
}
