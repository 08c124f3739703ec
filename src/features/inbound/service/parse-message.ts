// A raw RFC 5322 mail, as Gmail (`format=raw`) and Graph (`/$value`) give it, read into what the rest of the product works with.
// Hostile and broken mail degrades to what can still be read; only what cannot be a mail at all throws, and becomes a dead letter.

import PostalMime, { addressParser, decodeWords, type Email } from 'postal-mime'
import type { MailAttachment, MailHeader, ParsedMail } from '../policy/mail-facts'
import { stripQuoted } from '../policy/quoted-text'
import { isReplyToForeign, readAddresses } from './addresses'
import { cleanLine, cleanText, truncate } from './clean-text'
import { readReport } from './delivery-report'
import { htmlToText } from './html-to-text'
import { capReferences, type MessageId, readIds, readMessageId } from './message-id'
import { restoreSize, slimRaw } from './slim-raw'

export type { ParsedMail } from '../policy/mail-facts'

export class UnparsableMail extends Error {
  readonly reason: 'empty' | 'too_large' | 'no_headers' | 'broken'
  constructor(reason: UnparsableMail['reason'], options?: ErrorOptions) {
    super(`mail cannot be parsed: ${reason}`, options)
    this.name = 'UnparsableMail'
    this.reason = reason
  }
}

/** Gmail takes 25 MB of files, which base64 makes 34 MB. */
const MAX_RAW = 50_000_000
/** Above this the base64 runs are cut; what is still longer is read up to here. */
const MAX_PARSED = 25_000_000
const MAX_HEAD = 262_144
const MAX_TEXT = 262_144
const MAX_SUBJECT = 998
const MAX_HEADERS = 1000
const MAX_HEADER_VALUE = 8000
const MAX_ATTACHMENTS = 200
const MAX_NESTING = 60

const OPTIONS = {
  // An attached mail is an attachment: inlined, its words would pass for the sender's.
  forceRfc822Attachments: true,
  maxNestingDepth: MAX_NESTING,
  maxHeadersSize: 1_000_000,
}

/** The header block alone, cut to a size that always parses; the body is given up. */
function takeHead(raw: Uint8Array): Uint8Array {
  let end = 0
  while (end < raw.length && end < MAX_HEAD) {
    const lf = raw.indexOf(10, end)
    if (lf < 0) return raw.subarray(0, Math.min(raw.length, MAX_HEAD))
    const empty = lf === end || (lf === end + 1 && raw[end] === 13)
    if (empty && end > 0) break
    end = lf + 1
  }
  return raw.subarray(0, Math.min(end, MAX_HEAD))
}

async function parseAny(raw: Uint8Array): Promise<{ mail: Email; cuts: number[]; degraded: boolean }> {
  const slim = slimRaw(raw)
  const cutOff = slim.too_many_lines || slim.raw.length > MAX_PARSED
  if (!slim.too_many_parts) {
    try {
      const mail = await PostalMime.parse(slim.raw.subarray(0, MAX_PARSED), OPTIONS)
      return { mail, cuts: [...slim.cuts], degraded: cutOff }
    } catch {
      // Nesting or headers beyond the limits: the head still tells who wrote, to whom and about what.
    }
  }
  try {
    return { mail: await PostalMime.parse(takeHead(raw), OPTIONS), cuts: [], degraded: true }
  } catch (error) {
    throw new UnparsableMail('broken', { cause: error })
  }
}

function readHeaders(mail: Email): MailHeader[] {
  return mail.headers.slice(0, MAX_HEADERS).map((header) => ({
    name: cleanLine(header.key, 100),
    value: cleanLine(header.value, MAX_HEADER_VALUE),
  }))
}

function readId(mail: Email): MessageId {
  const values = mail.headers.filter((header) => header.key === 'message-id')
  // Two ids: which one do others thread by? Neither can be trusted.
  if (values.length > 1) return { id: null, malformed: true }
  const raw = mail.headerLines.find((line) => line.key === 'message-id')?.line ?? ''
  return readMessageId(values[0]?.value, raw)
}

function readDate(date: string | undefined): string | null {
  const time = date === undefined ? Number.NaN : Date.parse(date)
  // Before the first mail, or beyond four digits: valid in JavaScript, in no mail, and the year 0 not even in Postgres.
  return time >= 0 && time < Date.UTC(10_000, 0) ? new Date(time).toISOString() : null
}

