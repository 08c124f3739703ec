// Takes the database away from everything in this isolate: requests, jobs, sweeps and Durable Objects.
import type { World } from './world'

export interface Outage {
  /** How often somebody tried to reach the database. */
  asked: number
}

type How =
  /** Nobody listens. */
  | 'refused'
  /** It takes the request and never answers. */
  | 'silent'
  /** It does what it is asked, and its answer is lost. */
  | 'answer_lost'

export async function withoutDatabase<T>(
  world: World,
  work: (outage: Outage) => Promise<T>,
  how: How = 'refused',
): Promise<T> {
  const real = globalThis.fetch
  const gateway = `${world.ctx().config.NEON_GATEWAY_URL}/sql`
  const outage: Outage = { asked: 0 }
  globalThis.fetch = async (input, init) => {
    if (new Request(input).url !== gateway) return real(input, init)
    outage.asked++
    if (how === 'answer_lost') await (await real(input, init)).arrayBuffer()
    if (how === 'silent') {
      await new Promise((_, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new DOMException('late', 'TimeoutError')))
      })
    }
    throw new TypeError('connection refused')
  }
  try {
    return await work(outage)
  } finally {
    globalThis.fetch = real
  }
}
