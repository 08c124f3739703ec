import type { Ctx } from '#platform/context'
import { listTransportPauses, type TransportPause } from '../repo/transport-pause'

/** Names no host and no address. */
export async function listPausedTransports(ctx: Ctx): Promise<TransportPause[]> {
  const [{ rows }] = await ctx.db.nobody().batch([listTransportPauses()])
  return rows.map((row) => row.pause)
}
