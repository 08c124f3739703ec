import { domainOf, normalizeEmail } from '#kernel/email-address'
import type { MailboxProviderName } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { sha256Hex } from '#platform/crypto'
import { classifyMail, type MailVerdict } from '../policy/automated-mail'
import { readDmarc } from '../policy/authentication'
import { normalizeBody, readHeader } from '../policy/automated-signs'
import * as repo from '../repo'
import type { ParsedMail } from './parse-message'
import { storeInbound } from './store-inbound'

export interface ArrivedMail {
  org_id: string
  mailbox: { id: string; email: string; provider: MailboxProviderName }
  own_addresses: string[]
  provider_message_id: string
  provider_thread_id: string
  /** It lies in the account's Sent folder. */
  sent: boolean
  received_at: Date
  raw: Uint8Array
}

/**
 * Makes of one raw mail what there is to make. Exactly once by (mailbox, provider message id). A mail that cannot be read or
 * stored becomes a dead letter, so that the mailbox goes on behind it. Throws when the database does not answer.
 */
export async function ingestMail(ctx: Ctx, mail: ArrivedMail): Promise<'new' | 'known' | 'dead'> {
  const bury = async (reason: string) => {
    await buryMail(ctx, { ...mail, mailbox_id: mail.mailbox.id }, reason)
    return 'dead' as const
  }
  // Loaded with the first mail: parsing brings a third of the code, and most isolates answer requests.
  const { parseMessage, UnparsableMail } = await import('./parse-message')
  let input: Parameters<typeof storeInbound>[2]
  try {
    input = await toInput(mail, await parseMessage(mail.raw))
  } catch (error) {
    return bury(error instanceof UnparsableMail ? error.reason : 'broken')
  }
  try {
    const { outcome } = await storeInbound(ctx, ctx.db.org({ org_id: mail.org_id, visibility: 'all' }), input)
    return outcome === 'created' ? 'new' : 'known'
  } catch (error) {
    if (repo.isUnstorable(error)) return bury('unstorable')
    throw error
  }
}

/** A mail that nothing can be made of is a row that the operator sees. */
export async function buryMail(
  ctx: Ctx,
  {
    org_id,
    mailbox_id,
    provider_message_id,
  }: Record<'org_id' | 'mailbox_id' | 'provider_message_id', string>,
  reason: string,
): Promise<void> {
  ctx.log.warn('mail.dead', { mailbox_id, reason })
  await ctx.db.org({ org_id, visibility: 'all' }).batch([
    repo.insertDeadLetter({
      id: ctx.newId(),
      org_id,
      queue: 'mailbox',
      job: 'ingest-mail',
      payload: { org_id, mailbox_id, provider_message_id },
      failure: { kind: 'permanent', code: `mail_${reason}`, message: 'The mail cannot be read.' },
      attempts: 1,
    }),
  ])
}

async function toInput(mail: ArrivedMail, parsed: ParsedMail): Promise<Parameters<typeof storeInbound>[2]> {
  const verdict = classifyMail(parsed, {
    own_addresses: mail.own_addresses,
    mailbox_email: mail.mailbox.email,
    in_sent: mail.sent,
    earlier_inbound_bodies: [],
  })
  const email_norm = parsed.from === null ? null : normalizeEmail(parsed.from.email)
  return {
    source: mail.mailbox.provider === 'google' ? 'gmail' : 'outlook',
    message: await toMessage(mail, parsed, verdict, email_norm),
    contact:
      email_norm === null
        ? null
        : { email: parsed.from?.email ?? email_norm, email_norm, name: parsed.from?.name || null },
    provider_thread_id: mail.provider_thread_id,
    reference_ids: [
      ...new Set([...(parsed.in_reply_to === null ? [] : [parsed.in_reply_to]), ...parsed.references]),
    ],
    in_sent: mail.sent,
    ...ownSendId(parsed),
    ...(verdict.classification === 'bounce' ? { bounce: toBounce(parsed, verdict) } : {}),
  }
}

async function toMessage(
  mail: ArrivedMail,
  parsed: ParsedMail,
  verdict: MailVerdict,
  email_norm: string | null,
) {
  const body = normalizeBody(parsed.stripped_text)
  const authentication =
    email_norm === null
      ? null
      : readDmarc(parsed.authentication_results, mail.mailbox.provider, domainOf(email_norm))
  return {
    channel: 'email',
    mailbox_id: mail.mailbox.id,
    provider_message_id: mail.provider_message_id,
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
    dmarc: authentication?.verdict ?? 'none',
    body_hash: body === '' ? null : await sha256Hex(body),
    sent_at: parsed.sent_at,
    received_at: mail.received_at,
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
