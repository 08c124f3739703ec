// Runs the built Worker in workerd, through Miniflare's API: `wrangler dev` would cost 25 times as much a request.
import childProcess, { type ChildProcess, type SpawnOptions } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, type V4MiniflareOptions } from 'miniflare'
import type { WorkerBundle } from './bundle.ts'
import { warn } from './say.ts'
import type { Supervisor } from './supervisor.ts'
import { compactLine } from './worker-logs.ts'

export interface WorkerOptions {
  root: string
  dataDir: string
  port: number
  env: Record<string, string>
  supervisor: Supervisor
  /** A line for the person at the console. */
  show: (line: string) => unknown
}

export interface RunningWorker {
  reload: (bundle: WorkerBundle) => Promise<void>
  stop: () => Promise<void>
}

const CRASHES = 5
const WINDOW_MS = 60_000
const RESTART_MS = 15_000

export async function startWorker(bundle: WorkerBundle, options: WorkerOptions): Promise<RunningWorker> {
  let stopping = false
  let crashes: number[] = []
  let patience: NodeJS.Timeout | undefined
  let current = bundle

  const forget = watchSpawns((child) => {
    options.supervisor.registry.add('workerd', child.pid ?? 0)
    child.once('exit', () => options.supervisor.registry.remove(child.pid ?? 0))
  })

  function onCrash(): void {
    const now = Date.now()
    crashes = [...crashes.filter((at) => at > now - WINDOW_MS), now]
    if (crashes.length > CRASHES) options.supervisor.giveUp('workerd keeps crashing; see logs/worker.log')
    warn('workerd ended unexpectedly; starting it again')
    clearTimeout(patience)
    patience = setTimeout(() => options.supervisor.giveUp('workerd could not be started again'), RESTART_MS)
  }

  /** Miniflare starts a runtime that crashed again, but not one that dies while it does so. */
  async function startAgain(): Promise<void> {
    onCrash()
    try {
      await miniflare.setOptions(settings(current))
      clearTimeout(patience)
    } catch {
      if (!stopping && crashes.length <= CRASHES) await startAgain()
    }
  }

  class QuietLog extends Log {
    override log(message: string): void {
      appendFileSync(join(options.dataDir, 'logs', 'worker.log'), `${message}\n`)
      if (stopping) return
      if (message.includes('runtime crashed unexpectedly')) onCrash()
      else if (message.includes('failed to restart after an unexpected crash')) void startAgain()
    }
  }

  const settings = (built: WorkerBundle) =>
    miniflareOptions(built, options, new QuietLog(LogLevel.WARN), () => clearTimeout(patience))
  const miniflare = withoutSignalHandlers(() => new Miniflare(settings(bundle)))
  try {
    await miniflare.ready
  } catch (error) {
    forget()
    throw error
  }
  return {
    reload: async (built) => {
      current = built
      await miniflare.setOptions(settings(built))
    },
    stop: async () => {
      stopping = true
      clearTimeout(patience)
      await miniflare.dispose().catch(() => undefined)
      forget()
    },
  }
}

function miniflareOptions(bundle: WorkerBundle, options: WorkerOptions, log: Log, onRestart: () => void) {
  const { root, dataDir, port, env, show } = options
  const logFile = join(dataDir, 'logs', 'worker.log')
  return convertV4MiniflareOptions({
    host: '127.0.0.1',
    port,
    log,
    logRequests: false,
    // Otherwise it asks the network where we are.
    cf: false,
    telemetry: { enabled: false },
    unsafeTriggerHandlers: true,
    unsafeHandleRuntimeRestart: onRestart,
    resourcePersistencePath: join(dataDir, 'worker'),
    handleStructuredLogs: ({ level, message }) => {
      appendFileSync(logFile, `${message}\n`)
      const line = compactLine(level, message)
      if (line !== undefined) show(line)
    },
    workers: [
      {
        ...bundle.options,
        name: 'inlet',
        rootPath: root,
        modulesRoot: bundle.dir,
        modules: modulesOf(bundle.dir),
        bindings: env,
        assets: { ...bundle.options.assets, directory: join(root, 'dist', 'assets') },
      },
    ],
  } as V4MiniflareOptions)
}

const TYPES: Record<string, string> = {
  js: 'ESModule',
  mjs: 'ESModule',
  wasm: 'CompiledWasm',
  bin: 'Data',
  txt: 'Text',
  html: 'Text',
  sql: 'Text',
}

/** With their contents: a bundle that another start tidied away must not be missed when workerd is started again. */
function modulesOf(dir: string): { type: string; path: string; contents: string | Uint8Array }[] {
  const modules = readdirSync(dir, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const type = TYPES[name.split('.').at(-1) ?? '']
    if (!type) return []
    const path = join(dir, name)
    const bytes = readFileSync(path)
    const isBinary = type === 'CompiledWasm' || type === 'Data'
    return [{ type, path, contents: isBinary ? new Uint8Array(bytes) : bytes.toString('utf8') }]
  })
  // The first one is the entry.
  return modules.toSorted(
    (a, b) => Number(b.path === join(dir, 'index.js')) - Number(a.path === join(dir, 'index.js')),
  )
}

/** Miniflare ends the process at once on Ctrl-C, before the rest of the stack could be ended. */
function withoutSignalHandlers<T>(create: () => T): T {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const before = signals.map((name) => process.listeners(name))
  const created = create()
  for (const [index, name] of signals.entries()) {
    for (const listener of process.listeners(name)) {
      if (!before[index]?.includes(listener)) process.off(name, listener)
    }
  }
  return created
}

/**
 * Miniflare tells nobody the pid of workerd, and starts it anew by itself when it crashes. We note each one the moment
 * it exists, and keep it out of the terminal's group: Ctrl-C is ours to handle, in order.
 */
function watchSpawns(onWorkerd: (child: ChildProcess) => void): () => void {
  const original = childProcess.spawn
  const watching = (file: string, args: string[], options: SpawnOptions): ChildProcess => {
    if (!/workerd/.test(file)) return original(file, args, options)
    const child = original(file, args, { ...options, detached: true })
    onWorkerd(child)
    return child
  }
  childProcess.spawn = watching as typeof childProcess.spawn
  return () => {
    childProcess.spawn = original
  }
}
