import { domainOf } from '#kernel/email-address'
import type { MailboxProviderName } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { readDmarc } from '../policy/authentication'
import * as repo from '../repo/ingest'
import { type MailArrival, toMailInput } from './mail-input'
import type { ParsedMail } from './parse-message'
import { type Stored, storeInbound } from './store-inbound'

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
  let input: Stored
  try {
    const parsed = await parseMessage(mail.raw)
    input = await toMailInput(parsed, arrivalOf(mail, parsed))
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

function arrivalOf(mail: ArrivedMail, parsed: ParsedMail): MailArrival {
  const { id, email, provider } = mail.mailbox
  return {
    source: provider === 'google' ? 'gmail' : 'outlook',
    own: { own_addresses: mail.own_addresses, mailbox_email: email },
    mailbox_id: id,
    provider_message_id: mail.provider_message_id,
    provider_thread_id: mail.provider_thread_id,
    sent: mail.sent,
    received_at: mail.received_at,
    dmarc: (email_norm) => readDmarc(parsed.authentication_results, provider, domainOf(email_norm)).verdict,
  }
}
