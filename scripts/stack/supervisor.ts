// Starts a process, tells when it is ready, and starts it again when it dies while the stack is meant to run.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { endProcess, type ProcessRegistry } from './processes.ts'
import { messageOf, StartError, warn } from './say.ts'

export interface Supervisor {
  registry: ProcessRegistry
  /** Called when something cannot be kept alive: the whole stack ends, with this message. */
  giveUp: (message: string) => void
}

export interface Kept {
  readonly pid: number
  stop: () => Promise<void>
}

export interface KeepOptions {
  name: string
  logFile: string
  spawn: (log: number) => ChildProcess
  /** Resolves once the process serves; it is raced against the process's end. */
  ready: (child: ChildProcess) => Promise<void>
  stopSignal?: NodeJS.Signals
  /** A first start that fails is tried this often (a database may wait for the last one's children to go). */
  attempts?: number
}

const LOG_ENDS_WITH = '; its log ends with'
const RESTARTS = 5
const WINDOW_MS = 60_000

export async function keepRunning(supervisor: Supervisor, options: KeepOptions): Promise<Kept> {
  const { registry } = supervisor
  let child: ChildProcess
  let stopping = false
  let restarts: number[] = []

  async function launch(): Promise<void> {
    const log = openSync(options.logFile, 'a')
    child = options.spawn(log)
    closeSync(log)
    const launched = child
    const ended = new Promise<never>((_, reject) => {
      launched.once('error', reject)
      launched.once('exit', (code, by) => {
        if (launched.pid) registry.remove(launched.pid)
        reject(new StartError(`${options.name} ended with ${by ?? code}${tail(options.logFile)}`))
      })
    })
    // It is also awaited below; this keeps a later end from being an unhandled rejection.
    ended.catch(() => undefined)
    if (launched.pid) registry.add(options.name, launched.pid)
    try {
      await Promise.race([options.ready(launched), ended])
    } catch (error) {
      if (launched.pid) await endProcess(launched.pid, { first: 'SIGKILL' })
      throw error
    }
    ended.catch((error: unknown) => void revive(error))
  }

  async function revive(reason: unknown): Promise<void> {
    let problem = reason
    while (!stopping) {
      const now = Date.now()
      restarts = [...restarts.filter((at) => at > now - WINDOW_MS), now]
      if (restarts.length > RESTARTS) {
        supervisor.giveUp(`${options.name} keeps ending: ${messageOf(problem)}`)
        return
      }
      await delay(restarts.length * 100)
      // The terminal's Ctrl-C may have reached the child before us: do not call that a crash.
      if (stopping) return
      const [how] = messageOf(problem).split(LOG_ENDS_WITH)
      warn(`${how}; starting ${options.name} again`)
      try {
        await launch()
        return
      } catch (error) {
        problem = error
      }
    }
  }

  for (let attempt = 1; ; attempt++) {
    try {
      await launch()
      break
    } catch (error) {
      if (attempt >= (options.attempts ?? 1)) throw error
      await delay(300)
    }
  }

  return {
    get pid() {
      return child.pid ?? 0
    },
    stop: async () => {
      stopping = true
      if (child.pid && child.exitCode === null && child.signalCode === null) {
        await endProcess(child.pid, { first: options.stopSignal ?? 'SIGTERM' })
      }
    },
  }
}

/** The last lines of a log: what a person needs to see when something does not start. */
export function tail(file: string, lines = 5): string {
  try {
    const text = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n  ')
    return text ? `${LOG_ENDS_WITH}\n  ${text}` : ''
  } catch {
    return ''
  }
}

/**
 * A module of ours in a process of its own. Its configuration goes over the channel, not the command line, which
 * others can read; and the channel's end tells it that we are gone, however we went.
 */
export function keepNode<Config>(
  supervisor: Supervisor,
  options: { name: string; entry: string; logFile: string; config: Config },
): Promise<Kept> {
  return keepRunning(supervisor, {
    name: options.name,
    logFile: options.logFile,
    spawn: (log) =>
      spawn(process.execPath, [options.entry], { stdio: ['ignore', log, log, 'ipc'], detached: true }),
    ready: async (child) => {
      child.send({ config: options.config })
      const [answer] = (await once(child, 'message')) as [{ ready?: true; error?: string }]
      if (answer.error) throw new StartError(answer.error)
    },
  })
}

/** The other end of `keepNode`. */
export function serveParent<Config>(
  start: (config: Config) => Promise<{ close: () => Promise<void> }>,
): void {
  let running: Promise<{ close: () => Promise<void> }> | undefined
  process.on('disconnect', () => process.exit(0))
  process.on('SIGTERM', () => {
    void Promise.resolve(running)
      .then(async (it) => await it?.close())
      .finally(() => process.exit(0))
  })
  process.on('message', (message: { config: Config }) => {
    running = start(message.config)
    running.then(
      () => process.send?.({ ready: true }),
      (error: unknown) => process.send?.({ error: messageOf(error) }, () => process.exit(1)),
    )
  })
}
