// What is told of the windows: one row for each variant, one for each ratio between two.
import { type CpuPerRequest, ratioOf, totalCpu, type Variant, type Window } from './rounds.ts'
import { median, type Spread } from './statistics.ts'

export interface VariantRow {
  name: string
  concurrency: number
  rate: Spread
  p50: number
  p99: number
  /** Server and gateway are null where neither takes part. */
  cpu: { [K in keyof CpuPerRequest]: number | null } | null
  errors: number
}

export type Goal = { min: number } | { max: number }

export interface RatioRow {
  name: string
  concurrency: number
  value: Spread | null
  /** Of the CPU time that a request costs; null where it is not what is compared. */
  cpu: Spread | null
  goal: Goal | null
}

export interface Compared {
  name: string
  /** Variants. */
  one: string
  other: string
  concurrency: number
  goal: Goal | null
}

export function rowOf(
  title: string,
  { name, concurrency, pids }: Variant,
  windows: readonly Window[],
): VariantRow {
  const mine = windows.filter(({ variant }) => variant === name)
  const rates = mine.map(({ rate }) => rate)
  const part = (key: keyof CpuPerRequest) =>
    pids[key] === null ? null : median(mine.map(({ cpu }) => cpu?.[key] ?? Number.NaN))
  return {
    name: title,
    concurrency,
    rate: { median: median(rates), min: Math.min(...rates), max: Math.max(...rates) },
    p50: median(mine.map(({ p50 }) => p50)),
    p99: median(mine.map(({ p99 }) => p99)),
    cpu: mine[0]?.cpu
      ? { server: part('server'), gateway: part('gateway'), postgres: part('postgres') }
      : null,
    errors: mine.reduce((sum, { errors }) => sum + errors, 0),
  }
}

export function rateRatio(
  windows: readonly Window[],
  { name, one, other, concurrency, goal }: Compared,
): RatioRow {
  return {
    name,
    concurrency,
    value: ratioOf(windows, one, other, ({ rate }) => rate),
    cpu: ratioOf(windows, one, other, ({ cpu }) => (cpu === null ? null : totalCpu(cpu))),
    goal,
  }
}

export function p99Ratio(
  windows: readonly Window[],
  { name, one, other, concurrency, goal }: Compared,
): RatioRow {
  return { name, concurrency, value: ratioOf(windows, one, other, ({ p99 }) => p99), cpu: null, goal }
}

/** How much of the machine strangers had in the median window. */
export function foreignIn(windows: readonly Window[]): number | null {
  const known = windows.map(({ foreign }) => foreign).filter((value) => value !== null)
  return known.length > 0 ? median(known) : null
}

export function firstErrorOf(windows: readonly Window[]): string | null {
  return windows.find(({ first_error }) => first_error !== null)?.first_error ?? null
}
