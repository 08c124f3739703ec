import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { syncMailbox } from '../jobs/sync-mailbox'
import * as repo from '../repo'

const STALE_SECONDS = 5 * 60
const LIMIT = 10_000

/** A lost push or alarm costs five minutes at most. */
export const mailboxSync: Sweep<Ctx> = {
  name: 'mailbox-sync',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const [due] = await systemDb(ctx).batch([
      repo.listStale(addSeconds(ctx.clock.now(), -STALE_SECONDS), LIMIT),
    ])
    await ctx.enqueueMessages(
      syncMailbox.queue,
      due.map(({ org_id, id }) => ({
        message: { job: syncMailbox.name, payload: { org_id, mailbox_id: id } },
      })),
    )
    return { due: due.length }
  },
}
