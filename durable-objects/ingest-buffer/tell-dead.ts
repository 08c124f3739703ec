// Tells the operator that something could not be stored: once a day for an organization, whichever of its objects it was.
import { DatabaseError } from '#db/client'
import type { Ctx } from '#platform/context'
import { derivedUuid } from '#platform/crypto'
import { kick, recordEvent } from '#platform/outbox'
import type { Store } from './store'

const MAX_NAMED = 20

/** Call it when the database answers. Where no organization is known, the log, the figures and the health check tell. */
export async function tellDead(ctx: Ctx, store: Store): Promise<void> {
  const untold = store.untold()
  if (untold.length === 0) return
  const now = ctx.clock.now()
  const day = now.toISOString().slice(0, 10)
  const byOrganization = Map.groupBy(untold, ({ destination }) =>
    'org_id' in destination ? destination.org_id : null,
  )
  for (const [org_id, items] of byOrganization) {
    const ids = items.map(({ id }) => id)
    const code = items[0]?.code ?? 'unknown'
    ctx.log.warn('ingest.dead', { org_id, count: items.length, code })
    if (org_id !== null) {
      const key = `told:${org_id}`
      if (store.meta(key) === day) continue
      const told = await record(ctx, org_id, day, {
        count: String(items.length),
        code,
        item_ids: ids.slice(0, MAX_NAMED).join(','),
      })
      // Another of its objects did so today: tomorrow, if they are still there.
      store.setMeta(key, day)
      if (told === 'by_another') continue
    }
    store.markTold(ids, now.getTime())
  }
}

async function record(
  ctx: Ctx,
  org_id: string,
  day: string,
  payload: Record<string, string>,
): Promise<'told' | 'by_another' | 'nobody'> {
  const id = await derivedUuid(`ingest.dead:${org_id}:${day}`)
  try {
    await ctx.db
      .org({ org_id, visibility: 'all' })
      .batch([recordEvent(ctx, { id, org_id, type: 'ingest.dead', payload })])
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    if (error.code === '23505') return 'by_another'
    // There is no such organization.
    ctx.log.error('ingest.tell', error, { org_id })
    return 'nobody'
  }
  kick(ctx, [id])
  return 'told'
}
