import { type ChildProcess, fork } from 'node:child_process'
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

  run(job: LoadJob): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const onExit = () => {
        this.#child.off('message', onMessage)
        reject(new Error('The load generator ended'))
      }
      const onMessage = ({ result, error }: { result?: LoadResult; error?: string }) => {
        this.#child.off('exit', onExit)
        if (result) resolve(result)
        else reject(new Error(`The load generator failed: ${error}`))
      }
      this.#child.once('exit', onExit)
      this.#child.once('message', onMessage)
      this.#child.send(job)
    })
  }

  async stop(): Promise<void> {
    if (this.#child.pid !== undefined && this.#child.exitCode === null) await endProcess(this.#child.pid)
  }
}
