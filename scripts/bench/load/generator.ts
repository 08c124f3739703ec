import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { endProcess } from '../../stack/processes.ts'
import type { LoadJob, LoadResult } from './job.ts'

export class LoadGenerator {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'process.ts'), {
      // Out of the terminal's group: Ctrl-C is ours to handle, in order.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async run(job: LoadJob): Promise<LoadResult> {
    const ended = once(this.#child, 'exit').then(() => {
      throw new Error('The load generator ended')
    })
    this.#child.send(job)
    const answer = once(this.#child, 'message') as Promise<[{ result?: LoadResult; error?: string }]>
    const [{ result, error }] = await Promise.race([answer, ended])
    if (!result) throw new Error(`The load generator failed: ${error}`)
    return result
  }

  async stop(): Promise<void> {
    if (this.#child.pid !== undefined && this.#child.exitCode === null) await endProcess(this.#child.pid)
  }
}
