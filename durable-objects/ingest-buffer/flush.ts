// Stores what waits, batch by batch, oldest first. A crash between the database's commit and our delete is harmless: the
// same ids come again and are known.
import { AppError } from '#kernel/errors'
import type { IntakeItem, IntakeKind, IntakeResult } from '#kernel/intake'
import { answers } from '#platform/breaker'
import type { Ctx } from '#platform/context'
import { type BufferedItem, sealContext } from '#platform/ingest-buffer'
import { refusalOf } from '#platform/intake'
import { backoffMs, MAX_STRANGE } from './policy'
import type { Store } from './store'

export interface Flushed {
  stored: number
  known: number
  dead: number
  /** False: the database stopped answering. */
  reached: boolean
}

export interface FlushDeps {
  ctx: Ctx
  store: Store
  kinds: readonly IntakeKind<Ctx>[]
}

export async function flushItems(deps: FlushDeps, only: string | null = null): Promise<Flushed> {
  const { store } = deps
  const now = deps.ctx.clock.now().getTime()
  const flushed: Flushed = { stored: 0, known: 0, dead: 0, reached: true }
  let strange = 0
  const settle = (items: readonly BufferedItem[], results: readonly IntakeResult[]): void => {
    store.atOnce(() => {
      for (const [i, { id, attempts }] of items.entries()) {
        const result = results[i] ?? { outcome: 'later', code: 'no_answer' }
        switch (result.outcome) {
          case 'stored':
          case 'known':
            store.remove(id)
            flushed[result.outcome]++
            strange = 0
            break
          case 'refused':
            store.bury(id, { code: result.code, where: result.where }, now)
            flushed.dead++
            break
          case 'later':
            // Never due again within this flush.
            store.postpone(
              id,
              { code: result.code, where: null },
              now + backoffMs(attempts + 1, Math.random()),
            )
            strange++
            break
        }
      }
    })
  }
  // Whoever was away last time is asked whether they are back before a batch is tried on them.
  if (Number(store.meta('failures') ?? 0) > 0 && !(await answers(deps.ctx))) flushed.reached = false
  while (flushed.reached && strange < MAX_STRANGE) {
    const batch = store.nextBatch(now, only)
    if (batch.length === 0) break
    flushed.reached = await storeBatch(deps, batch, settle)
  }
  return flushed
}

type Settle = (items: readonly BufferedItem[], results: readonly IntakeResult[]) => void
type Opened = { item: BufferedItem; intake: IntakeItem }

/** False: the database does not answer. */
async function storeBatch(deps: FlushDeps, batch: readonly BufferedItem[], settle: Settle): Promise<boolean> {
  const kind = deps.kinds.find((candidate) => candidate.kind === batch[0]?.kind)
  const destination = batch[0]?.destination
  const opened: Opened[] = []
  for (const item of batch) {
    const payload = await openPayload(deps, item.id)
    // The right key, or the version that knows this kind, may come back.
    if (payload === null) settle([item], [{ outcome: 'later', code: 'sealed_with_another_key' }])
    else if (!kind) settle([item], [{ outcome: 'later', code: 'unknown_kind' }])
    else opened.push({ item, intake: { id: item.id, received_at: item.received_at, payload } })
  }
  if (!kind || !destination || opened.length === 0) return true
  return storeOrSplit(deps, (items) => kind.store(deps.ctx, destination, items), opened, settle)
}

/** One that fails for itself does not take the others with it: the batch is halved until it is alone. */
async function storeOrSplit(
  deps: FlushDeps,
  store: (items: readonly IntakeItem[]) => Promise<IntakeResult[]>,
  opened: readonly Opened[],
  settle: Settle,
): Promise<boolean> {
  const items = opened.map(({ item }) => item)
  try {
    const results = await store(opened.map(({ intake }) => intake))
    settle(items, results)
    return true
  } catch (error) {
    const isOutage = error instanceof AppError && error.code === 'unavailable'
    // The database may be well, and this batch alone too much for it.
    if (isOutage && !(await answers(deps.ctx))) {
      deps.store.countTried(items.map(({ id }) => id))
      return false
    }
    if (opened.length === 1) {
      settle(items, [judge(deps, error)])
      return true
    }
    const half = Math.ceil(opened.length / 2)
    return (
      (await storeOrSplit(deps, store, opened.slice(0, half), settle)) &&
      (await storeOrSplit(deps, store, opened.slice(half), settle))
    )
  }
}

function judge({ ctx }: FlushDeps, error: unknown): IntakeResult {
  const refusal = refusalOf(error)
  if (refusal) return { outcome: 'refused', ...refusal }
  if (error instanceof AppError) {
    return error.code === 'unavailable'
      ? { outcome: 'later', code: error.code }
      : { outcome: 'refused', code: error.code, where: null }
  }
  ctx.log.error('ingest.store', error)
  return { outcome: 'later', code: 'threw' }
}

export async function openPayload(
  { ctx, store }: Pick<FlushDeps, 'ctx' | 'store'>,
  id: string,
): Promise<Record<string, unknown> | null> {
  try {
    return JSON.parse(await ctx.open(store.sealedOf(id), sealContext(id))) as Record<string, unknown>
  } catch (error) {
    ctx.log.error('ingest.open', error, { id })
    return null
  }
}
