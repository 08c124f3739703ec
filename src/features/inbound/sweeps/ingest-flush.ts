import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import { flushAll } from '#platform/ingest-flush'

/** The buffers flush themselves by alarm; what an alarm has lost, this finds. */
export const ingestFlush: Sweep<Ctx> = {
  name: 'ingest-flush',
  cron: '*/5 * * * *',
  run: async (ctx) => ({ ...(await flushAll(ctx)) }),
}
