// An OpenAI-compatible endpoint as it answers: the key, the strict-schema rules, the pace, and every way to be of no use.
const AI_KEY = 'test-only-ai-key'
export const AI_SETTINGS = {
  AI_PROVIDER: 'openai',
  OPENAI_API_KEY: AI_KEY,
  OPENAI_BASE_URL: 'http://ai.test/v1',
  OPENAI_MODEL: 'test-model',
}

export type AiMood =
  | 'well'
  | 'throttled'
  | 'out_of_quota'
  | 'down'
  | 'silent'
  | 'cut_off'
  | 'invalid_json'
  | 'half_json'
  | 'other_shape'
  | 'refusal'
  | 'filtered'
  | 'too_long_for_its_tokens'
  | 'empty'
  | 'no_choices'
  | 'endless'
  | 'huge'
  | 'redirect'

export interface FakeAi {
  fetch: typeof fetch
  /** What it was asked, in order. */
  asked: { system: string; user: string; model: string }[]
  /** What it writes when it is well: the object of the design's §7. */
  answer: Record<string, unknown>
  /** Its mood, call by call; the last one stays. */
  moods: AiMood[]
  /** Runs while the caller waits for the answer. */
  meanwhile: (() => Promise<void>) | null
}

export const AI_RETRY_AFTER_SECONDS = 21

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } })
const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  json(status, { error: { message: `fake: ${code}`, type: code, param: null, code } }, headers)

const completion = (message: Record<string, unknown>, finish_reason = 'stop') =>
  json(200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'test-model',
    choices: [
      { index: 0, finish_reason, logprobs: null, message: { role: 'assistant', refusal: null, ...message } },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  })

interface ChatRequest {
  model?: string
  messages?: { role: string; content: string }[]
  response_format?: { json_schema?: { strict?: boolean; schema?: StrictSchema } }
  tools?: unknown
}
interface StrictSchema {
  additionalProperties?: boolean
  required?: string[]
  properties?: Record<string, unknown>
}

export function createFakeAi(): FakeAi {
  const ai: FakeAi = {
    asked: [],
    moods: ['well'],
    meanwhile: null,
    answer: {
      reply_text:
        'Hello Ada,\n\nThank you for asking. A colleague will write back to you.\n\nKind regards\nTest',
      confidence: 0.92,
      needs_human: false,
      reason: 'A clear question.',
      intent: 'pricing',
      category: 'inquiry',
      price_guidance: null,
    },
    fetch: async (input, init) => {
      const request = new Request(input, init)
      const url = new URL(request.url)
      if (
        request.method !== 'POST' ||
        `${url.origin}${url.pathname}` !== 'http://ai.test/v1/chat/completions'
      )
        return problem(404, 'unknown_url')
      if (request.headers.get('Authorization') !== `Bearer ${AI_KEY}`) return problem(401, 'invalid_api_key')
      const body = (await request.json().catch(() => null)) as ChatRequest | null
      const [system, user] = body?.messages ?? []
      if (!body?.model || system?.role !== 'system' || user?.role !== 'user')
        return problem(400, 'invalid_request_error')
      const schema = body.response_format?.json_schema?.schema
      const names = Object.keys(schema?.properties ?? {}).toSorted()
      if (
        schema &&
        (schema.additionalProperties !== false || names.join() !== (schema.required ?? []).toSorted().join())
      )
        return problem(400, 'invalid_json_schema')
      if (body.tools !== undefined) return problem(400, 'no_tools_wanted')
      ai.asked.push({ system: system.content, user: user.content, model: body.model })
      await ai.meanwhile?.()
      const mood = (ai.moods.length > 1 ? ai.moods.shift() : ai.moods[0]) ?? 'well'
      return answer(ai, mood)
    },
  }
  return ai
}

function answer(ai: FakeAi, mood: AiMood): Response {
  const content = JSON.stringify(ai.answer)
  switch (mood) {
    case 'well':
      return completion({ content })
    case 'throttled':
      return problem(429, 'rate_limit_exceeded', { 'Retry-After': String(AI_RETRY_AFTER_SECONDS) })
    case 'out_of_quota':
      return problem(429, 'insufficient_quota')
    case 'down':
      return new Response('<html>Bad Gateway</html>', { status: 502 })
    case 'silent':
      throw new DOMException('The operation timed out.', 'TimeoutError')
    case 'cut_off':
      throw new TypeError('Network connection lost.')
    case 'invalid_json':
      return new Response('{"choices": [', { status: 200, headers: { 'Content-Type': 'application/json' } })
    case 'half_json':
      return completion({ content: content.slice(0, 40) })
    case 'other_shape':
      return completion({ content: '{"answer":"yes"}' })
    case 'refusal':
      return completion({ content: null, refusal: 'I cannot help with that.' })
    case 'filtered':
      return completion({ content: '' }, 'content_filter')
    case 'too_long_for_its_tokens':
      return completion({ content: content.slice(0, 40) }, 'length')
    case 'empty':
      return completion({ content: '' })
    case 'no_choices':
      return json(200, { id: 'chatcmpl-1', object: 'chat.completion', choices: [] })
    case 'endless':
      return completion({ content: JSON.stringify({ ...ai.answer, reply_text: 'word '.repeat(12_000) }) })
    case 'huge':
      return completion({ content: 'x'.repeat(1024 * 1024) })
    case 'redirect':
      return new Response(null, { status: 307, headers: { Location: 'http://elsewhere.test/' } })
  }
}
