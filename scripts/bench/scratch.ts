// The folder that a run lives in, in memory where there is such a place: on a disk, fdatasync drifts threefold within a
// minute. A run that was killed hard is tidied up by the next one.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDataDir, ProcessRegistry } from '../stack/processes.ts'

const MEMORY = '/dev/shm'
const PREFIX = 'inlet-bench-'

export interface Scratch {
  dir: string
  inMemory: boolean
  registry: BenchRegistry
  remove: () => void
}

/** Also knows which process is called what. */
export class BenchRegistry extends ProcessRegistry {
  readonly #pids = new Map<string, number>()

  override add(name: string, pid: number): void {
    super.add(name, pid)
    this.#pids.set(name, pid)
  }

  pidOf(name: string): number {
    return this.#pids.get(name) ?? 0
  }
}

export async function openScratch(): Promise<Scratch> {
  const inMemory = existsSync(MEMORY)
  const base = inMemory ? MEMORY : tmpdir()
  await removeLeftovers(base)
  const dir = join(base, `${PREFIX}${process.pid}`)
  // Postgres may have to run as another user, who has to get in.
  mkdirSync(dir, { mode: 0o755 })
  mkdirSync(join(dir, 'logs'))
  const { release } = lockDataDir(dir)
  return {
    dir,
    inMemory,
    registry: new BenchRegistry(dir),
    remove: () => {
      release()
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

async function removeLeftovers(base: string): Promise<void> {
  for (const name of readdirSync(base)) {
    if (!name.startsWith(PREFIX)) continue
    const dir = join(base, name)
    if (isInUse(dir)) continue
    await new ProcessRegistry(dir).endLeftovers()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The lock goes with the process that holds it, however that ends. */
function isInUse(dir: string): boolean {
  try {
    lockDataDir(dir).release()
    return false
  } catch {
    return true
  }
}
