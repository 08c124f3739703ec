// The real stack, as `npm start` runs it: a child process with ports and a DATA_DIR of its own. Nothing of it is simulated,
// so what a test kills is what an operator would lose.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { type LocalFile, readLocalFile } from '../../scripts/stack/local-file.ts'
import { commandOf, signal, startOf } from '../../scripts/stack/processes.ts'

export const ROOT = join(import.meta.dirname, '..', '..')
const READY_WITHIN_MS = 60_000
const ENDS_WITHIN_MS = 25_000
/** PORT and those that follow from it. */
const OFFSETS = [0, 1, 2, 8, 9]

export type ProcessName = 'workerd' | 'postgres' | 'gateway' | 'emulators'
export type Env = Record<string, string>

export interface Exit {
  code: number | null
  signal: string | null
  /** Everything that it printed. */
  output: string
}

const folders: string[] = []
const stacks: Stack[] = []

/** Whatever a failed test has left behind is ended and removed here. */
afterAll(async () => {
  for (const stack of stacks) await stack.killAll()
  for (const folder of folders) if (!process.env['E2E_KEEP']) rmSync(folder, { recursive: true, force: true })
})

export function newDataDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'inlet-e2e-'))
  folders.push(folder)
  return folder
}

/** Below the range from which the kernel gives ports to connections: nobody takes one while a stack is down. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 1190) * 10
    const free = await Promise.all(OFFSETS.map(async (offset) => await isFree(port + offset)))
    if (free.every(Boolean)) return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The first of the stack's ports that somebody still listens on. */
export async function listening(port: number): Promise<number[]> {
  const ports = OFFSETS.map((offset) => port + offset)
  const free = await Promise.all(ports.map(isFree))
  return ports.filter((_, index) => !free[index])
}

export interface StackOptions {
  dataDir?: string
  port?: number
  env?: Env
  /** Through npm, in a process group of its own, as a terminal does it. */
  npm?: boolean
}

/** Starts and waits until it says that it is ready. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const stack = new Stack(
    options.dataDir ?? newDataDir(),
    options.port ?? (await freePorts()),
    options.env ?? {},
    options.npm ?? false,
  )
  stacks.push(stack)
  await stack.start()
  return stack
}

/** For a start that is expected to fail: how it ended. */
export async function runStart(env: Env): Promise<Exit> {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', 'start.ts')], { cwd: ROOT, env: bare(env) })
  return await exitOf(child, collect(child))
}

/** Nothing of the person's shell reaches the stack, but it still ends with us: `npm_lifecycle_event` makes it watch its parent. */
const bare = (env: Env): Env => ({
  PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env['PATH'] ?? ''}`,
  HOME: process.env['HOME'] ?? ROOT,
  npm_lifecycle_event: 'test',
  ...env,
})

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  return () => text
}

async function exitOf(child: ChildProcess, output: () => string): Promise<Exit> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode, output: output() }
}

export class Stack {
  readonly dataDir: string
  readonly port: number
  readonly env: Env
  readonly #npm: boolean
  #child: ChildProcess | undefined
  #output: () => string = () => ''
  /** From the call to "ready". */
  readyAfterMs = 0

  constructor(dataDir: string, port: number, env: Env, npm: boolean) {
    this.dataDir = dataDir
    this.port = port
    this.env = env
    this.#npm = npm
  }

  get local(): LocalFile {
    const local = readLocalFile(this.dataDir)
    if (!local) throw new Error('the stack has not written local.json')
    return local
  }

  get api(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get output(): string {
    return this.#output()
  }

  /** What start itself runs as; under npm that is not the child. */
  get startPid(): number {
    return this.local.pid
  }

  async start(): Promise<void> {
    const begun = Date.now()
    const env = bare({ ...this.env, PORT: String(this.port), DATA_DIR: this.dataDir })
    const child = this.#npm
      ? spawn('npm', ['start'], { cwd: ROOT, env, detached: true })
      : spawn(process.execPath, [join(ROOT, 'scripts', 'start.ts')], { cwd: ROOT, env })
    this.#child = child
    this.#output = collect(child)
    await until('the stack is ready', () => this.#isReady(child), { withinMs: READY_WITHIN_MS, everyMs: 50 })
    this.readyAfterMs = Date.now() - begun
  }

  #isReady(child: ChildProcess): boolean {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the start ended with ${child.signalCode ?? child.exitCode}:\n${this.output}`)
    }
    return this.output.includes('Inlet is ready')
  }

  /** As Ctrl-C does; under npm it reaches the whole group, as from a terminal. */
  async interrupt(): Promise<Exit> {
    const child = this.#child
    if (!child?.pid) throw new Error('it was not started')
    process.kill(this.#npm ? -child.pid : child.pid, 'SIGINT')
    const ended = await Promise.race([exitOf(child, this.#output), delay(ENDS_WITHIN_MS, undefined)])
    if (!ended) throw new Error(`Ctrl-C did not end it:\n${this.output}`)
    return ended
  }

  /** The processes that start has noted, itself not among them. */
  processes(): { name: string; pid: number }[] {
    const file = join(this.dataDir, 'processes.json')
    if (!existsSync(file)) return []
    return JSON.parse(readFileSync(file, 'utf8')) as { name: string; pid: number }[]
  }

  /** Those of them that live. */
  alive(): string[] {
    return this.processes().flatMap(({ name, pid }) => (startOf(pid) === undefined ? [] : [name]))
  }

  pidOf(name: ProcessName): number | undefined {
    return this.processes().find((known) => known.name === name && startOf(known.pid) !== undefined)?.pid
  }

  /** kill -9 of one of its processes; start is meant to bring it back. */
  kill(name: ProcessName): number {
    const pid = this.pidOf(name)
    if (pid === undefined) throw new Error(`there is no ${name} to kill:\n${this.output}`)
    signal(pid, 'SIGKILL')
    return pid
  }

  /** kill -9 of start alone: what it has started stays behind, as after a crash of it. */
  async killStart(): Promise<void> {
    signal(this.startPid, 'SIGKILL')
    if (this.#child) await exitOf(this.#child, this.#output)
  }

  /** kill -9 of everything, start first, so that it cannot bring anything back. */
  async killAll(): Promise<void> {
    const child = this.#child
    if (child?.pid && child.exitCode === null && child.signalCode === null) {
      if (this.#npm) signal(-child.pid, 'SIGKILL')
      signal(child.pid, 'SIGKILL')
      await exitOf(child, this.#output)
    }
    const left = this.processes()
    for (const { pid } of left) signal(pid, 'SIGKILL')
    await until('the killed processes are gone', () => left.every(({ pid }) => startOf(pid) === undefined))
  }

  async restart(): Promise<void> {
    await this.start()
  }

  /** Commands of this machine that still speak of our folder. */
  leftovers(): string[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .map((name) => commandOf(Number(name)))
      .filter((command) => command.includes(this.dataDir))
  }
}

/** Polls a truth until it holds; what is undefined or false does not hold. Says what was missing when time is up. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { withinMs = 20_000, everyMs = 100, last = () => '' as unknown } = {},
): Promise<T> {
  for (const end = Date.now() + withinMs; ; await delay(everyMs)) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end)
      throw new Error(`${what}: not within ${withinMs} ms ${JSON.stringify(last()) ?? ''}`)
  }
}
