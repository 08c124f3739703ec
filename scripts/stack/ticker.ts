// Fires the crons of wrangler.toml when they are due; neither workerd nor Miniflare does that by itself.
import { isDue } from './cron.ts'
import { messageOf, warn } from './say.ts'

export interface Ticker {
  stop: () => void
}

const MINUTE_MS = 60_000
const LONGEST_TICK_MS = 15 * MINUTE_MS

export function startTicker(apiUrl: string, crons: string[]): Ticker {
  const running = new Set<string>()
  const ending = new AbortController()
  let timer: NodeJS.Timeout | undefined

  async function fire(cron: string, minute: number): Promise<void> {
    // Never two of the same cron: a slow one makes the next one fall out, as a sweep catches up anyway.
    if (running.has(cron)) return
    running.add(cron)
    try {
      const query = new URLSearchParams({ cron, time: String(minute) })
      const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(LONGEST_TICK_MS)])
      const response = await fetch(`${apiUrl}/cdn-cgi/local/scheduled?${query.toString()}`, { signal })
      await response.arrayBuffer()
      if (!response.ok) warn(`the tick of "${cron}" was answered with ${response.status}`)
    } catch (error) {
      if (!ending.signal.aborted) warn(`the tick of "${cron}" failed: ${messageOf(error)}`)
    } finally {
      running.delete(cron)
    }
  }

  function schedule(after: number): void {
    const next = Math.floor(after / MINUTE_MS) * MINUTE_MS + MINUTE_MS
    timer = setTimeout(() => {
      const now = Date.now()
      // Timers may come a little early; a sleeping laptop wakes up late and goes on with the current minute.
      if (now < next) {
        schedule(after)
        return
      }
      const minute = Math.floor(now / MINUTE_MS) * MINUTE_MS
      for (const cron of crons) if (isDue(cron, new Date(minute))) void fire(cron, minute)
      schedule(minute)
    }, next - Date.now())
  }

  schedule(Date.now())
  return {
    stop: () => {
      clearTimeout(timer)
      ending.abort()
    },
  }
}
