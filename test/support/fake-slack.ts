// Slack's incoming webhooks as they answer: plain text, `ok` or an error's name, and a limit on the pace.
export interface FakeSlack {
  fetch: typeof fetch
  /** Texts that were posted, by webhook. */
  posted: { url: string; text: string }[]
  /** How it answers from now on. */
  mood: 'well' | 'throttled' | 'down' | 'silent' | 'drops'
  gone: 'no_service' | 'channel_not_found' | 'channel_is_archived' | null
}

export const RETRY_AFTER_SECONDS = 17

const text = (status: number, body: string, headers: Record<string, string> = {}) =>
  new Response(body, { status, headers })

export function createFakeSlack(): FakeSlack {
  const slack: FakeSlack = {
    posted: [],
    mood: 'well',
    gone: null,
    fetch: async (input, init) => {
      const request = new Request(input, init)
      if (slack.mood === 'silent') throw new DOMException('The operation timed out.', 'TimeoutError')
      if (slack.mood === 'down') return text(503, '<html>Service Unavailable</html>')
      if (slack.mood === 'throttled')
        return text(429, 'rate_limited', { 'Retry-After': String(RETRY_AFTER_SECONDS) })
      if (slack.gone !== null) return text(slack.gone === 'channel_is_archived' ? 410 : 404, slack.gone)
      if (request.method !== 'POST' || !/\/services\/T\w+\/B\w+\/\w+$/.test(new URL(request.url).pathname))
        return text(404, 'no_service')
      if (!request.headers.get('Content-Type')?.startsWith('application/json'))
        return text(400, 'invalid_payload')
      const body = (await request.json().catch(() => null)) as { text?: unknown } | null
      if (body === null || typeof body !== 'object') return text(400, 'invalid_payload')
      if (typeof body.text !== 'string' || body.text === '') return text(400, 'no_text')
      slack.posted.push({ url: request.url, text: body.text })
      // It has the message, but nobody hears so.
      if (slack.mood === 'drops') throw new TypeError('Network connection lost.')
      return text(200, 'ok')
    },
  }
  return slack
}
