// What a bounce says about the mail that did not arrive: from the DSN parts (RFC 3464) where there are any, else from its words.
// Of real bounces about half carry a usable Final-Recipient, but four of five the original Message-ID.

import type { Attachment } from 'postal-mime'
import type { DeliveryReport, MailAddress, MailHeader } from '../policy/mail-facts'
import { readEmail } from './addresses'
import { cleanLine } from './clean-text'
import { readIds } from './message-id'

const MAX_PART = 65_536

export interface ReportSource {
  readonly content_type: string
  readonly headers: readonly MailHeader[]
  readonly from: MailAddress | null
  readonly to: readonly MailAddress[]
  readonly subject: string
  readonly text: string
  readonly in_reply_to: string | null
  readonly attachments: readonly Attachment[]
}

function readPart(attachment: Attachment): string {
  if (typeof attachment.content === 'string') return attachment.content.slice(0, MAX_PART)
  const bytes = new Uint8Array(attachment.content)
  return new TextDecoder().decode(bytes.subarray(0, MAX_PART))
}

/** A field of a DSN or of embedded headers, continuation lines joined. */
function readField(text: string, name: string): string | null {
  const match = new RegExp(
    `^[> \\t]{0,10}${name}[ \\t]{0,10}:[ \\t]{0,20}(.{0,2000}(?:\\r?\\n[ \\t]{1,40}\\S.{0,500}){0,20})`,
    'im',
  ).exec(text)
  const value = match?.[1] === undefined ? '' : cleanLine(match[1].replace(/\s+/g, ' '), 1000)
  return value === '' ? null : value
}

/** "rfc822; ann@example.com" and its variants. */
function readRecipient(value: string | null): string | null {
  if (value === null) return null
  const plain = value.includes(';') ? value.slice(value.indexOf(';') + 1) : value
  const address = /[^\s<>,;:"()]{1,128}@[^\s<>,;:"()]{1,255}/.exec(plain)?.[0]
  return address === undefined ? null : readEmail(address)
}

function isDaemon(source: ReportSource): boolean {
  // Some daemons write no valid address: "From: mailer-daemon".
  const raw =
    source.headers
      .find((header) => header.name === 'from')
      ?.value.slice(0, 300)
      .toLowerCase() ?? ''
  const local = (source.from?.email ?? raw).split('@')[0] ?? ''
  if (
    /^(?:mailer-?daemon|mail-?daemon|postmaster|mdaemon|microsoftexchange[0-9a-f]*|bounces?)(?:$|[+._-])/.test(
      local,
    )
  )
    return true
  const has = (name: string, value: RegExp): boolean =>
    source.headers.some((header) => header.name === name && value.test(header.value))
  if (has('x-failed-recipients', /./) || has('return-path', /^<?\s*>?$/)) return true
  return /undeliver|delivery (?:status|fail|problem|error)|returned mail|failure notice|unzustellbar|non remis|mail delivery|delivery report/i.test(
    source.subject,
  )
}

const SMTP_LINE = /(?:^|[^\d.])((?:5\d\d|4\d\d)[ -](?:#?[245]\.\d{1,3}\.\d{1,3})?.{3,300})/m
const REASON = /(?:reason|because|error)[^\n:]{0,20}:[ \t]*([^\n]{3,300})/i
const WORDS =
  /^.{0,200}(?:unknown|no such|not found|does(?: not|n't) (?:exist|have)|invalid|rejected|refused|full|quota|disabled|suspended|blocked|not be delivered|could ?n.t be (?:found|delivered)).{0,200}$/im

/** The part of a bounce that its daemon wrote: above the returned mail. */
function takeNotice(text: string): string {
  const end =
    /^(?:-{2,}.{0,40}(?:original|returned|forwarded|below|copy|headers|body|bounced).{0,60}|bounced e-?mail:|(?:received|return-path|x-originating-ip):.{0,200})$/im.exec(
      text,
    )
  return end === null || end.index < 40 ? text : text.slice(0, end.index)
}

function readWords(
  source: ReportSource,
  text: string,
): Pick<DeliveryReport, 'final_recipient' | 'status' | 'diagnostic'> {
  const notice = takeNotice(text)
  const failed = source.headers.find((header) => header.name === 'x-failed-recipients')?.value ?? null
  const own = new Set([source.from?.email, ...source.to.map((address) => address.email)])
  const named = [...notice.matchAll(/[^\s<>,;:"()[\]]{1,64}@[^\s<>,;:"()[\]]{1,255}/g)]
    .slice(0, 20)
    .map((match) => readEmail(match[0].replace(/\.+$/, '')))
    .find((email) => email !== null && !own.has(email) && !/^(?:postmaster|mailer-daemon)@/.test(email))
  const reason = SMTP_LINE.exec(notice)?.[1] ?? REASON.exec(notice)?.[1] ?? WORDS.exec(notice)?.[0] ?? null
  return {
    final_recipient: readRecipient(failed) ?? named ?? null,
    status: /(?:^|[^\d.])([45]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec(notice)?.[1] ?? null,
    diagnostic: reason === null ? null : cleanLine(reason, 500),
  }
}

/** The report in a mail, or null when it is none. */
export function readReport(source: ReportSource): DeliveryReport | null {
  const status = source.attachments.find((part) =>
    /^message\/(?:global-)?delivery-status$/.test(part.mimeType),
  )
  const isReport =
    /^multipart\/report/i.test(source.content_type) &&
    !/report-type\s*=\s*"?(?:disposition|feedback)/i.test(source.content_type)
  if (status === undefined && !isReport && !isDaemon(source)) return null
  const fields = status === undefined ? '' : readPart(status)
  const original = source.attachments.filter(
    (part) => /^(?:message\/|text\/rfc822-headers|text\/plain)/.test(part.mimeType) && part !== status,
  )
  const text = source.text.slice(0, MAX_PART)
  const words = readWords(source, text)
  const embedded = [...original.slice(0, 5).map(readPart), text, fields].join('\n')
  const id =
    readIds(readField(embedded, 'message-id') ?? '')[0] ??
    readIds(readField(embedded, 'x-original-message-id') ?? '')[0] ??
    source.in_reply_to
  const statusField = readField(fields, 'status')
  const code = /[245]\.\d{1,3}\.\d{1,3}/.exec(statusField ?? '')?.[0] ?? null
  return {
    final_recipient:
      readRecipient(readField(fields, 'original-recipient')) ??
      readRecipient(readField(fields, 'final-recipient')) ??
      words.final_recipient,
    status: code ?? words.status,
    action: readField(fields, 'action')?.toLowerCase().split(/[\s(]/)[0] ?? null,
    original_message_id: id ?? null,
    diagnostic: readField(fields, 'diagnostic-code') ?? words.diagnostic,
  }
}
