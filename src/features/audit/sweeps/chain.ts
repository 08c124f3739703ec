import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import * as repo from '../repo'

const LOOK_BACK_SECONDS = 3600
const ORGANIZATIONS = 500
const ROWS = 1000
/** A bulk change must not outrun its own log: what is older than the look back is left to `verify`. */
const ROUNDS = 20

/** Links new audit rows into each organization's chain, so that no request waits for another's row. */
export const chainAudit: Sweep<Ctx> = {
  name: 'audit-chain',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const [grown] = await systemDb(ctx).batch([repo.listGrown(LOOK_BACK_SECONDS, ORGANIZATIONS)])
    let chained = 0
    for (const { org_id } of grown) {
      for (let round = 0, last = ROWS; last === ROWS && round < ROUNDS; round++) {
        const [result] = await systemDb(ctx).batch([repo.chain(org_id, ROWS)])
        last = result.rows[0]?.chained ?? 0
        chained += last
      }
    }
    return { organizations: grown.length, chained }
  },
}
