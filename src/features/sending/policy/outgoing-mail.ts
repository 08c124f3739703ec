// A send as RFC 5322 bytes. nodemailer encodes, folds and keeps line breaks out of headers; what it gets is cleaned before all the same.
import type { SendKind } from '#kernel/vocabulary'

/** The row, as `sends` has it. `from_email` is the mailbox's address, if it leaves from one. */
export interface OutgoingMail {
  id: string
  kind: SendKind
  automatic: boolean
  from_name: string | null
  from_email: string | null
  to_email: string
  to_name: string | null
  subject: string
  text: string
  message_id: string
  in_reply_to: string | null
  references: readonly string[]
  /** Where an answer finds its thread, for what leaves from no mailbox. */
  reply_to?: string | null
  /** Whoever follows it ends mail like this to this address. */
  unsubscribe_url?: string | null
}

/** Kinds that somebody outside may want no more of. A reply answers what they wrote themselves. */
export const unsubscribableKinds = ['welcome', 'sequence'] as const satisfies readonly SendKind[]

/** By it a mail is recognised as ours also when the provider has given it another Message-ID. */
const SEND_ID_HEADER = 'X-Inlet-Send-Id'

/** Who mail is from that leaves from no mailbox. */
export function senderOf(config: { FROM_EMAIL?: string | undefined; BASE_URL: string }): string {
  return config.FROM_EMAIL ?? `no-reply@${new URL(config.BASE_URL).hostname}`
}

export async function composeMail(mail: OutgoingMail, sender: string, date: Date): Promise<Uint8Array> {
  // Loaded with the first mail: most isolates answer requests and send none.
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer')
  return new MailComposer({
    from: { name: displayName(mail.from_name), address: mail.from_email ?? sender },
    to: { name: displayName(mail.to_name), address: mail.to_email },
    ...(mail.reply_to ? { replyTo: mail.reply_to } : {}),
    subject: oneLine(mail.subject),
    text: mail.text,
    messageId: mail.message_id,
    date,
    ...(mail.in_reply_to === null ? {} : { inReplyTo: mail.in_reply_to }),
    ...(mail.references.length === 0 ? {} : { references: [...mail.references] }),
    headers: Object.fromEntries(
      Object.entries(headersOf(mail)).map(([name, value]) => [
        name,
        // Never folded: some that sign a mail get the fold of a long link wrong (nodemailer #1654).
        name.startsWith('List-') ? { prepared: true, value: oneLine(value) } : value,
      ]),
    ),
    // nodemailer writes a name's last "-Id" as "-ID"; who looks for a mail of ours in a mailbox looks for our spelling.
    normalizeHeaderKey: (name) =>
      name.toLowerCase() === SEND_ID_HEADER.toLowerCase() ? SEND_ID_HEADER : name,
    newline: 'windows',
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build()
}

/** What a mail carries besides what every mail has: one place for all transports. Each value is one line. */
export function headersOf(mail: OutgoingMail): Record<string, string> {
  return {
    [SEND_ID_HEADER]: mail.id,
    ...autoHeaders(mail),
    // RFC 8058 §3.1: exactly these.
    ...(mail.unsubscribe_url
      ? {
          'List-Unsubscribe': `<${mail.unsubscribe_url}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
        }
      : {}),
  }
}

/** RFC 3834: what nobody wrote says so, and asks other machines not to answer. A sequence is from one person to another. */
function autoHeaders({ kind, automatic }: OutgoingMail): Record<string, string> {
  if (kind === 'sequence' || (kind === 'reply' && !automatic)) return {}
  return {
    'Auto-Submitted': kind === 'reply' ? 'auto-replied' : 'auto-generated',
    'X-Auto-Response-Suppress': 'All',
  }
}

/** A stranger may have written it: one word of it is not folded, and servers refuse lines over 998 bytes (RFC 5322 §2.1.1). */
export function displayName(name: string | null): string {
  return oneLine(name ?? '')
    .slice(0, 200)
    .toWellFormed()
}

export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim()
}
