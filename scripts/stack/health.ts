import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from './say.ts'
import { tail } from './supervisor.ts'

const PATIENCE_MS = 30_000

/** The stack is ready when the product says so itself. */
export async function waitUntilHealthy(api: string, dataDir: string): Promise<void> {
  let last = 'no answer'
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
    try {
      const response = await fetch(`${api}/health`, { signal: AbortSignal.timeout(5000) })
      const body = await response.text()
      if (response.status === 200) return
      last = `${response.status} ${body.slice(0, 500)}`
      // It waits for a person to set something, so waiting for it is no use.
      if (body.includes('"not_configured"')) throw new StartError(detailOf(body))
    } catch (error) {
      if (error instanceof StartError) throw error
      // Otherwise it is not listening yet.
    }
    await delay(50)
  }
  throw new StartError(
    `GET /health did not become 200 (${last})${tail(join(dataDir, 'logs', 'worker.log'), 8)}`,
  )
}

function detailOf(problem: string): string {
  try {
    return (JSON.parse(problem) as { detail?: string }).detail ?? problem
  } catch {
    return problem
  }
}
