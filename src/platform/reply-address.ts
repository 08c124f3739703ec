// The address that an answer to one of our mails comes to. It names the send by itself, so that the answer finds its conversation
// when its sender's program lost every header, and while the database is down.
import type { Config } from './config'
import { idAt, idsToBytes, readToken, signToken, type TokenKind } from './signed-token'

type Settings = Pick<
  Config,
  'ENCRYPTION_KEY' | 'ENCRYPTION_KEY_PREVIOUS' | 'INBOUND_EMAIL_DOMAIN' | 'POSTMARK_INBOUND_ADDRESS'
>

const KIND: TokenKind = { purpose: 'reply address', alphabet: 'base32', body_bytes: 16, mac_bytes: 10 }

export const REPLY_LOCAL_PART = 'reply'
/** RFC 5321 §4.5.3.1.1. Postmark's own inbound addresses are half as long by themselves and leave no room for a token. */
const MAX_LOCAL_PART = 64

/** Where an answer to this send is to go; `null` where no mail is taken in. */
export async function replyAddress(ctx: { config: Settings }, send_id: string): Promise<string | null> {
  const { INBOUND_EMAIL_DOMAIN: domain, POSTMARK_INBOUND_ADDRESS: shared } = ctx.config
  const token = () => signToken(ctx.config, KIND, idsToBytes(send_id))
  if (domain !== undefined) return `${REPLY_LOCAL_PART}+${await token()}@${domain}`
  if (shared === undefined) return null
  const at = shared.lastIndexOf('@')
  const local = `${shared.slice(0, at)}+${await token()}`
  return local.length > MAX_LOCAL_PART ? shared : `${local}${shared.slice(at)}`
}

/**
 * The send that an address names, or what stands behind its plus (Postmark's MailboxHash), in any case of letters. `null`: it
 * names none. `proven: false`: written under a key that we do not have (any more).
 */
export async function readReplyAddress(
  ctx: { config: Settings },
  address: string,
): Promise<{ send_id: string; proven: boolean } | null> {
  const at = address.lastIndexOf('@')
  const local = at < 0 ? address : address.slice(0, at)
  const token = await readToken(ctx.config, KIND, local.slice(local.lastIndexOf('+') + 1))
  return token === null ? null : { send_id: idAt(token.body, 0), proven: token.proven }
}
