// The built Worker: exactly what `wrangler deploy` would upload, kept under a hash of what it was made from, so that
// the next start needs no build.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { StartError } from './say.ts'

export interface WorkerBundle {
  dir: string
  /** What wrangler.toml means to Miniflare; plain JSON. */
  options: Record<string, unknown> & { cronTriggers?: string[]; assets?: Record<string, unknown> }
}

const KEPT = 3

export async function buildWorker(root: string, signal?: AbortSignal): Promise<WorkerBundle> {
  const shelf = join(root, 'dist', 'worker')
  const dir = join(shelf, hashOfSources(root))
  if (!existsSync(join(dir, 'options.json'))) {
    const unfinished = `${dir}.${process.pid}`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(unfinished, { recursive: true })
    try {
      await run(join(import.meta.dirname, 'bundle-process.ts'), root, unfinished, signal)
      try {
        renameSync(unfinished, dir)
      } catch (error) {
        // Another start may have put the same bundle there meanwhile.
        if (!existsSync(join(dir, 'options.json'))) throw error
      }
    } finally {
      rmSync(unfinished, { recursive: true, force: true })
    }
    tidy(shelf, dir)
  }
  return {
    dir,
    options: JSON.parse(readFileSync(join(dir, 'options.json'), 'utf8')) as WorkerBundle['options'],
  }
}

function hashOfSources(root: string): string {
  const hash = createHash('sha256')
  const settings = ['wrangler.toml', 'package.json', 'package-lock.json', 'tsconfig.json']
  const sources = globSync(['src/**/*', 'durable-objects/**/*'], { cwd: root })
  for (const name of [...settings, ...sources.toSorted()]) {
    const file = join(root, name)
    if (!existsSync(file) || !statSync(file).isFile() || /\.test\.tsx?$/.test(name)) continue
    hash.update(`${name}\0`).update(readFileSync(file)).update('\0')
  }
  return hash.digest('hex').slice(0, 20)
}

/** wrangler is 250 MB in memory and is needed only here, so it gets a process that ends. */
async function run(script: string, root: string, outDir: string, signal?: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [script, root, outDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that it can be ended together with what it starts.
    detached: true,
    // wrangler says nothing to anybody, and keeps its own logs beside the bundle.
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_LOG: 'error',
      NO_COLOR: '1',
      WRANGLER_LOG_PATH: outDir,
      CI: '1',
    },
  })
  signal?.addEventListener('abort', () => killGroup(child.pid))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new StartError(`the Worker does not build:\n${output.trim()}`)
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function tidy(shelf: string, current: string): void {
  const built = readdirSync(shelf)
    .map((name) => join(shelf, name))
    .filter((dir) => dir !== current && existsSync(join(dir, 'options.json')))
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const dir of built.slice(KEPT - 1)) rmSync(dir, { recursive: true, force: true })
}
