import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import * as repo from '../repo/mail-events'
import { settle } from '../service/record-mail-event'

const LIMIT = 200
/** A report comes minutes before its send has its id, not days; what is older belongs to another product on the account. */
const TRY_FOR_SECONDS = 3 * 86_400

/** Reports that came before their send was there, and those of sends that nobody knew to have left. */
export const mailEvents: Sweep<Ctx> = {
  name: 'mail-events',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const now = ctx.clock.now()
    const door = systemDb(ctx)
    const [matched] = await door.batch([repo.listMatched(addSeconds(now, -TRY_FOR_SECONDS), LIMIT)])
    const [first, ...rest] = matched.map((event) =>
      repo.applyMailEvent({ ...event, ids: { audit: ctx.newId(), suppression: ctx.newId() }, now }),
    )
    const answers = first === undefined ? [] : await door.batch([first, ...rest])
    const events = answers.flatMap(({ rows }) => rows.map((row) => row.event))
    const settled = await settle(ctx, events)
    const applied = events.filter((event) => event.outcome === 'applied').length
    return { applied, settled }
  },
}
