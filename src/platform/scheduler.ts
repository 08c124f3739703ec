// Cron ticks: at least once, late, doubled or skipped. Every sweep keeps a record of each of its slots.
import { and, eq, isNotNull, lt, or, sql } from 'drizzle-orm'
import { q } from '#db/client'
import { systemDb } from '#db/system'
import { sweep_runs } from '#db/schema/platform'
import type { Sweep, SweepResult } from '#kernel/sweep'
import { type Ctx, type CtxOptions, createContext } from './context'
import { errorName } from './log'

// No invocation outlives 15 minutes, so a run that is older and unfinished has died.
const DEAD_RUN_MINUTES = 15

export async function tick(
  event: { cron: string; scheduledTime: number },
  env: Env,
  execution: Pick<ExecutionContext, 'waitUntil'>,
  sweeps: readonly Sweep<Ctx>[],
  overrides: Pick<CtxOptions, 'clock' | 'fetch'> = {},
): Promise<void> {
  const as_of = new Date(event.scheduledTime)
  const due = sweeps.filter((sweep) => sweep.cron === event.cron)
  const results = await Promise.allSettled(
    due.map((sweep) => {
      const ctx = createContext(env, {
        actor: { type: 'system', name: sweep.name },
        waitUntil: (work) => execution.waitUntil(work),
        as_of,
        ...overrides,
      })
      return runSweep(ctx, sweep, as_of)
    }),
  )
  const failed = results.filter((result) => result.status === 'rejected')
  // What leaves the handler is printed by the platform as it is; the log has each of them already.
  if (failed.length > 0) throw new Error(`${failed.length} of ${due.length} sweeps failed; the log has them`)
}

/** Runs one sweep and records it. `null`: the same slot is running already. */
export async function runSweep(ctx: Ctx, sweep: Sweep<Ctx>, scheduled_at: Date): Promise<SweepResult | null> {
  const slot = and(eq(sweep_runs.name, sweep.name), eq(sweep_runs.scheduled_at, scheduled_at))
  const [claimed] = await systemDb(ctx).batch([
    q
      .insert(sweep_runs)
      .values({ name: sweep.name, scheduled_at, cron: sweep.cron, started_at: sql`now()` })
      .onConflictDoUpdate({
        target: [sweep_runs.name, sweep_runs.scheduled_at],
        set: { started_at: sql`now()`, finished_at: null, error: null },
        setWhere:
          or(
            isNotNull(sweep_runs.finished_at),
            lt(sweep_runs.started_at, sql`now() - make_interval(mins => ${DEAD_RUN_MINUTES})`),
          ) ?? sql`false`,
      })
      .returning({ name: sweep_runs.name }),
  ])
  if (claimed.length === 0) return null
  const started = performance.now()
  const finish = (set: { result?: SweepResult; error?: string }) =>
    systemDb(ctx).batch([
      q
        .update(sweep_runs)
        .set({ ...set, finished_at: sql`now()`, duration_ms: Math.round(performance.now() - started) })
        .where(slot),
    ])
  try {
    const result = await sweep.run(ctx)
    await finish({ result })
    if (Object.values(result).some((count) => count > 0))
      ctx.log.info('sweep', { sweep: sweep.name, ...result, round_trips: ctx.meter.round_trips })
    return result
  } catch (error) {
    ctx.log.error('sweep.failed', error, { sweep: sweep.name })
    await finish({ error: errorName(error) })
    throw error
  }
}
