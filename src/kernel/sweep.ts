export const crons = ['* * * * *', '*/5 * * * *', '*/30 * * * *', '0 * * * *', '0 3 * * *'] as const
type Cron = (typeof crons)[number]

/** What a sweep found and handed over; shown to the operator. */
export type SweepResult = Record<string, number>

/** Finds at most N due ids and enqueues one job per id. `C` is the platform's context, its clock is the tick's time. */
export interface Sweep<C> {
  name: string
  cron: Cron
  run(ctx: C): Promise<SweepResult>
}
