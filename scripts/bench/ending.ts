// Ends everything that the benchmark has started, the latest first, however its own end comes.
import { messageOf, say, warn } from '../stack/say.ts'

const PATIENCE_MS = 20_000

export class Ending {
  readonly #stops: { name: string; stop: () => Promise<void> }[] = []
  readonly #aborting = new AbortController()
  #ended: Promise<void> | undefined

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        // The second one is from somebody who will not wait; npm repeats the terminal's within a moment.
        if (this.#ended && Date.now() - this.#begunAt > 1000) process.exit(130)
        if (!this.#ended) say('\nEnding …')
        void this.end().then(() => process.exit(130))
      })
    }
  }

  #begunAt = 0

  /** Aborted as soon as the end begins. */
  get signal(): AbortSignal {
    return this.#aborting.signal
  }

  add(name: string, stop: () => Promise<void>): void {
    if (this.#ended) void stop()
    else this.#stops.push({ name, stop })
  }

  /** For what must happen even when the process is made to exit at once; it cannot wait for anything. */
  atExit(last: () => void): void {
    process.on('exit', last)
  }

  end(): Promise<void> {
    this.#ended ??= this.#endAll()
    return this.#ended
  }

  async #endAll(): Promise<void> {
    this.#begunAt = Date.now()
    this.#aborting.abort()
    setTimeout(() => process.exit(1), PATIENCE_MS).unref()
    for (const { name, stop } of this.#stops.toReversed()) {
      try {
        await stop()
      } catch (error) {
        warn(`${name} did not end cleanly: ${messageOf(error)}`)
      }
    }
  }
}
