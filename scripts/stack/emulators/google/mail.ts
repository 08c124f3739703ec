// A message as Gmail would have received it, from a few fields.
import { randomBytes } from 'node:crypto'
import MailComposer from 'nodemailer/lib/mail-composer/index.js'

export interface Delivery {
  to: string
  /** The message as it is; nothing is added to it unless `auth` asks for it. */
  raw?: string
  from?: string
  /** The header, when it is not the mailbox's own address. */
  to_header?: string
  cc?: string
  reply_to?: string
  subject?: string
  body?: string
  html?: string
  in_reply_to?: string
  references?: string
  message_id?: string
  date?: string
  headers?: Record<string, string>
  /** The sender's DMARC result as Gmail writes it on top; `none` writes nothing. */
  auth?: 'pass' | 'fail' | 'none'
}

export async function composeMail(delivery: Delivery): Promise<Buffer> {
  if (delivery.raw !== undefined) {
    const raw = Buffer.from(delivery.raw.replace(/\r?\n/g, '\r\n'))
    return delivery.auth && delivery.auth !== 'none'
      ? Buffer.concat([trace(delivery, fromOf(raw)), raw])
      : raw
  }
  const from = delivery.from ?? 'Ada Lovelace <ada@buyer.test>'
  const mail = new MailComposer({
    from,
    to: delivery.to_header ?? delivery.to,
    cc: delivery.cc,
    replyTo: delivery.reply_to,
    subject: delivery.subject ?? '(no subject)',
    text: delivery.body ?? (delivery.html ? undefined : ''),
    html: delivery.html,
    inReplyTo: delivery.in_reply_to,
    references: delivery.references,
    messageId: delivery.message_id ?? `<${randomBytes(12).toString('hex')}@${domainOf(from)}>`,
    date: delivery.date ?? new Date(),
    headers: delivery.headers,
  } as ConstructorParameters<typeof MailComposer>[0])
  const built = await mail.compile().build()
  return delivery.auth === 'none' ? built : Buffer.concat([trace(delivery, from), built])
}

/** What Gmail's servers put on top of a message on its way in. */
function trace({ to, auth = 'pass' }: Delivery, from: string): Buffer {
  const address = addressOf(from)
  const domain = domainOf(from)
  const lines = [
    `Delivered-To: ${to}`,
    `Received: from mail.${domain} (mail.${domain}. [192.0.2.25])\r\n        by mx.google.com with ESMTPS id ${randomBytes(8).toString('hex')}\r\n        for <${to}>;\r\n        ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Return-Path: <${address}>`,
    `Authentication-Results: mx.google.com;\r\n       dkim=${auth} header.i=@${domain} header.s=mail;\r\n       spf=${auth} (google.com: domain of ${address}) smtp.mailfrom=${address};\r\n       dmarc=${auth} (p=NONE sp=NONE dis=NONE) header.from=${domain}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n`)
}

const fromOf = (raw: Buffer) =>
  /^from:\s*(.+(?:\r\n[ \t].+)*)/im.exec(raw.subarray(0, 64_000).toString('latin1'))?.[1] ?? ''
/** The last address in angle brackets, or the whole: enough for what a person types. */
const addressOf = (from: string) => (/<([^<>]+)>\s*$/.exec(from)?.[1] ?? from).trim().toLowerCase()
const domainOf = (from: string) => addressOf(from).split('@').at(-1) || 'invalid.test'
