// The ingest buffer, as the operator sees it. Nothing here asks the database for its answer: it works while that is down.
import { recordAudit } from '#features/audit'
import { systemDb } from '#db/system'
import { AppError, notFound } from '#kernel/errors'
import type { BufferState, Destination } from '#kernel/intake'
import { type Cursor, toPage } from '#kernel/page'
import { breakerState } from '#platform/breaker'
import type { Ctx } from '#platform/context'
import { type BufferedItem, type BufferStats, organizationOf, type Repair } from '#platform/ingest-buffer'
import { eachOf, flushAll, type FlushSummary, knownBuffers } from '#platform/ingest-flush'
import { type Check, judgeIngest } from '../policy'

export interface QueueStats {
  depth: number
  oldest_age_seconds: number
  dead: number
  attempts: number
  bytes: number
  buffers: number
  /** Buffers that did not answer: what they hold is not counted. */
  unreachable: number
  breaker: 'closed' | 'open' | 'probing'
}

export async function readQueueStats(ctx: Ctx): Promise<QueueStats> {
  const { answers, unreachable } = await askAll(ctx, (name) => ctx.ingest(name).stats())
  const stats = answers.map(({ answer }) => answer)
  const sum = (of: (one: BufferStats) => number) => stats.reduce((total, one) => total + of(one), 0)
  const oldest = stats.flatMap(({ oldest_received_at: at }) => (at === null ? [] : [at.getTime()]))
  const age_ms = oldest.length === 0 ? 0 : ctx.clock.now().getTime() - Math.min(...oldest)
  return {
    depth: sum(({ depth }) => depth),
    oldest_age_seconds: Math.max(0, Math.floor(age_ms / 1000)),
    dead: sum(({ dead }) => dead),
    attempts: Math.max(0, ...stats.map(({ attempts }) => attempts)),
    bytes: sum(({ bytes }) => bytes),
    buffers: stats.length,
    unreachable,
    breaker: breakerState(ctx),
  }
}

export async function checkIngest(ctx: Ctx): Promise<Check> {
  const started = performance.now()
  const stats = await readQueueStats(ctx).catch((error: unknown) => {
    ctx.log.error('operations.ingest', error)
    return null
  })
  return judgeIngest(stats, Math.round(performance.now() - started))
}

export async function flushQueue(ctx: Ctx): Promise<FlushSummary> {
  const summary = await flushAll(ctx).catch(() => {
    throw unreachableNow()
  })
  ctx.log.info('operator.queue_flush', { ...summary })
  return summary
}

/** Removes what is in that state while it is as much as was confirmed; a buffer that has changed since is left alone. */
export async function clearQueue(ctx: Ctx, state: BufferState, confirm: number) {
  const { answers, unreachable } = await askAll(ctx, (name) => ctx.ingest(name).stats())
  const counts = answers.map(({ name, answer }) => ({
    name,
    count: state === 'waiting' ? answer.depth : answer.dead,
  }))
  const total = counts.reduce((sum, { count }) => sum + count, 0)
  if (unreachable > 0) throw unreachableNow()
  if (total !== confirm) {
    throw new AppError('conflict', `There are ${total} of them just now. Confirm that number to remove them.`)
  }
  const first: BufferedItem[] = []
  let removed = 0
  await eachOf(counts, async ({ name, count }) => {
    // No more than can be shown: a call does not carry a million of them.
    const gone = count === 0 ? null : await ctx.ingest(name).clear(state, count, MAX_LISTED)
    if (gone === null) return
    removed += count
    first.push(...gone)
  })
  ctx.log.warn('operator.queue_clear', { state, removed })
  for (const [org_id, items] of Map.groupBy(first, ({ destination }) => orgOf(destination)))
    audit(ctx, org_id, {
      action: 'ingest.cleared',
      entity: 'organization',
      entity_id: org_id ?? '',
      fields: items.slice(0, MAX_LISTED).map(({ id }) => id),
    })
  return {
    removed,
    left: total - removed,
    items: first.slice(0, MAX_LISTED).map(toOut),
  }
}

