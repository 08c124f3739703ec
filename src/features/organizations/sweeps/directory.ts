import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { toEntry } from '#platform/directory'
import * as repo from '../repo'

const PAGE = 500
const HOUR = 3600

/** Keeps the directory true: those that have changed of late, and once a day all, so that the deleted ones go. */
export const refreshDirectory: Sweep<Ctx> = {
  name: 'directory',
  cron: '*/5 * * * *',
  run: async (ctx) => {
    const now = ctx.clock.now()
    const completed_at = await ctx.directory.completedAt()
    const isComplete =
      completed_at !== null && completed_at > addSeconds(now, -24 * HOUR) && completed_at <= now
    const since = isComplete ? addSeconds(now, -HOUR) : null
    let kept = 0
    let after: string | null = null
    for (;;) {
      const [rows]: [repo.DirectoryRow[]] = await systemDb(ctx).batch([
        repo.listForDirectory(since, after, PAGE),
      ])
      if (rows.length > 0) await ctx.directory.keep(rows.map(toEntry), now)
      kept += rows.length
      after = rows.at(-1)?.id ?? null
      if (rows.length < PAGE) break
    }
    if (!isComplete) await ctx.directory.completed(now, addSeconds(now, -HOUR))
    return { kept }
  },
}
