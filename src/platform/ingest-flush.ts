// Which buffer an item goes to, and how all buffers are emptied.
import { close } from './breaker'
import type { Ctx } from './context'
import { bufferName, type FlushReport, type SealedItem, SHARDS, UNROUTED } from './ingest-buffer'

interface Traffic {
  second: number
  count: number
  last: number
}

interface Used {
  /** Puts of each base name in this and in the last second. */
  traffic: Map<string, Traffic>
  /** Buffers that this isolate has put to since all were flushed. */
  names: Set<string>
}

// By configuration: an isolate has one, and each test's world its own.
const isolates = new WeakMap<object, Used>()
const MAX_REMEMBERED = 10_000

function usedBy(ctx: Ctx): Used {
  const known = isolates.get(ctx.config)
  if (known) return known
  const made: Used = { traffic: new Map(), names: new Set() }
  isolates.set(ctx.config, made)
  return made
}

/** One object an organization; above the configured rate the items are spread by their id. */
export function nameFor(ctx: Ctx, { id, destination }: Pick<SealedItem, 'id' | 'destination'>): string {
  const base = 'org_id' in destination ? destination.org_id : UNROUTED
  const above = ctx.config.INGEST_SHARD_ABOVE_PER_SECOND
  return bufferName(base, above > 0 && rateOf(ctx, base) > above ? shardOf(id) : 0)
}

function rateOf(ctx: Ctx, base: string): number {
  const { traffic } = usedBy(ctx)
  const second = Math.floor(ctx.clock.now().getTime() / 1000)
  const before = traffic.get(base)
  const now: Traffic =
    before?.second === second
      ? { ...before, count: before.count + 1 }
      : { second, count: 1, last: before?.second === second - 1 ? before.count : 0 }
  if (traffic.size >= MAX_REMEMBERED) traffic.clear()
  traffic.set(base, now)
  return Math.max(now.count, now.last)
}

/** FNV-1a: the same item goes to the same shard from every isolate. */
function shardOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % SHARDS
}

export function noteUsed(ctx: Ctx, name: string): void {
  const { names } = usedBy(ctx)
  if (names.size < MAX_REMEMBERED) names.add(name)
}

export interface FlushSummary {
  buffers: number
  stored: number
  known: number
  dead: number
  waiting: number
  /** Buffers that could not be reached. */
  unreachable: number
}

// The platform allows six connections at a time per invocation.
const CONCURRENCY = 6

/** Those that this isolate has put to first, then all others that hold anything. */
export async function flushAll(ctx: Ctx): Promise<FlushSummary> {
  const { names } = usedBy(ctx)
  const summary: FlushSummary = { buffers: 0, stored: 0, known: 0, dead: 0, waiting: 0, unreachable: 0 }
  const ours = [...names]
  names.clear()
  await flushEach(ctx, ours, summary)
  const busy = await ctx.directory.busyBuffers()
  await flushEach(
    ctx,
    busy.filter((name) => !ours.includes(name)),
    summary,
  )
  // Whoever asked for this, tick or person, has found out more than a probe does.
  if (summary.stored + summary.known > 0) close(ctx)
  return summary
}

async function flushEach(ctx: Ctx, names: string[], summary: FlushSummary): Promise<void> {
  await eachOf(names, async (name) => {
    summary.buffers++
    const report = await ctx
      .ingest(name)
      .flush(ctx.clock.now())
      .catch((error: unknown): FlushReport | null => {
        ctx.log.error('ingest.unreachable', error, { buffer: name })
        return null
      })
    if (!report) {
      summary.unreachable++
      return
    }
    for (const key of ['stored', 'known', 'dead', 'waiting'] as const) summary[key] += report[key]
  })
}

export async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, left.length) }, worker))
}

/** Every buffer that may hold anything: what the directory knows, and what this isolate has just put to. */
export async function knownBuffers(ctx: Ctx): Promise<string[]> {
  return [...new Set([...(await ctx.directory.busyBuffers()), ...usedBy(ctx).names])]
}
