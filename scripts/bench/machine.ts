// CPU time of process trees. Only Linux tells it cheaply; elsewhere everything here is undefined.
import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts in ticks of 10 ms whatever the kernel's own timer does. */
const TICK_MS = 10

interface Usage {
  parent: number
  /** With that of its ended children. */
  ms: number
}

export interface CpuSnapshot {
  processes: Map<number, Usage>
  /** Of the whole machine, all cores. */
  busyMs: number
  totalMs: number
}

const ATTEMPTS = 5

export function takeSnapshot(): CpuSnapshot | undefined {
  if (process.platform !== 'linux') return undefined
  const processes = new Map<number, Usage>()
  for (let attempt = 1; !readAll(processes) && attempt < ATTEMPTS; attempt++) processes.clear()
  const fields = readFileSync('/proc/stat', 'utf8').split('\n')[0]?.split(/\s+/).slice(1, 9).map(Number) ?? []
  const total = fields.reduce((sum, ticks) => sum + ticks, 0)
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0)
  return { processes, busyMs: (total - idle) * TICK_MS, totalMs: total * TICK_MS }
}

/** False when a process ended meanwhile: what it had used may then be counted nowhere. */
function readAll(processes: Map<number, Usage>): boolean {
  let complete = true
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const usage = readUsage(name)
    if (usage) processes.set(Number(name), usage)
    else complete = false
  }
  return complete
}

function readUsage(pid: string): Usage | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { parent: Number(fields[1]), ms: ticks * TICK_MS }
  } catch {
    // It ended while we were reading.
    return undefined
  }
}

export function treeMs({ processes }: CpuSnapshot, root: number): number {
  const children = new Map<number, number[]>()
  for (const [pid, { parent }] of processes) children.set(parent, [...(children.get(parent) ?? []), pid])
  let sum = 0
  const waiting = [root]
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    sum += processes.get(pid)?.ms ?? 0
    waiting.push(...(children.get(pid) ?? []))
  }
  return sum
}

export function cpuBetween(
  before: CpuSnapshot | undefined,
  after: CpuSnapshot | undefined,
  root: number,
): number | undefined {
  return before && after ? treeMs(after, root) - treeMs(before, root) : undefined
}

/** The share of the machine that went to processes outside of this tree. */
export function foreignShare(
  before: CpuSnapshot | undefined,
  after: CpuSnapshot | undefined,
  root: number,
): number | undefined {
  if (!before || !after || after.totalMs === before.totalMs) return undefined
  const own = treeMs(after, root) - treeMs(before, root)
  return Math.max(0, (after.busyMs - before.busyMs - own) / (after.totalMs - before.totalMs))
}
