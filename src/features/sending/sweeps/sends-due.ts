import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { RECONCILE_AFTER_SECONDS } from '../policy/attempts'
import * as repo from '../repo/sweep'

const LIMIT = 500

/** Repairs what crashed runs and lost queue messages have left, and wakes what is due. */
export const sendsDue: Sweep<Ctx> = {
  name: 'sends-due',
  cron: '* * * * *',
  run: async (ctx) => {
    const now = ctx.clock.now()
    const started_before = addSeconds(now, -RECONCILE_AFTER_SECONDS)
    const [released, stalled, due, unknown] = await systemDb(ctx).batch([
      repo.releaseExpired(LIMIT),
      repo.markStalled(now, RECONCILE_AFTER_SECONDS, LIMIT),
      repo.listDue(now, LIMIT),
      repo.listUnknown(now, started_before, LIMIT),
    ])
    await ctx.enqueueMessages('sends', [
      ...due.map((payload) => ({ message: { job: 'deliver-send', payload } })),
      ...unknown.map((payload) => ({ message: { job: 'reconcile-send', payload } })),
    ])
    return {
      due: due.length,
      unknown: unknown.length,
      released: released.rows.length,
      stalled: stalled.rows.length,
    }
  },
}
