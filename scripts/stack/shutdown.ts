// Ends the stack once, in order, however the end comes: Ctrl-C, a failure, or npm going away.
import { parentOf, type ProcessRegistry } from './processes.ts'
import { dim, messageOf, red, say } from './say.ts'

/** Who depends on whom: the Worker goes before what it talks to. */
const ORDER = ['watcher', 'ticker', 'worker', 'emulators', 'gateway', 'postgres'] as const
type Part = (typeof ORDER)[number]

const PATIENCE_MS = 20_000

export class Shutdown {
  registry: ProcessRegistry | undefined
  readonly #parts = new Map<Part, () => Promise<void>>()
  readonly #aborting = new AbortController()
  #last: () => void = () => undefined

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => this.#onSignal(name))
    this.#watchParent()
  }

  /** Aborted as soon as the end begins. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  add(part: Part, stop: () => Promise<void>): void {
    // The end may have begun while this was starting.
    if (this.signal.aborted) void stop()
    else this.#parts.set(part, stop)
  }

  last(release: () => void): void {
    this.#last = release
  }

  fail(error: Error): void {
    if (!this.signal.aborted) process.stderr.write(`${red('Inlet cannot run:')} ${error.message}\n`)
    void this.#end(1)
  }

  #onSignal(name: NodeJS.Signals): void {
    if (this.signal.aborted) {
      // npm passes on a Ctrl-C that the terminal has sent to all: the second one within a moment is the same one.
      if (Date.now() - this.#begunAt > 1000) this.#exit(1)
      return
    }
    if (name === 'SIGINT') say()
    say(dim('Ending …'))
    void this.#end(0)
  }

  #begunAt = 0

  async #end(code: number): Promise<void> {
    if (this.signal.aborted) return
    this.#begunAt = Date.now()
    this.#aborting.abort()
    setTimeout(() => this.#exit(1), PATIENCE_MS).unref()
    for (const part of ORDER) {
      try {
        await this.#parts.get(part)?.()
      } catch (error) {
        process.stderr.write(`${part} did not end cleanly: ${messageOf(error)}\n`)
      }
    }
    this.#exit(code)
  }

  #exit(code: number): void {
    // What was only just starting has nobody else to end it.
    this.registry?.killAll()
    this.#last()
    process.exit(code)
  }

  /** Under npm, its death is our end too: nobody could reach us with a Ctrl-C any more. A shell may stand between. */
  #watchParent(): void {
    if (!process.env['npm_lifecycle_event']) return
    const ancestors = () => `${process.ppid} ${parentOf(process.ppid)}`
    const atStart = ancestors()
    setInterval(() => {
      if (ancestors() !== atStart) this.#onSignal('SIGTERM')
    }, 1000).unref()
  }
}
