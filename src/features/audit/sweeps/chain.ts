import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import * as repo from '../repo'

const LOOK_BACK_SECONDS = 3600
const ORGANIZATIONS = 500
const ROWS = 1000

/** Links new audit rows into each organization's chain, so that no request waits for another's row. */
export const chainAudit: Sweep<Ctx> = {
  name: 'audit-chain',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const [grown] = await systemDb(ctx).batch([
      repo.listGrown(addSeconds(new Date(), -LOOK_BACK_SECONDS), ORGANIZATIONS),
    ])
    let chained = 0
    for (const { org_id } of grown) {
      const [result] = await systemDb(ctx).batch([repo.chain(org_id, ROWS)])
      chained += result.rows[0]?.chained ?? 0
    }
    return { organizations: grown.length, chained }
  },
}
