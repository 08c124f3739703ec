// Who runs on this DATA_DIR. A start that was killed hard leaves workerd and Postgres behind, so every pid is
// written down, together with what tells a process from a later one that was given the same number.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { writeFileAtomically } from './files.ts'
import { StartError } from './say.ts'

interface Recorded {
  name: string
  pid: number
  started: string
}

/** When the process began, in the words of this machine; undefined when there is none or only a zombie. */
export function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // The name, in parentheses, may itself hold spaces and parentheses.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19]}`
    }
    const text = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return text === '' || text.startsWith('Z') ? undefined : text.replace(/^\S+\s+/, '')
  } catch {
    return undefined
  }
}

/** Only where it costs nothing to ask. */
export function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

export function commandOf(pid: number): string {
  try {
    if (process.platform === 'linux')
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
  } catch {
    return ''
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended in the meantime.
  }
}

/** Asks, waits, then insists. `started` keeps us from hurting a process that came by the number later. */
export async function endProcess(
  pid: number,
  { started = startOf(pid), first = 'SIGTERM' as NodeJS.Signals, graceMs = 3000 } = {},
): Promise<void> {
  const isAlive = () => started !== undefined && startOf(pid) === started
  if (!isAlive()) return
  signal(pid, first)
  for (let waited = 0; waited < graceMs && isAlive(); waited += 20) await delay(20)
  if (isAlive()) signal(pid, 'SIGKILL')
  for (let waited = 0; waited < 5000 && isAlive(); waited += 20) await delay(20)
}

export class ProcessRegistry {
  readonly #file: string
  #recorded: Recorded[] = []

  constructor(dataDir: string) {
    this.#file = join(dataDir, 'processes.json')
    if (!existsSync(this.#file)) return
    try {
      this.#recorded = JSON.parse(readFileSync(this.#file, 'utf8')) as Recorded[]
    } catch {
      this.#recorded = []
    }
  }

  add(name: string, pid: number): void {
    const started = startOf(pid)
    if (started === undefined) return
    this.#recorded = [...this.#recorded.filter((known) => known.pid !== pid), { name, pid, started }]
    this.#write()
  }

  remove(pid: number): void {
    this.#recorded = this.#recorded.filter((known) => known.pid !== pid)
    this.#write()
  }

  /** Ends what an earlier run left; returns the names of what was still there. */
  async endLeftovers(): Promise<string[]> {
    const left = this.#recorded.filter(({ pid, started }) => startOf(pid) === started)
    await Promise.all(
      left.map(({ name, pid, started }) =>
        // SIGINT is Postgres's fast shutdown: SIGTERM would wait for its clients.
        endProcess(pid, { started, first: name === 'postgres' ? 'SIGINT' : 'SIGKILL', graceMs: 8000 }),
      ),
    )
    this.#recorded = []
    this.#write()
    return left.map(({ name }) => name)
  }

  /** The last resort of a shutdown that hangs or is asked for twice. */
  killAll(): void {
    for (const { pid, started } of this.#recorded) if (startOf(pid) === started) signal(pid, 'SIGKILL')
  }

  #write(): void {
    if (this.#recorded.length === 0) rmSync(this.#file, { force: true })
    else writeFileAtomically(this.#file, `${JSON.stringify(this.#recorded, null, 2)}\n`)
  }
}

/** One start at a time. A lock of SQLite is a lock of the kernel: it goes with the process, however that ends. */
export function lockDataDir(dataDir: string): { release: () => void } {
  const holder = join(dataDir, 'start.json')
  const lock = new DatabaseSync(join(dataDir, 'start.lock'))
  try {
    lock.exec('pragma locking_mode = exclusive; begin exclusive')
  } catch {
    lock.close()
    let by = ''
    try {
      by = ` (process ${(JSON.parse(readFileSync(holder, 'utf8')) as { pid: number }).pid})`
    } catch {
      // It has not said who it is yet.
    }
    throw new StartError(
      `another start${by} is running on DATA_DIR ${dataDir}; stop it first, or give another DATA_DIR`,
    )
  }
  writeFileAtomically(holder, `${JSON.stringify({ pid: process.pid })}\n`)
  return {
    release: () => {
      rmSync(holder, { force: true })
      lock.close()
    },
  }
}
