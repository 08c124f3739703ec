import * as z from 'zod'
import { truncateIp } from '#features/audit'
import type { IntakeKind, IntakeResult } from '#kernel/intake'
import type { Ctx } from '#platform/context'
import { kick } from '#platform/outbox'
import { SKIPPED_AT_ONCE, unsubscribe } from '../repo/suppressions'
import { newTrail } from '../repo/trail'

/** One round trip, one transaction. For each whether its send is known. */
export async function storeUnsubscribes(
  ctx: Ctx,
  org_id: string,
  wishes: readonly { send_id: string; at: Date }[],
): Promise<boolean[]> {
  const ip = truncateIp(ctx.origin.ip)
  const [first, ...others] = wishes.map(({ send_id, at }) =>
    unsubscribe({
      org_id,
      send_id,
      at,
      suppression_id: ctx.newId(),
      trails: Array.from({ length: 1 + SKIPPED_AT_ONCE }, () => newTrail(ctx, ip)),
    }),
  )
  if (first === undefined) return []
  const answers = await ctx.db.org({ org_id, visibility: 'all' }).batch([first, ...others])
  kick(
    ctx,
    answers.flatMap(({ rows }) => rows.flatMap(({ event_ids }) => event_ids)),
  )
  return answers.map(({ rows }) => rows[0]?.known ?? false)
}

const payload = z.object({ send_id: z.uuid() })

/** Wishes that came while the database was down. */
export const unsubscribeIntake: IntakeKind<Ctx> = {
  kind: 'unsubscribe',
  store: async (ctx, destination, items) => {
    const read = items.map((item) => {
      const parsed = payload.safeParse(item.payload)
      return parsed.success && 'org_id' in destination
        ? { send_id: parsed.data.send_id, at: item.received_at }
        : null
    })
    const wishes = read.filter((wish) => wish !== null)
    const known = 'org_id' in destination ? await storeUnsubscribes(ctx, destination.org_id, wishes) : []
    let next = 0
    return read.map((wish): IntakeResult => {
      if (wish === null) return { outcome: 'refused', code: 'malformed', where: null }
      return known[next++] ? { outcome: 'stored' } : { outcome: 'refused', code: 'unknown_send', where: null }
    })
  },
}
