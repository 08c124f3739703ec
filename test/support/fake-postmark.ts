// Postmark's sending API as it answers: its limits, its error codes, and a search that finds a mail only after a while.
import { Buffer } from 'node:buffer'

export const POSTMARK_TOKEN = 'test-only-postmark-token'
export const POSTMARK_BASE = 'https://postmark.test'

interface PostmarkMail {
  MessageID: string
  From: string
  To: string
  ReplyTo: string | undefined
  Subject: string
  TextBody: string
  Tag: string
  Metadata: Record<string, string>
  Headers: { Name: string; Value: string }[]
}

type Mood =
  | 'well'
  /** It has the mail, and nobody hears so. */
  | 'lost_response'
  | 'lost_request'
  | 'throttled'
  | 'down'
  | 'down_but_took_it'
  | 'garbage'
  /** Answers OK and names no mail. */
  | 'nameless'
  | 'redirects'
  | 'elsewhere'
  | { ErrorCode: number; status?: number; Message?: string }

export interface FakePostmark {
  fetch: typeof fetch
  accepted: PostmarkMail[]
  /** How it answers from now on, and how its search does. */
  mood: Mood
  search: 'well' | 'down' | 'throttled' | 'garbage' | 'refused' | 'ignores_the_filter' | 'miscounts'
  /** Mails that the search does not find yet, though they are accepted. */
  lag: number
  inactive: Set<string>
  calls: number
}

const MAX_BYTES = 10 * 1024 * 1024
const ADDRESS = /^(?:"(?:[^"\\\r\n]|\\.)*" <([^<>@\s,]+@[^<>@\s,]+)>|([^<>@\s,"]+@[^<>@\s,]+))$/

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } })
const refuse = (ErrorCode: number, Message: string, status = 422) => json(status, { ErrorCode, Message })

export function createFakePostmark(): FakePostmark {
  const fake: FakePostmark = {
    accepted: [],
    mood: 'well',
    search: 'well',
    lag: 0,
    inactive: new Set(),
    calls: 0,
    fetch: async (input, init) => {
      const request = new Request(input, init)
      const url = new URL(request.url)
      fake.calls += 1
      if (url.origin !== POSTMARK_BASE) throw new TypeError(`Not Postmark: ${url.origin}`)
      if (request.headers.get('Accept') !== 'application/json') return refuse(0, 'Accept', 406)
      if (request.headers.get('X-Postmark-Server-Token') !== POSTMARK_TOKEN)
        return refuse(10, 'Request does not contain a valid Server token.', 401)
      if (request.method === 'GET' && url.pathname === '/messages/outbound')
        return search(fake, url.searchParams)
      if (request.method === 'POST' && url.pathname === '/email') return take(fake, request)
      return new Response('<html>Not Found</html>', { status: 404 })
    },
  }
  return fake
}

async function take(fake: FakePostmark, request: Request): Promise<Response> {
  const text = await request.text()
  const { mood } = fake
  if (mood === 'lost_request') throw new TypeError('Network connection lost.')
  if (mood === 'throttled') return json(429, { ErrorCode: 429, Message: 'Rate limit exceeded' })
  if (mood === 'down') return new Response('<html>502</html>', { status: 502 })
  if (mood === 'redirects')
    return new Response(null, { status: 302, headers: { Location: 'https://evil.test/' } })
  if (mood === 'elsewhere') return new Response('<html>hello</html>', { status: 404 })
  if (typeof mood === 'object') return refuse(mood.ErrorCode, mood.Message ?? 'No.', mood.status)
  const refusal = judge(fake, request, text)
  if (refusal) return refusal
  const MessageID = crypto.randomUUID()
  fake.accepted.push({ ...(JSON.parse(text) as PostmarkMail), MessageID })
  const answer = {
    To: 'hidden',
    SubmittedAt: '2026-11-20T09:30:00.0000000Z',
    MessageID,
    ErrorCode: 0,
    Message: 'OK',
  }
  if (mood === 'lost_response') throw new DOMException('The operation timed out.', 'TimeoutError')
  if (mood === 'down_but_took_it') return new Response('<html>504</html>', { status: 504 })
  if (mood === 'garbage') return new Response(JSON.stringify(answer).slice(0, 40), { status: 200 })
  if (mood === 'nameless') return json(200, { ...answer, MessageID: undefined })
  return json(200, answer)
}

