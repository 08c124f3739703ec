// A mail that was routed to us, or posted by Postmark: read, and made into what the database takes.
import { domainOf, normalizeEmail } from '#kernel/email-address'
import type { Ctx } from '#platform/context'
import { sha256Hex } from '#platform/crypto'
import { readReplyAddress } from '#platform/reply-address'
import {
  isSharedDomain,
  looksLikeAnswer,
  type MailRoute,
  type Recipients,
  slugsOf,
  tokensOf,
} from '../policy/mail-route'
import type { Routed } from '../repo/routed-mail'
import { referencesOf, toMailInput } from './mail-input'
import { type ParsedMail, parseMessage, UnparsableMail } from './parse-message'
import type { Stored } from './store-inbound'

/** What is known of a mail beside itself. */
export interface MailFacts {
  recipients: Recipients
  /** The envelope's, where it is known; empty: a mail system's own word, whatever the headers say. */
  return_path: string | null
  /** By which it is told from others where it has no Message-ID. */
  fallback_id: string
  /** Where only its sender is left to tell whose it is. */
  ask_sender: boolean
}

export interface RoutedMail {
  input: Stored & Routed
  /** The send that its address names, whose token we have signed. */
  send_id: string | null
}

/** The mail, or why it cannot be read. */
export async function readRaw(raw: Uint8Array): Promise<ParsedMail | UnparsableMail['reason']> {
  try {
    return await parseMessage(raw)
  } catch (error) {
    return error instanceof UnparsableMail ? error.reason : 'broken'
  }
}

export async function toRouted(
  ctx: Ctx,
  read: ParsedMail,
  facts: MailFacts & { received_at: Date },
): Promise<RoutedMail> {
  const { recipients, received_at } = facts
  const parsed = withEnvelope(read, facts.return_path)
  const reply = await replyOf(ctx, recipients)
  const slugs = slugsOf(recipients, ctx.config)
  const reference_ids = referencesOf(parsed)
  const input = await toMailInput(parsed, {
    source: 'email',
    own: { own_addresses: ownAddresses(ctx), mailbox_email: recipients.envelope[0] ?? '' },
    mailbox_id: null,
    provider_message_id: await nameOf(parsed, facts.fallback_id),
    sent: false,
    received_at,
    // Neither of the two ways brings a verdict that its sender could not have written.
    dmarc: () => 'none',
  })
  const sender = parsed.from === null ? null : normalizeEmail(parsed.from.email)
  const route: MailRoute = {
    ...(reply === null ? {} : { send_id: reply.send_id }),
    slugs,
    reference_ids,
    ...(sender !== null && facts.ask_sender ? { sender } : {}),
    at: received_at.toISOString(),
  }
  return {
    input: {
      ...input,
      ...(reply === null ? {} : { reply_send_id: reply.send_id }),
      // A new mail to an organization's own address begins something new, also when we wrote to its sender lately.
      ...(slugs.length === 0 || looksLikeAnswer(parsed) ? { thread_by: 'sender' as const } : {}),
      route,
      shared_domain: sender !== null && isSharedDomain(domainOf(sender)),
    },
    send_id: reply?.proven === true ? reply.send_id : null,
  }
}

function withEnvelope(parsed: ParsedMail, return_path: string | null): ParsedMail {
  if (return_path === '')
    return { ...parsed, headers: [{ name: 'return-path', value: '<>' }, ...parsed.headers] }
  // A mail without a usable From is somebody's all the same.
  const email = parsed.from === null && return_path !== null ? normalizeEmail(return_path) : null
  return email === null ? parsed : { ...parsed, from: { email, name: '' } }
}

async function replyOf(ctx: Ctx, recipients: Recipients) {
  for (const token of tokensOf(recipients)) {
    const reply = await readReplyAddress(ctx, token)
    if (reply !== null) return reply
  }
  return null
}

/** The installation's own: mail from them is ours, come back. Those of the organization's mailboxes the database knows. */
function ownAddresses({ config }: Ctx): string[] {
  return [config.FROM_EMAIL, config.POSTMARK_INBOUND_ADDRESS].filter((address) => address !== undefined)
}

/**
 * The name by which a mail is known again, whichever way and however often it comes: to two addresses of ours, once more
 * by Postmark, or by the sender's server that did not hear our answer. The Message-ID alone would swallow the second mail
 * of a program that gives all of its mails one.
 */
async function nameOf(parsed: ParsedMail, fallback_id: string): Promise<string> {
  if (parsed.message_id === null) return fallback_id
  const { message_id, sent_at, from, subject } = parsed
  return `mail:${await sha256Hex(JSON.stringify([message_id, sent_at, from?.email ?? null, subject]))}`
}