const MAX_LISTED = 1000

export async function listQueue(ctx: Ctx, state: BufferState | null, limit: number, after: Cursor | null) {
  const { answers, unreachable } = await askAll(ctx, (name) => ctx.ingest(name).list(state, limit + 1, after))
  if (unreachable > 0) throw unreachableNow()
  const rows = answers
    .flatMap(({ answer }) => answer)
    .toSorted(
      (a, b) => b.received_at.getTime() - a.received_at.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0),
    )
  const { data, next_cursor } = toPage(rows, limit, ({ received_at }) => received_at)
  return { data: data.map(toOut), next_cursor }
}

/** Opens one for repair: who looks into a stranger's message is on record. */
export async function readQueueItem(ctx: Ctx, id: string) {
  const { answers, unreachable } = await askAll(ctx, (name) => ctx.ingest(name).read(id))
  const found = answers.find(({ answer }) => answer !== null)?.answer
  if (!found) throw unreachable > 0 ? unreachableNow() : notFound('The item')
  ctx.log.warn('operator.queue_read', { id })
  audit(ctx, orgOf(found.item.destination), {
    action: 'ingest_item.read',
    entity: 'ingest_item',
    entity_id: id,
  })
  const payload = found.payload === null ? null : (JSON.parse(found.payload) as Record<string, unknown>)
  return { ...toOut(found.item), payload }
}

export async function replayQueueItem(ctx: Ctx, id: string, repair: Repair) {
  let missed = 0
  for (const name of await buffersOf(ctx)) {
    const answer = await ctx
      .ingest(name)
      .replay(id, repair, ctx.clock.now())
      .catch((error: unknown) => {
        ctx.log.error('operations.ingest', error, { buffer: name })
        missed++
        return null
      })
    if (answer === null || answer.outcome === 'not_found') continue
    if (answer.outcome === 'unreadable')
      throw new AppError('unprocessable', 'No key that is configured opens this item.')
    ctx.log.warn('operator.queue_replay', { id, outcome: answer.outcome })
    const org_id = (repair.destination && orgOf(repair.destination)) ?? organizationOf(name)
    audit(ctx, org_id, {
      action: 'ingest_item.replayed',
      entity: 'ingest_item',
      entity_id: id,
      fields: Object.keys(repair.patch ?? {}),
    })
    return { id, outcome: answer.outcome, error: 'error' in answer ? answer.error : null }
  }
  throw missed > 0 ? unreachableNow() : notFound('The item')
}

function toOut({ next_at, ...item }: BufferedItem) {
  return { ...item, next_attempt_at: item.state === 'waiting' ? next_at : null }
}

function orgOf(destination: Destination): string | null {
  return 'org_id' in destination ? destination.org_id : null
}

async function buffersOf(ctx: Ctx): Promise<string[]> {
  return knownBuffers(ctx).catch((error: unknown) => {
    ctx.log.error('operations.directory', error)
    throw unreachableNow()
  })
}

async function askAll<T>(ctx: Ctx, ask: (name: string) => Promise<T>) {
  const answers: { name: string; answer: T }[] = []
  let unreachable = 0
  await eachOf(await buffersOf(ctx), async (name) => {
    try {
      answers.push({ name, answer: await ask(name) })
    } catch (error) {
      ctx.log.error('operations.ingest', error, { buffer: name })
      unreachable++
    }
  })
  return { answers, unreachable }
}

function unreachableNow(): AppError {
  return new AppError('unavailable', 'Not every ingest buffer answers just now. Please try again.', {
    retry_after_seconds: 5,
  })
}

/** The log has it in any case; the audit too, where there is an organization and the database answers. */
function audit(
  ctx: Ctx,
  org_id: string | null,
  entry: Omit<Parameters<typeof recordAudit>[1], 'org_id'>,
): void {
  if (org_id === null) return
  const written = systemDb(ctx).batch([recordAudit(ctx, { org_id, ...entry })])
  ctx.waitUntil(
    written.catch((error: unknown) => ctx.log.error('operations.audit', error, { action: entry.action })),
  )
}
