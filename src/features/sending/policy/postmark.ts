// Postmark's sending API: what a mail is there, and what its answers mean. Pure.
import { type Failure, type FailureKind, fail } from '#kernel/failure'
import { displayName, headersOf, type OutgoingMail, oneLine } from './outgoing-mail'

/** A whole request, RFC 8259 bytes. */
export const MAX_REQUEST_BYTES = 10 * 1024 * 1024

export function writePostmarkMail(mail: OutgoingMail, org_id: string, sender: string): string {
  const headers = {
    ...(mail.in_reply_to === null ? {} : { 'In-Reply-To': mail.in_reply_to }),
    ...(mail.references.length === 0 ? {} : { References: mail.references.join(' ') }),
    ...headersOf(mail),
  }
  return JSON.stringify({
    From: mailbox(mail.from_name, mail.from_email ?? sender),
    To: mailbox(mail.to_name, mail.to_email),
    ...(mail.reply_to ? { ReplyTo: oneLine(mail.reply_to) } : {}),
    Subject: oneLine(mail.subject),
    TextBody: mail.text,
    MessageStream: 'outbound',
    Tag: mail.kind,
    // By it a mail is found again whose request got no answer, and every report finds its send.
    Metadata: { send_id: mail.id, org_id },
    Headers: Object.entries(headers).map(([Name, Value]) => ({ Name, Value: oneLine(Value) })),
    TrackOpens: false,
    TrackLinks: 'None',
  })
}

/** RFC 5322 `name-addr`: Postmark splits the field at commas outside of quotes, so a name is always quoted. */
function mailbox(name: string | null, address: string): string {
  const shown = displayName(name)
  const bare = oneLine(address)
  return shown === '' ? bare : `"${shown.replace(/["\\]/g, '\\$&')}" <${bare}>`
}

/** As transports tell it of a mail that has left. */
interface PostmarkMessage {
  provider_message_id: string
  provider_thread_id: null
  message_id: string
}

export type PostmarkVerdict =
  | { outcome: 'accepted'; message: PostmarkMessage }
  | { outcome: 'refused' | 'ambiguous'; failure: Failure }

/** What the answer to POST /email proves. Its own message is not kept: it may name an address. */
export function judgePostmarkAnswer(
  status: number,
  text: string,
  retry_after: string | null,
): PostmarkVerdict {
  const { ErrorCode: code, Message: message, MessageID: id } = readAnswer(text)
  if (status === 200 && code === 0 && id !== null) return { outcome: 'accepted', message: messageOf(id) }
  if (status >= 500 || (status === 200 && (code === null || code === 0)))
    return {
      outcome: 'ambiguous',
      failure: fail('transient', 'provider_unavailable', `Postmark answered ${status}.`).failure,
    }
  return { outcome: 'refused', failure: judgeRefusal(status, code, message, retry_after) }
}

/** Also for the search. Nothing has left, whatever it is. */
function judgeRefusal(
  status: number,
  code: number | null,
  message: string,
  retry_after: string | null,
): Failure {
  const refuse = (kind: FailureKind, name: string, what: string): Failure =>
    fail(kind, name, `Postmark ${what} (HTTP ${status}, ErrorCode ${code ?? 'none'}).`).failure
  if (status === 429 || code === 429) {
    const seconds = Number(retry_after ?? Number.NaN)
    const failure = refuse('rate_limited', 'rate_limited', 'asks to slow down')
    return Number.isFinite(seconds) && seconds > 0 ? { ...failure, retry_after_seconds: seconds } : failure
  }
  if (status === 401 || status === 403) return refuse('auth', 'account_refused', 'refuses the server token')
  // No answer of its API: another server stands at POSTMARK_API_BASE.
  if (code === null) return refuse('auth', 'unexpected_answer', 'did not answer as its API does')
  if (code === 406) return refuse('permanent', 'bad_recipient', 'holds the recipient inactive')
  if (accountCodes.includes(code))
    return refuse('auth', 'account_refused', 'refuses the account or the sender')
  if (code === 300 && /\bfrom\b|sender signature/i.test(fieldNamed(message)))
    return refuse('auth', 'sender_refused', 'refuses the sender')
  if (code === 100) return refuse('transient', 'provider_unavailable', 'is under maintenance')
  return refuse('permanent', 'mail_refused', 'refuses the mail')
}

/** Its own words, up to the value that it quotes: a recipient may be called `from`, and holds up nobody else's mail. */
function fieldNamed(message: string): string {
  return message.split(/[:@(]/, 1)[0] ?? ''
}

/** Token, sender signature (400, 401), sending not allowed (405), account pending (412) or suspended (413). */
const accountCodes: readonly number[] = [10, 400, 401, 405, 412, 413]

export type PostmarkSearch =
  | { outcome: 'sent'; message: PostmarkMessage }
  | { outcome: 'not_sent' }
  | { outcome: 'unavailable'; failure: Failure }

/** What a search by `metadata_send_id` proves. A list of other mails proves that the filter was not understood. */
export function judgePostmarkSearch(
  status: number,
  text: string,
  retry_after: string | null,
  send_id: string,
): PostmarkSearch {
  const unavailable = (failure: Failure): PostmarkSearch => ({ outcome: 'unavailable', failure })
  const { ErrorCode: code, Message: message } = readAnswer(text)
  if (status >= 500)
    return unavailable(fail('transient', 'provider_unavailable', `Postmark answered ${status}.`).failure)
  if (status !== 200) return unavailable(judgeRefusal(status, code, message, retry_after))
  const found = readFound(text)
  if (found === null)
    return unavailable(fail('transient', 'unexpected_answer', 'The search cannot be read.').failure)
  const ours = found.find((one) => one.send_id === send_id)
  if (ours) return { outcome: 'sent', message: messageOf(ours.id) }
  if (found.length === 0) return { outcome: 'not_sent' }
  return unavailable(fail('transient', 'unexpected_answer', 'The search found other mails.').failure)
}

/** Postmark gives every mail a Message-ID of its own, made of the id that it answers. */
export function messageOf(id: string): PostmarkMessage {
  return { provider_message_id: id, provider_thread_id: null, message_id: `<${id}@mtasv.net>` }
}

function readFound(text: string): { id: string; send_id: string | null }[] | null {
  const body = parse(text)
  if (!isRecord(body) || typeof body['TotalCount'] !== 'number' || !Array.isArray(body['Messages']))
    return null
  const messages: unknown[] = body['Messages']
  const found: { id: string; send_id: string | null }[] = []
  for (const one of messages) {
    if (!isRecord(one) || typeof one['MessageID'] !== 'string' || !ID.test(one['MessageID'])) return null
    const metadata = one['Metadata']
    const send_id = isRecord(metadata) ? metadata['send_id'] : null
    found.push({ id: one['MessageID'], send_id: typeof send_id === 'string' ? send_id : null })
  }
  // It counts mails that it does not show.
  return found.length === 0 && body['TotalCount'] > 0 ? null : found
}

function readAnswer(text: string): { ErrorCode: number | null; Message: string; MessageID: string | null } {
  const body = parse(text)
  const { ErrorCode, Message, MessageID } = isRecord(body) ? body : {}
  return {
    ErrorCode: typeof ErrorCode === 'number' ? ErrorCode : null,
    Message: typeof Message === 'string' ? Message : '',
    MessageID: typeof MessageID === 'string' && ID.test(MessageID) ? MessageID : null,
  }
}

const ID = /^[\w-]{1,100}$/

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
