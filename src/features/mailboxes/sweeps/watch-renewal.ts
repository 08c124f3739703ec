import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { mailProviders } from '../providers'
import { renewWatch } from '../jobs/renew-watch'
import * as repo from '../repo'

/** A Gmail watch lives 7 days and is to be renewed daily. */
const RENEW_BEFORE_SECONDS = 6 * 24 * 3600
const LIMIT = 10_000

export const watchRenewal: Sweep<Ctx> = {
  name: 'watch-renewal',
  cron: '*/30 * * * *',
  run: async (ctx) => {
    // Without push nothing is ever renewed, and every mailbox would be asked for nothing.
    if (!mailProviders.some((provider) => provider.canPush(ctx.config))) return { due: 0 }
    const [due] = await systemDb(ctx).batch([
      repo.listWatchEnding(addSeconds(ctx.clock.now(), RENEW_BEFORE_SECONDS), LIMIT),
    ])
    await ctx.enqueueMessages(
      renewWatch.queue,
      due.map(({ org_id, id }) => ({
        message: { job: renewWatch.name, payload: { org_id, mailbox_id: id } },
      })),
    )
    return { due: due.length }
  },
}
