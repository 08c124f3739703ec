// A parsed mail made into what `ingest_inbound` takes: the same whether a mailbox held it or it was routed to us.
import { normalizeEmail } from '#kernel/email-address'
import { sha256Hex } from '#platform/crypto'
import { classifyMail, type MailContext, type MailVerdict } from '../policy/automated-mail'
import { normalizeBody, readHeader } from '../policy/automated-signs'
import type { ParsedMail } from './parse-message'
import type { Stored } from './store-inbound'

export interface MailArrival {
  source: string
  own: Pick<MailContext, 'own_addresses' | 'mailbox_email'>
  mailbox_id: string | null
  provider_message_id: string
  provider_thread_id?: string
  /** It lies in the account's Sent folder. */
  sent: boolean
  received_at: Date
  /** What its receiver found out about an address as its sender. */
  dmarc(email_norm: string): 'pass' | 'fail' | 'none'
}

export async function toMailInput(parsed: ParsedMail, arrival: MailArrival): Promise<Stored> {
  const verdict = classifyMail(parsed, { ...arrival.own, in_sent: arrival.sent, earlier_inbound_bodies: [] })
  const email_norm = parsed.from === null ? null : normalizeEmail(parsed.from.email)
  const { provider_thread_id } = arrival
  return {
    source: arrival.source,
    message: await toMessage(parsed, arrival, verdict, email_norm),
    contact:
      email_norm === null
        ? null
        : { email: parsed.from?.email ?? email_norm, email_norm, name: parsed.from?.name || null },
    ...(provider_thread_id === undefined ? {} : { provider_thread_id }),
    reference_ids: referencesOf(parsed),
    in_sent: arrival.sent,
    ...ownSendId(parsed),
    ...(verdict.classification === 'bounce' ? { bounce: toBounce(parsed, verdict) } : {}),
  }
}

export function referencesOf(parsed: ParsedMail): string[] {
  return [...new Set([...(parsed.in_reply_to === null ? [] : [parsed.in_reply_to]), ...parsed.references])]
}

async function toMessage(
  parsed: ParsedMail,
  arrival: MailArrival,
  verdict: MailVerdict,
  email_norm: string | null,
) {
  const body = normalizeBody(parsed.stripped_text)
  return {
    channel: 'email',
    mailbox_id: arrival.mailbox_id,
    provider_message_id: arrival.provider_message_id,
    message_id: parsed.message_id,
    in_reply_to: parsed.in_reply_to,
    references: parsed.references,
    from_email: email_norm,
    from_name: parsed.from?.name || null,
    to: parsed.to.slice(0, MAX_RECIPIENTS),
    cc: parsed.cc.slice(0, MAX_RECIPIENTS),
    subject: parsed.subject,
    text: parsed.text,
    stripped_text: parsed.stripped_text,
    hidden_text: parsed.hidden_text,
    attachments: parsed.attachments,
    classification: verdict.classification,
    verdicts: verdict.verdicts.filter((entry) => !entry.passed || entry.rule === verdict.rule),
    no_auto_reply: verdict.no_auto_reply.map((objection) => ({ ...objection, passed: false })),
    dmarc: email_norm === null ? 'none' : arrival.dmarc(email_norm),
    body_hash: body === '' ? null : await sha256Hex(body),
    sent_at: parsed.sent_at,
    received_at: arrival.received_at,
  }
}

/** A mail to ten thousand people is stored; their list is not. */
const MAX_RECIPIENTS = 200

function ownSendId(parsed: ParsedMail): { own_send_id?: string } {
  const value = readHeader(parsed.headers, 'x-inlet-send-id')?.trim() ?? ''
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) ? { own_send_id: value } : {}
}

function toBounce(parsed: ParsedMail, verdict: MailVerdict) {
  return {
    original_message_id: parsed.report?.original_message_id ?? parsed.in_reply_to,
    hard: verdict.bounce?.hard ?? false,
    status: parsed.report?.status ?? null,
    detail: verdict.bounce?.reason ?? 'other',
  }
}
