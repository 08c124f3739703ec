// Turnstile's siteverify as it answers: a token works once, for 300 seconds, and again only under the same idempotency_key.
export interface FakeTurnstile {
  fetch: typeof fetch
  secret: string
  /** A token as the widget would hand it out now. */
  issue(options?: { hostname?: string; action?: string }): string
  /** How it answers from now on. */
  mood: 'well' | 'down' | 'silent' | 'garbage' | 'internal-error'
  /** The forms that it was sent. */
  asked: Record<string, string>[]
}

const MAX_TOKEN = 2048
const LIVES_MS = 300_000
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

export function createFakeTurnstile(secret: string, clock: { now(): Date }): FakeTurnstile {
  const issued = new Map<
    string,
    { at: number; hostname: string; action: string; spent_for?: string | null }
  >()
  const no = (...codes: string[]) => Response.json({ success: false, 'error-codes': codes, messages: [] })
  const turnstile: FakeTurnstile = {
    secret,
    mood: 'well',
    asked: [],
    issue: ({ hostname = 'inlet.test', action = 'lead' } = {}) => {
      const token = `0.${crypto.randomUUID()}${'x'.repeat(400)}`
      issued.set(token, { at: clock.now().getTime(), hostname, action })
      return token
    },
    fetch: async (input, init) => {
      const request = new Request(input, init)
      if (turnstile.mood === 'silent') throw new DOMException('The operation timed out.', 'TimeoutError')
      if (turnstile.mood === 'down') return new Response('<html>502</html>', { status: 502 })
      if (turnstile.mood === 'garbage') return new Response('<!doctype html><p>Attention required')
      if (request.method !== 'POST') return new Response('', { status: 405 })
      const given = Object.fromEntries(new URLSearchParams(await request.text()))
      turnstile.asked.push(given)
      if (turnstile.mood === 'internal-error') return no('internal-error')
      const { secret: shown = '', response: token = '', idempotency_key: key = null } = given
      if (shown === '') return no('missing-input-secret')
      if (shown !== secret) return no('invalid-input-secret')
      if (token === '') return no('missing-input-response')
      if (key !== null && !UUID.test(key)) return no('bad-request')
      const known = issued.get(token)
      if (token.length > MAX_TOKEN || known === undefined) return no('invalid-input-response')
      if (known.spent_for !== undefined && (key === null || known.spent_for !== key))
        return no('timeout-or-duplicate')
      if (clock.now().getTime() - known.at > LIVES_MS) return no('timeout-or-duplicate')
      known.spent_for = key
      return Response.json({
        success: true,
        'error-codes': [],
        challenge_ts: new Date(known.at).toISOString(),
        hostname: known.hostname,
        action: known.action,
        cdata: '',
      })
    },
  }
  return turnstile
}