/** A text part that only asks for another program stands for no text. */
function isPlaceholder(text: string): boolean {
  const short = text.trim()
  return (
    short === '' ||
    (short.length < 250 && /\bhtml\b|view (?:this|the) (?:e-?mail|message) (?:in|online)/i.test(short))
  )
}

function squeeze(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

function readText(mail: Email): { text: string; hidden_text: string; truncated: boolean } {
  const plain = cleanText(mail.text ?? '')
  if (mail.html === undefined) return { text: plain, hidden_text: '', truncated: false }
  const html = htmlToText(cleanText(mail.html))
  // Where a mail mixes parts, the parser's own conversion of the HTML ones would bring the hidden text back in.
  const leaks =
    html.hidden_text !== '' && squeeze(plain.slice(0, MAX_TEXT)).includes(html.hidden_text.slice(0, 200))
  const usePlain = mail.text !== undefined && !leaks && (!isPlaceholder(plain) || html.text.trim() === '')
  return { text: usePlain ? plain : html.text, hidden_text: html.hidden_text, truncated: html.truncated }
}

function readAttachments(mail: Email, cuts: number[]): MailAttachment[] {
  return mail.attachments.slice(0, MAX_ATTACHMENTS).map((part) => ({
    filename: cleanLine(part.filename ?? '', 255),
    mime_type: cleanLine(part.mimeType, 127) || 'application/octet-stream',
    size: restoreSize(typeof part.content === 'string' ? part.content.length : part.content.byteLength, cuts),
  }))
}

function readValues(headers: readonly MailHeader[], name: string): string[] {
  return headers.filter((header) => header.name === name).map((header) => header.value)
}

export async function parseMessage(raw: Uint8Array): Promise<ParsedMail> {
  if (raw.length === 0) throw new UnparsableMail('empty')
  if (raw.length > MAX_RAW) throw new UnparsableMail('too_large')
  const { mail, cuts, degraded } = await parseAny(raw)
  if (!mail.headers.some((header) => header.value !== '')) throw new UnparsableMail('no_headers')
  return readParsed(mail, cuts, degraded)
}

/** Also for a mail that somebody else has taken apart, put into the parser's form. */
export function readParsed(mail: Email, cuts: number[], degraded: boolean): ParsedMail {
  const headers = readHeaders(mail)
  const id = readId(mail)
  const body = readText(mail)
  const text = truncate(body.text.replace(/\r\n?/g, '\n').trimEnd(), MAX_TEXT)
  // All of them: "Byron, Ada <ada@buyer.test>" without quotes reads as two, of which only the second is an address.
  const claimed = readValues(headers, 'from')
  const senders = readAddresses(addressParser(claimed.join(', ')))
  const [from = null] = senders
  const [sender = null] = readAddresses(mail.sender && [mail.sender])
  const reply_to = readAddresses(mail.replyTo)
  const to = readAddresses(mail.to)
  const subject = cleanLine(mail.subject ?? decodeWords(readValues(headers, 'subject')[0] ?? ''), MAX_SUBJECT)
  const in_reply_to = readIds(readValues(headers, 'in-reply-to').join(' '))[0] ?? null
  return {
    message_id: id.id,
    message_id_malformed: id.malformed,
    in_reply_to,
    references: capReferences(
      readIds(
        mail.headers
          .filter((header) => header.key === 'references')
          .map((header) => header.value)
          .join(' '),
      ),
    ),
    from,
    senders: Math.max(senders.length, claimed.length),
    sender,
    reply_to,
    reply_to_foreign: isReplyToForeign(from, reply_to),
    to,
    cc: readAddresses(mail.cc),
    bcc: readAddresses(mail.bcc),
    subject,
    sent_at: readDate(mail.date),
    text,
    stripped_text: stripQuoted(text),
    hidden_text: truncate(body.hidden_text, 65_536),
    attachments: readAttachments(mail, cuts),
    authentication_results: readValues(headers, 'authentication-results').slice(0, 50),
    headers,
    report: readReport({
      content_type: readValues(headers, 'content-type')[0] ?? '',
      headers,
      from,
      to,
      subject,
      text,
      in_reply_to,
      attachments: mail.attachments,
    }),
    truncated: degraded || body.truncated || body.text.length > MAX_TEXT,
  }
}