/** What the API's page lists as limits. */
function judge(fake: FakePostmark, request: Request, text: string): Response | null {
  if (!request.headers.get('Content-Type')?.startsWith('application/json'))
    return refuse(409, 'JSON required')
  if (Buffer.byteLength(text) > MAX_BYTES) return refuse(0, 'Too large', 413)
  let mail: Partial<PostmarkMail> & { MessageStream?: string }
  try {
    mail = JSON.parse(text) as typeof mail
  } catch {
    return refuse(402, 'Invalid JSON')
  }
  const { From = '', To = '', Subject = '', TextBody = '', Metadata = {}, Headers = [], MessageStream } = mail
  if (!ADDRESS.test(From)) return refuse(300, `Invalid 'From' address: '${From}'.`)
  const recipients = To.match(/"(?:[^"\\]|\\.)*" <[^>]*>|[^,]+/g) ?? []
  if (recipients.length > 50) return refuse(300, 'Too many recipients')
  for (const one of recipients) {
    const found = ADDRESS.exec(one.trim())
    if (!found) return refuse(300, `Invalid 'To' address: '${one}'.`)
    if (fake.inactive.has(found[1] ?? found[2] ?? ''))
      return refuse(406, 'You tried to send to an inactive recipient.')
  }
  if (/[\r\n]/.test(`${From}${To}${Subject}`)) return refuse(300, 'Line break in a header')
  if (Subject.length > 2000 || TextBody === '') return refuse(300, 'Subject or body')
  if (MessageStream !== 'outbound') return refuse(1235, 'No such stream')
  const pairs = Object.entries(Metadata)
  if (pairs.length > 10 || pairs.some(([name, value]) => name.length > 20 || value.length > 80))
    return refuse(300, 'Invalid metadata content. Field names are limited to 20 characters...')
  if (Headers.some(({ Name, Value }) => !/^[\w-]+$/.test(Name) || /[\r\n]/.test(Value)))
    return refuse(300, 'Invalid header')
  return null
}

function search(fake: FakePostmark, query: URLSearchParams): Response {
  if (fake.search === 'down') return new Response('<html>503</html>', { status: 503 })
  if (fake.search === 'throttled') return json(429, { ErrorCode: 429, Message: 'Rate limit exceeded' })
  if (fake.search === 'garbage') return new Response('{"TotalCount":', { status: 200 })
  if (fake.search === 'refused') return refuse(10, 'Request does not contain a valid Server token.', 401)
  const count = Number(query.get('count') ?? Number.NaN)
  const offset = Number(query.get('offset') ?? Number.NaN)
  if (!(count >= 1 && count <= 500) || !(offset >= 0)) return refuse(300, 'count and offset are required')
  const indexed = fake.accepted.slice(0, Math.max(0, fake.accepted.length - fake.lag))
  const wanted = [...query].filter(([name]) => name.startsWith('metadata_'))
  const found = indexed.filter(
    ({ Metadata }) =>
      fake.search === 'ignores_the_filter' ||
      wanted.every(([name, value]) => Metadata[name.slice('metadata_'.length)] === value),
  )
  const Messages = found.slice(offset, offset + count).map(({ MessageID, Tag, Metadata, Subject, From }) => ({
    MessageID,
    Tag,
    Metadata,
    Subject,
    From,
    Status: 'Sent',
  }))
  return json(
    200,
    fake.search === 'miscounts' ? { TotalCount: 1, Messages: [] } : { TotalCount: found.length, Messages },
  )
}
