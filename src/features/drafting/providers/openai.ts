// Any endpoint that speaks OpenAI's chat completions. The package is imported on first use: it is 120 KiB that most requests
// never need. It never retries by itself, and its calls go through our own HTTP client, so limits hold and tests can stand in.
import type { ChatCompletion } from 'openai/resources/chat/completions'
import { fail, type Result, succeed } from '#kernel/failure'
import type { Config } from '#platform/config'
import type { HttpClient } from '#platform/http-client'
import { buildPrompt } from '../policy/prompt'
import {
  ANSWER_TIMEOUT_MS,
  type DraftInput,
  type DraftOutput,
  type DraftProvider,
  draftOutput,
  MAX_OUTPUT_BYTES,
} from './contract'

/** The answer's envelope around the text. */
const MAX_ANSWER_BYTES = 4 * MAX_OUTPUT_BYTES
const MAX_TOKENS = 4000

const answerSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['reply_text', 'confidence', 'needs_human', 'reason', 'intent', 'category', 'price_guidance'],
  properties: {
    reply_text: { type: 'string' },
    confidence: { type: 'number' },
    needs_human: { type: 'boolean' },
    reason: { type: 'string' },
    intent: { type: 'string' },
    category: { type: 'string', enum: ['inquiry', 'other', 'spam', 'unsafe'] },
    price_guidance: { type: ['string', 'null'] },
  },
}

export const openai: DraftProvider = {
  name: 'openai',
  isConfigured: (config) => config.OPENAI_API_KEY !== undefined,
  model: (config) => config.OPENAI_MODEL,
  draft: async (ctx, input) => {
    const answer = await complete(ctx.config, ctx.http, input)
    return answer.ok ? readAnswer(answer.value) : answer
  },
}

async function complete(
  config: Config,
  http: HttpClient,
  input: DraftInput,
): Promise<Result<ChatCompletion>> {
  const { OpenAI } = await import('openai')
  const outside = outsideWorld(http)
  const client = new OpenAI({
    apiKey: config.OPENAI_API_KEY ?? '',
    baseURL: config.OPENAI_BASE_URL,
    maxRetries: 0,
    // Ours ends first: it knows why.
    timeout: 2 * ANSWER_TIMEOUT_MS,
    logLevel: 'off',
    fetch: outside.fetch,
    organization: null,
    project: null,
  })
  const { system, user } = buildPrompt(input)
  try {
    return succeed(
      await client.chat.completions.create({
        model: config.OPENAI_MODEL,
        messages: [
          { role: 'system', content: system },
          { role: 'user', content: user },
        ],
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'draft', strict: true, schema: answerSchema },
        },
        max_completion_tokens: MAX_TOKENS,
      }),
    )
  } catch (error) {
    return outside.failure() ?? asFailure(error)
  }
}

/** The package's `fetch`. It keeps why there was no answer: the package only knows that there was none. */
function outsideWorld(http: HttpClient) {
  let failed: Result<never> | null = null
  return {
    failure: () => failed,
    fetch: async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
      const headers = Object.fromEntries(new Headers(init?.headers).entries())
      const result = await http.request(url instanceof Request ? url.url : String(url), {
        method: init?.method ?? 'POST',
        headers,
        ...(typeof init?.body === 'string' ? { body: init.body } : {}),
        timeout_ms: ANSWER_TIMEOUT_MS,
        max_bytes: MAX_ANSWER_BYTES,
      })
      if (result.ok)
        return new Response(result.value.text, {
          status: result.value.status,
          headers: shown(result.value.headers),
        })
      failed =
        result.failure.code === 'answer_too_large'
          ? nonsense('The AI answered with more text than any reply has.')
          : { ok: false, failure: { ...result.failure, message: 'The AI did not answer in time.' } }
      throw new Error(result.failure.code)
    },
  }
}

/** The body is decoded already, so headers that describe the wire would be wrong. */
function shown(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    ['Content-Type', 'Retry-After'].flatMap((name) => {
      const value = headers.get(name)
      return value === null ? [] : [[name, value] as const]
    }),
  )
}

function asFailure(error: unknown): Result<never> {
  const { status, headers } = error as { status?: unknown; headers?: unknown }
  if (status === 401 || status === 403) return fail('auth', 'ai_unauthorized', 'The AI refused our key.')
  if (status === 429)
    return fail('rate_limited', 'ai_rate_limited', 'The AI is over its rate or quota.', retryAfter(headers))
  if (typeof status === 'number' && (status >= 500 || status === 408 || status === 409))
    return fail('transient', 'ai_unavailable', `The AI answered with status ${status}.`)
  if (typeof status === 'number')
    return fail('permanent', 'ai_refused', `The AI refused the request with status ${status}.`)
  // What is no HTTP answer at all was a 200 that nobody can read.
  return nonsense('The AI gave an answer that cannot be read.')
}

function retryAfter(headers: unknown): number | undefined {
  if (!(headers instanceof Headers)) return undefined
  const seconds = Number(headers.get('Retry-After') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

function readAnswer(completion: ChatCompletion): Result<DraftOutput> {
  const choice = completion.choices?.[0]
  const content = choice?.message?.content
  if (choice?.message?.refusal) return nonsense('The AI declined to answer.')
  if (choice?.finish_reason === 'length') return nonsense('The AI did not come to an end.')
  if (choice?.finish_reason === 'content_filter') return nonsense("The AI's own filter held the answer back.")
  if (typeof content !== 'string' || content.trim() === '') return nonsense('The AI gave an empty answer.')
  if (new TextEncoder().encode(content).byteLength > MAX_OUTPUT_BYTES)
    return nonsense('The AI answered with more text than any reply has.')
  const parsed = draftOutput.safeParse(parseJson(content))
  if (!parsed.success) return nonsense('The AI gave an answer of another shape.')
  const wanted = parsed.data.category === 'inquiry' || parsed.data.category === 'other'
  if (wanted && parsed.data.reply_text === '') return nonsense('The AI wrote no reply.')
  return succeed(parsed.data)
}

/** Some models put their JSON into a fence although they were told not to. */
function parseJson(content: string): unknown {
  const bare = content
    .trim()
    .replace(/^```(?:json)?\s*/i, '')
    .replace(/\s*```$/, '')
  try {
    return JSON.parse(bare)
  } catch {
    return null
  }
}

function nonsense(message: string) {
  return fail('permanent', 'ai_nonsense', message)
}
