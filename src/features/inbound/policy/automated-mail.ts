// Who wrote this: a person, a responder, a mail system, a list, or we ourselves? The order of the rules is that of
// Bounces first, because Google's and Microsoft's carry `Auto-Submitted: auto-replied` as well.
// All rules are evaluated and listed, so that the console can show why a mail made no lead or got no answer.

import type { MailClassification } from '#kernel/vocabulary'
import { readAwayUntil } from './away-until'
import {
  baseOf,
  hasNullReturnPath,
  isAwayBody,
  isAwaySubject,
  isBounceSubject,
  isOwnList,
  isPostmaster,
  listRecipients,
  normalizeBody,
  readAutoSubmitted,
  readDaemonSender,
  readHeader,
  readListHeader,
  readMachineHeader,
  readNoReplySender,
  readPrecedence,
  tellsFailure,
} from './automated-signs'
import { type Bounce, readBounce } from './bounce-status'
import type { ParsedMail } from './mail-facts'

export interface MailContext {
  /** All mailboxes and send-as addresses of the organization, normalized. */
  readonly own_addresses: readonly string[]
  readonly mailbox_email: string
  /** It lies in the account's Sent folder: whatever its From says, the account wrote it. */
  readonly in_sent?: boolean
  /** What this thread already got from outside: bodies, or `normalizeBody` of them. */
  readonly earlier_inbound_bodies: readonly string[]
  /** What our own automatic mail carries in a header; a mail that brings it back is part of a loop. */
  readonly our_loop_marker?: string
}

interface Verdict {
  readonly rule: string
  /** True when the rule found nothing. */
  readonly passed: boolean
  readonly detail: string
}

interface AutoReplyObjection {
  readonly rule: string
  readonly detail: string
}

export interface MailVerdict {
  readonly classification: MailClassification
  readonly verdicts: Verdict[]
  /** The rule that decided; null for a person's mail. */
  readonly rule: string | null
  /** Why this mail gets no automatic answer, also when a person wrote it. */
  readonly no_auto_reply: AutoReplyObjection[]
  readonly bounce?: Bounce
  /** YYYY-MM-DD, when an out-of-office answer names it. */
  readonly away_until?: string
}

type Rule = readonly [rule: string, found: string | null, classification: MailClassification]

/** Shorter answers ("Yes, please.") are repeated by people as well. */
const MIN_REPEATED = 20

function readReportRules(mail: ParsedMail): Rule[] {
  const type = (readHeader(mail.headers, 'content-type') ?? '').toLowerCase()
  const report = type.startsWith('multipart/report')
  const kind = /report-type\s*=\s*"?([a-z-]+)/.exec(type)?.[1] ?? ''
  const dsn =
    (report && (kind === '' || kind === 'delivery-status')) ||
    mail.attachments.some((part) => /^message\/(?:global-)?delivery-status$/.test(part.mime_type))
  const good = mail.report?.action != null && readBounce(mail.report, '') === null
  const daemon = readDaemonSender(mail)
  const failed = readHeader(mail.headers, 'x-failed-recipients')
  const failure = isBounceSubject(mail.subject) || tellsFailure(mail.text)
  const nullSender = hasNullReturnPath(mail)
  const away = isAwaySubject(mail.subject)
  return [
    ['read_receipt', report && kind === 'disposition-notification' ? kind : null, 'automated'],
    ['complaint_report', report && kind === 'feedback-report' ? kind : null, 'automated'],
    ['delivery_receipt', dsn && good ? (mail.report?.action ?? '') : null, 'automated'],
    ['delivery_report', dsn ? `report-type ${kind || 'delivery-status'}` : null, 'bounce'],
    ['failed_recipients', failed, 'bounce'],
    ['daemon_sender', daemon !== null && !away ? daemon : null, 'bounce'],
    ['postmaster_failure', isPostmaster(mail) && failure ? mail.subject : null, 'bounce'],
    [
      'null_sender_failure',
      nullSender &&
      !away &&
      (isBounceSubject(mail.subject) || (mail.report !== null && tellsFailure(mail.text)))
        ? mail.subject
        : null,
      'bounce',
    ],
    // No sign but the words: a person may write so too, unless a code of the mail system stands in the text.
    [
      'failure_subject',
      isBounceSubject(mail.subject) &&
      tellsFailure(mail.text) &&
      mail.report?.status != null &&
      !/^(?:re|fwd?|aw|wg|tr|rv|sv|antw?):/i.test(mail.subject)
        ? mail.subject
        : null,
      'bounce',
    ],
  ]
}

