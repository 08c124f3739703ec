import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import * as repo from '../repo'
import { contextOf } from '../service/erasure-key'

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
    for (const { id, ...secrets } of rows) {
      for (const [column, context] of [
        ['slack_webhook_sealed', `organization:${id}:slack`],
        ['erasure_key_sealed', contextOf(id)],
      ] as const) {
        const before = secrets[column]
        if (before === null || before.startsWith(`${present}.`)) continue
        const plain = await ctx.open(before, context).catch((error: unknown) => {
          if (!(error instanceof SealedWithAnotherKey)) throw error
          ctx.log.error('organization.secret_lost', error, { org_id: id, secret: column })
          return null
        })
        if (plain === null) {
          // Neither key opens it. It is kept: the right key may come back.
          lost++
          continue
        }
        await systemDb(ctx).batch([repo.replaceSealed(id, column, before, await ctx.seal(plain, context))])
        resealed++
      }
    }
    return { resealed, lost }
  },
}
