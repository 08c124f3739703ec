// Lets the rows of one organization expire that it wants to keep no longer, in small batches: no lock is held for long. What it
// removes is gone at once, so it may die and come again at any point.
import * as z from 'zod'
import { recordAudit } from '#features/audit'
import type { Job } from '#kernel/job'
import type { Ctx, Door } from '#platform/context'
import * as repo from '../repo'

const payload = z.object({ org_id: z.uuid() })

const ROWS = 500
/** Beside it in the queue, others wait for their turn. */
const RUN_MS = 20_000

/** `limits`: a test brings smaller ones. */
export function applyRetentionJob(
  limits: { rows: number; run_ms: number } = { rows: ROWS, run_ms: RUN_MS },
): Job<z.infer<typeof payload>, Ctx> {
  return {
    name: 'apply-retention',
    queue: 'events',
    payload,
    run: async (ctx, { org_id }) => {
      const removed = new Map<string, number>()
      try {
        const done = await removeExpired(ctx, org_id, limits, removed)
        if (!done)
          await ctx.enqueueMessages('events', [{ message: { job: 'apply-retention', payload: { org_id } } }])
      } finally {
        await keepRecord(ctx, org_id, removed)
      }
    },
  }
}

export const applyRetention = applyRetentionJob()

/** False when the time was over first. */
async function removeExpired(
  ctx: Ctx,
  org_id: string,
  { rows, run_ms }: { rows: number; run_ms: number },
  removed: Map<string, number>,
): Promise<boolean> {
  const door = ctx.db.org({ org_id, visibility: 'all' })
  const started = performance.now()
  for (const table of repo.expiringTables) {
    let after: repo.Expired['last'] | null = null
    for (;;) {
      if (removed.size > 0 && performance.now() - started >= run_ms) return false
      const result = await removeSome(door, { table, now: ctx.clock.now(), rows, after })
      for (const [name, count] of Object.entries(result?.removed ?? {}))
        if (count > 0) removed.set(name, (removed.get(name) ?? 0) + count)
      if (!result?.last || result.examined < rows) break
      after = result.last
    }
  }
  return true
}

async function removeSome(
  door: Door,
  some: Parameters<typeof repo.applyRetention>[0],
): Promise<repo.Expired | undefined> {
  const [answer] = await door.batch([repo.applyRetention(some)])
  return answer.rows[0]?.result
}

/** How many of what, and nothing of what they were. */
async function keepRecord(ctx: Ctx, org_id: string, removed: Map<string, number>): Promise<void> {
  if (removed.size === 0) return
  const fields = [...removed].map(([name, count]) => `${name}:${count}`)
  await ctx.db.org({ org_id, visibility: 'all' }).batch([
    recordAudit(ctx, {
      org_id,
      action: 'retention.applied',
      entity: 'organization',
      entity_id: org_id,
      fields,
    }),
  ])
}