function readMachineRules(mail: ParsedMail, context: MailContext, own: ReadonlySet<string>): Rule[] {
  const marker = context.our_loop_marker
  const looped =
    marker === undefined || marker === ''
      ? undefined
      : mail.headers.find((header) => header.value.includes(marker))
  const ownList = isOwnList(mail, own)
  const precedence = readPrecedence(mail)
  const list = readListHeader(mail)
  const body = normalizeBody(mail.stripped_text)
  const repeated =
    body.length >= MIN_REPEATED &&
    context.earlier_inbound_bodies.some((earlier) => normalizeBody(earlier) === body)
  const away = isAwaySubject(mail.subject)
  return [
    ['auto_submitted', readAutoSubmitted(mail), 'automated'],
    ['loop_marker', looped?.name ?? null, 'automated'],
    ['machine_header', readMachineHeader(mail), 'automated'],
    ['out_of_office_subject', away ? mail.subject : null, 'automated'],
    // Before the list rules: a responder may say "Precedence: bulk", and is a responder all the same.
    ['null_return_path', hasNullReturnPath(mail) ? 'empty Return-Path' : null, 'automated'],
    [
      'precedence',
      precedence === null || (ownList && precedence === 'list') ? null : precedence,
      precedence === 'list' || (precedence === 'bulk' && list !== null) ? 'list' : 'automated',
    ],
    ['list_header', ownList ? null : list, 'list'],
    [
      'feedback_id',
      readHeader(mail.headers, 'feedback-id') === null || ownList ? null : 'Feedback-ID',
      'automated',
    ],
    ['no_reply_sender', readNoReplySender(mail), 'automated'],
    ['repeated_body', repeated ? 'same text as an earlier mail of this thread' : null, 'automated'],
  ]
}

/** Objections that do not make a mail a machine's: a person's lead, answered by a person. */
function readObjections(mail: ParsedMail, own: ReadonlySet<string>): AutoReplyObjection[] {
  const found: AutoReplyObjection[] = []
  const add = (rule: string, objection: string | null): void => {
    if (objection !== null) found.push({ rule, detail: objection })
  }
  const recipients = listRecipients(mail)
  const suppress = readHeader(mail.headers, 'x-auto-response-suppress')
  // [MS-OXCMAIL] §2.2.3.2.14; Exchange writes it into people's mail too.
  add(
    'x_auto_response_suppress',
    suppress !== null && /\b(?:all|oof|autoreply)\b/i.test(suppress) ? suppress : null,
  )
  add('missing_from', mail.from === null ? 'no valid From' : null)
  add('several_senders', mail.senders > 1 ? 'more than one sender in From' : null)
  add(
    'malformed_message_id',
    mail.message_id_malformed ? 'its Message-ID cannot be answered to safely' : null,
  )
  add('missing_message_id', mail.message_id === null && !mail.message_id_malformed ? 'no Message-ID' : null)
  add(
    'not_addressed_to_us',
    recipients.some((address) => own.has(baseOf(address.email))) ? null : 'none of our addresses in To or Cc',
  )
  add('several_recipients', recipients.length > 1 ? `${recipients.length} recipients` : null)
  add(
    'foreign_reply_to',
    mail.reply_to_foreign
      ? mail.reply_to
          .map((address) => address.email)
          .slice(0, 3)
          .join(', ')
      : null,
  )
  add(
    'own_reply_to',
    mail.reply_to.some((address) => own.has(baseOf(address.email))) ? 'Reply-To is ours' : null,
  )
  add('own_list', isOwnList(mail, own) ? 'came through our own group address' : null)
  add('out_of_office_body', isAwayBody(mail.stripped_text) ? 'reads like an automatic answer' : null)
  add('truncated', mail.truncated ? 'not read to its end' : null)
  return found
}

export function classifyMail(mail: ParsedMail, context: MailContext): MailVerdict {
  const own = new Set(
    [...context.own_addresses, context.mailbox_email].map((email) => baseOf(email.trim().toLowerCase())),
  )
  const from = mail.from === null ? null : baseOf(mail.from.email)
  // Our own automatic mail, synced from the Sent folder, is ours before it is automatic.
  const sent = context.in_sent === true
  const ownRule: Rule = [
    'own_mail',
    from !== null && (sent || own.has(from)) ? from : sent ? 'sent' : null,
    'own',
  ]
  const reports = readReportRules(mail)
  const rules = [
    ...(sent ? [ownRule, ...reports] : [...reports, ownRule]),
    ...readMachineRules(mail, context, own),
  ]
  const decided = rules.find(([, found]) => found !== null)
  const classification = decided?.[2] ?? 'human'
  const objections = readObjections(mail, own)
  const verdicts = [
    ...rules.map(([rule, found]) => ({
      rule,
      passed: found === null,
      detail: found === null ? '' : found.slice(0, 300),
    })),
    ...objections.map(({ rule, detail }) => ({ rule, passed: false, detail })),
  ]
  const no_auto_reply = decided
    ? [{ rule: decided[0], detail: (decided[1] ?? '').slice(0, 300) }, ...objections]
    : objections
  const bounce = classification === 'bounce' ? readBounce(mail.report, mail.text) : null
  const away =
    classification === 'automated'
      ? readAwayUntil(`${mail.subject}\n${mail.stripped_text}`, mail.sent_at)
      : null
  return {
    classification,
    verdicts,
    rule: decided?.[0] ?? null,
    no_auto_reply,
    ...(bounce === null ? {} : { bounce }),
    ...(away === null ? {} : { away_until: away }),
  }
}
