import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import * as repo from '../repo'

/** One message each, and there is one organization to a customer: a million of them is not what this is made for. */
const LIMIT = 50_000

/** Once a day, for the organizations that let something expire. */
export const retention: Sweep<Ctx> = {
  name: 'retention',
  cron: '0 3 * * *',
  run: async (ctx) => {
    const [rows] = await systemDb(ctx).batch([repo.listWithRetention(LIMIT)])
    await ctx.enqueueMessages(
      'events',
      rows.map(({ org_id }) => ({ message: { job: 'apply-retention', payload: { org_id } } })),
    )
    return { organizations: rows.length }
  },
}
