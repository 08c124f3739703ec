// Part 4b: from the start of workerd to the first answer, next to a Worker that does nothing.
import { get } from 'node:http'
import { join } from 'node:path'
import type { WorkerBundle } from '../stack/bundle.ts'
import { takeSnapshot, treeMs } from './machine.ts'
import type { BenchRegistry } from './scratch.ts'
import { type Spread, spreadOf } from './statistics.ts'
import { startWorkerd } from './workerd.ts'

export const START_UP_GOAL_MS = 150
/** Answers 200 and needs neither a token nor the database. */
const TRIVIAL_ROUTE = '/health/providers'

const TIMES = 5

export interface StartUp {
  name: string
  milliseconds: Spread
  cpu: Spread | null
}

export interface StartUpOptions {
  dir: string
  bundle: WorkerBundle
  env: Record<string, string>
  assetsDir: string
  registry: BenchRegistry
  signal: AbortSignal
}

export async function measureStartUp(options: StartUpOptions): Promise<StartUp[]> {
  const measured = { product: [] as Start[], empty: [] as Start[] }
  for (let i = 0; i < TIMES; i++) {
    for (const kind of ['product', 'empty'] as const) {
      options.signal.throwIfAborted()
      measured[kind].push(await startOnce(options, kind, i))
    }
  }
  return [
    summary(`the product, GET ${TRIVIAL_ROUTE}`, measured.product),
    summary('an empty Worker', measured.empty),
  ]
}

interface Start {
  ms: number
  cpu: number | null
}

async function startOnce(options: StartUpOptions, kind: 'product' | 'empty', i: number): Promise<Start> {
  const { bundle, env, assetsDir, registry } = options
  const dir = join(options.dir, `${kind}-${i}`)
  const begun = performance.now()
  const workerd = await startWorkerd({
    dir,
    bundle: kind === 'empty' ? 'empty' : bundle,
    env,
    assetsDir,
    registry,
  })
  try {
    await firstAnswer(workerd.port)
    const ms = performance.now() - begun
    const snapshot = takeSnapshot()
    return { ms, cpu: snapshot ? treeMs(snapshot, workerd.pid) : null }
  } finally {
    await workerd.stop()
  }
}

/** Not `fetch`: its first use costs more than an empty Worker. */
function firstAnswer(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port, path: TRIVIAL_ROUTE, agent: false, timeout: 10_000 },
      (response) => {
        response.resume()
        if (response.statusCode === 200) response.once('end', resolve)
        else reject(new Error(`GET ${TRIVIAL_ROUTE} answered ${response.statusCode} after the start`))
      },
    )
    request.once('error', reject)
  })
}

function summary(name: string, starts: Start[]): StartUp {
  const cpu = starts.map((start) => start.cpu).filter((ms) => ms !== null)
  return {
    name,
    milliseconds: spreadOf(starts.map(({ ms }) => ms)),
    cpu: cpu.length > 0 ? spreadOf(cpu) : null,
  }
}
