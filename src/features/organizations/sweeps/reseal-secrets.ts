import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import * as repo from '../repo'

const LIMIT = 500

/** After a key rotation: once nothing is left, ENCRYPTION_KEY_PREVIOUS may go. Mailboxes reseal their own tokens. */
export const resealSecrets: Sweep<Ctx> = {
  name: 'reseal-secrets',
  cron: '0 3 * * *',
  run: async (ctx) => {
    const present = (await ctx.seal('', '')).split('.').slice(0, 2).join('.')
    const [rows] = await systemDb(ctx).batch([repo.listSealedOtherwise(present, LIMIT)])
    let resealed = 0
    let lost = 0
    for (const { id, slack_webhook_sealed: before } of rows) {
      if (before === null) continue
      const context = `organization:${id}:slack`
      const plain = await ctx.open(before, context).catch((error: unknown) => {
        if (!(error instanceof SealedWithAnotherKey)) throw error
        ctx.log.error('organization.secret_lost', error, { org_id: id })
        return null
      })
      if (plain === null) {
        // Neither key opens it. It is kept: the right key may come back.
        lost++
        continue
      }
      await systemDb(ctx).batch([repo.replaceSealed(id, before, await ctx.seal(plain, context))])
      resealed++
    }
    return { resealed, lost }
  },
}
