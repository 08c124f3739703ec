import { domainOf, normalizeEmail } from '#kernel/email-address'
import { AppError } from '#kernel/errors'
import type { Destination } from '#kernel/intake'
import type { Ctx } from '#platform/context'
import { derivedUuid, sha256Hex, toBase64Url } from '#platform/crypto'
import { accept, type Intake, keep } from '#platform/intake'
import { REPLY_LOCAL_PART } from '#platform/reply-address'
import type { ReceivedMail } from '../schema'
import type { ParsedMail } from './parse-message'
import type { MailFacts, RoutedMail } from './routed-mail'
import { toPayload } from './store-inbound'
import { MAIL_KIND, storeRouted, type UnreadMail, UNROUTED } from './store-routed'

// The parser is loaded with the first mail: it is a third of the code, and most isolates answer requests.
const reading = () => import('./routed-mail')
const readingPostmark = () => import('./read-postmark')

export type RoutedMessage = Pick<ForwardableEmailMessage, 'from' | 'to' | 'raw' | 'rawSize' | 'setReject'>

/** Cloudflare takes no larger ones. */
const MAX_RAW = 25 * 1024 * 1024
/** Of a mail that cannot be read: kept whole up to here. */
const MAX_KEPT_RAW = 1_000_000
const KEPT_HEAD = 65_536

/**
 * A mail that Cloudflare Email Routing hands over, in the SMTP conversation with its sender's server: when this returns, the mail
 * is ours. A throw answers a temporary error and the server comes again ("worker exceptions will result in a temporary smtp
 * error back to the client": Email Routing's team in cloudflare/cloudflare-docs pull request 12591); `setReject` is for good.
 */
export async function receiveEmail(ctx: Ctx, message: RoutedMessage): Promise<void> {
  const { INBOUND_EMAIL_DOMAIN: domain } = ctx.config
  const to = normalizeEmail(message.to)
  if (to === null || (domain !== undefined && domainOf(to) !== domain.toLowerCase()))
    return reject(ctx, message, 'wrong_domain', 'This address takes no mail')
  const raw = message.rawSize > MAX_RAW ? null : await readAll(message.raw)
  if (raw === null) return reject(ctx, message, 'too_large', 'The message is larger than 25 MB')

  const received_at = ctx.clock.now()
  const facts: MailFacts = {
    recipients: { envelope: [to], headers: [] },
    return_path: message.from.replace(/^\s*<?|>?\s*$/g, ''),
    fallback_id: `raw:${await sha256Hex(raw)}`,
    // An address of ours that once named a send, and that something has spoilt.
    ask_sender: to.startsWith(`${REPLY_LOCAL_PART}+`),
  }
  const { readRaw } = await reading()
  const parsed = await readRaw(raw)
  if (typeof parsed === 'string') return keepUnread(ctx, raw, facts, received_at, parsed)
  const status = await receiveMail(ctx, parsed, facts, received_at, false)
  if (status === 'unknown')
    return reject(ctx, message, 'unknown_recipient', 'There is nobody of this name here')
  ctx.log.info('mail.routed', { status })
}

/** What Postmark posts of a mail. Once by the mail, however often it is posted. */
export async function receivePostmark(
  ctx: Ctx,
  body: ReadableStream<Uint8Array> | null,
): Promise<ReceivedMail> {
  const { readPostmark } = await readingPostmark()
  const post = await readPostmark(body)
  if (post === null) return { status: 'ignored' }
  const status = await receiveMail(ctx, post.parsed, post.facts, ctx.clock.now(), true)
  // Kept for a person: Postmark has taken the mail from its sender, who would never hear of it.
  return { status: status === 'unknown' ? 'unrouted' : status }
}

type Outcome = Exclude<ReceivedMail['status'], 'ignored'> | 'unknown'

async function receiveMail(
  ctx: Ctx,
  parsed: ParsedMail,
  facts: MailFacts,
  received_at: Date,
  keep_unknown: boolean,
): Promise<Outcome> {
  const { toRouted } = await reading()
  const mail = await toRouted(ctx, parsed, { ...facts, received_at })
  const toKeep = () => toIntake(ctx, mail, received_at)
  try {
    const accepted = await accept(ctx, (limited) => storeRouted(limited, mail.input), toKeep)
    if (accepted.outcome !== 'stored') return 'queued'
    switch (accepted.value.outcome) {
      case 'created':
        return 'received'
      case 'unknown_organization':
        // An answer to a mail of ours, whose row may be gone, is nobody's to refuse.
        if (!keep_unknown && mail.send_id === null) return 'unknown'
        await keep(ctx, await toKeep(), { code: 'unknown_organization', where: null })
        return 'unrouted'
      case 'duplicate':
      case 'own_send':
      case 'ignored':
        return 'duplicate'
      case 'key_reused':
      case 'unauthenticated':
      case 'origin_refused':
      case 'rate_limited':
        throw new TypeError(`A mail is not ${accepted.value.outcome}`)
    }
  } catch (error) {
    // Its sender could do nothing about it, and would come again with the same.
    if (!(error instanceof AppError) || error.code !== 'invalid') throw error
    await keep(ctx, await toKeep(), { code: 'invalid', where: null })
    return 'queued'
  }
}

async function toIntake(ctx: Ctx, { input, send_id }: RoutedMail, received_at: Date): Promise<Intake> {
  const { provider_message_id } = input.message
  const [slug] = input.route.slugs ?? []
  const destination: Destination = send_id !== null ? { send_id } : slug !== undefined ? { slug } : UNROUTED
  return {
    kind: MAIL_KIND,
    destination,
    // The same mail to two organizations is two items.
    id: await derivedUuid(`mail:${JSON.stringify([provider_message_id, destination])}`),
    received_at,
    request_hash: '',
    payload: toPayload(ctx, input),
  }
}

/** For the operator to see, and for a later version to read. Its sender did nothing wrong, as far as anybody can tell. */
async function keepUnread(
  ctx: Ctx,
  raw: Uint8Array,
  facts: MailFacts,
  received_at: Date,
  reason: string,
): Promise<void> {
  const whole = raw.length <= MAX_KEPT_RAW
  const payload: UnreadMail = { facts, raw: toBase64Url(whole ? raw : raw.subarray(0, KEPT_HEAD)), whole }
  const id = await derivedUuid(`unread:${JSON.stringify([facts.fallback_id, facts.recipients.envelope])}`)
  const item = {
    kind: MAIL_KIND,
    destination: UNROUTED,
    id,
    received_at,
    request_hash: '',
    payload: { ...payload },
  }
  await keep(ctx, item, { code: `mail_${reason}`, where: null })
  ctx.log.warn('mail.unread', { reason })
}

function reject(ctx: Ctx, message: RoutedMessage, reason: string, words: string): void {
  ctx.log.info('mail.rejected', { reason })
  message.setReject(words)
}

/** `null`: longer than it said. */
async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > MAX_RAW) return null
    chunks.push(chunk)
  }
  const raw = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    raw.set(chunk, at)
    at += chunk.length
  }
  return raw
}
