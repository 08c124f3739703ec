import { systemDb } from '#db/system'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { sendLeadMails } from '../jobs/send-lead-mails'
import { listForgotten } from '../repo/system-mail'
import { operatorAddress } from '../service/compose-system-mail'

const LIMIT = 500

/** Leads whose mails were to follow from an event whose job was lost with its queue message. */
export const leadMails: Sweep<Ctx> = {
  name: 'lead-mails',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const alerts = operatorAddress(ctx) !== null
    const [{ rows }] = await systemDb(ctx).batch([listForgotten(ctx.clock.now(), alerts, LIMIT)])
    await ctx.enqueueMessages(
      sendLeadMails.queue,
      rows.map((payload) => ({ message: { job: sendLeadMails.name, payload } })),
    )
    return { forgotten: rows.length }
  },
}
