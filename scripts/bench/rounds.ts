// Paired rounds: each runs all variants once, in another order, and is compared only with itself. Machines drift and are
// shared; what two variants of the same half minute have to do with each other stays.
import { setTimeout as delay } from 'node:timers/promises'
import type { LoadGenerator } from './load/generator.ts'
import type { LoadJob, LoadResult } from './load/job.ts'
import { cpuBetween, foreignShare, takeSnapshot } from './machine.ts'
import { shuffled, type Spread, spreadOf } from './statistics.ts'

/** The database's side of a closed connection ends a little later. */
const SETTLE_MS = 60

export interface Variant {
  name: string
  concurrency: number
  job: LoadJob
  /** Roots of the process trees that serve it. */
  pids: { [K in keyof CpuPerRequest]: number | null }
}

export interface CpuPerRequest {
  server: number
  gateway: number
  postgres: number
}

/** One variant in one round. */
export interface Window extends LoadResult {
  variant: string
  round: number
  rate: number
  /** In milliseconds; null where the machine does not tell. */
  cpu: CpuPerRequest | null
  /** How much of the machine went to strangers meanwhile. */
  foreign: number | null
}

export interface RoundsOptions {
  rounds: number
  generator: LoadGenerator
  signal: AbortSignal
  onRound: (round: number) => void
}

export async function runRounds(variants: Variant[], options: RoundsOptions): Promise<Window[]> {
  const windows: Window[] = []
  for (let round = 1; round <= options.rounds; round++) {
    options.onRound(round)
    for (const variant of shuffled(variants)) {
      options.signal.throwIfAborted()
      windows.push({ round, ...(await measure(variant, options.generator)) })
    }
  }
  return windows
}

async function measure(variant: Variant, generator: LoadGenerator): Promise<Omit<Window, 'round'>> {
  const { server, gateway, postgres } = variant.pids
  const before = takeSnapshot()
  const result = await generator.run(variant.job)
  await delay(SETTLE_MS)
  const after = takeSnapshot()
  const spent = (pid: number | null) =>
    pid === null ? 0 : (cpuBetween(before, after, pid) ?? 0) / Math.max(1, result.requests)
  return {
    ...result,
    variant: variant.name,
    rate: result.requests / result.seconds,
    cpu: before ? { server: spent(server), gateway: spent(gateway), postgres: spent(postgres) } : null,
    foreign: foreignShare(before, after, process.pid) ?? null,
  }
}

export const totalCpu = ({ server, gateway, postgres }: CpuPerRequest) => server + gateway + postgres

/** What `one` is in terms of `other`, round by round. */
export function ratioOf(
  windows: readonly Window[],
  one: string,
  other: string,
  value: (window: Window) => number | null,
): Spread | null {
  const byRound = (name: string) =>
    new Map(windows.filter(({ variant }) => variant === name).map((window) => [window.round, window]))
  const others = byRound(other)
  const ratios = [...byRound(one)].flatMap(([round, window]) => {
    const against = others.get(round)
    const above = value(window)
    const below = against ? value(against) : null
    return above === null || below === null || below === 0 ? [] : [above / below]
  })
  return ratios.length > 0 ? spreadOf(ratios) : null
}
