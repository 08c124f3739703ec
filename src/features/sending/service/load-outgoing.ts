import { contactKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { toBase64Url } from '#platform/crypto'
import { replyAddress } from '#platform/reply-address'
import { composeMail, type OutgoingMail, senderOf, unsubscribableKinds } from '../policy/outgoing-mail'
import { findOutgoing } from '../repo/read'
import { unsubscribeUrl } from './link-unsubscribe'

/**
 * The mail as the mailbox's Durable Object hands it to the provider, and the Message-ID by which it finds it again; `null`
 * when no run of ours has the send.
 */
export async function loadOutgoing(
  ctx: Ctx,
  org_id: string,
  send_id: string,
): Promise<{
  raw: string
  provider_thread_id: string | null
  message_id: string
  automatic: boolean
} | null> {
  const [[mail]] = await ctx.db.org({ org_id, visibility: 'all' }).batch([findOutgoing(send_id)])
  if (!mail) return null
  const raw = await composeMail(await completeMail(ctx, mail), senderOf(ctx.config), ctx.clock.now())
  const { provider_thread_id, message_id, automatic } = mail
  return { raw: toBase64Url(raw), provider_thread_id, message_id, automatic }
}

/**
 * The mail with what it says about answers to it and about its end. One that leaves from a mailbox is answered there. The link
 * is no part of the row: whoever may read the row may not unsubscribe its recipient.
 */
export async function completeMail<M extends OutgoingMail>(
  ctx: Ctx,
  mail: M & { org_id: string },
): Promise<M> {
  const is = (kinds: readonly string[]) => kinds.includes(mail.kind)
  const reply_to = mail.from_email === null && is(contactKinds) ? await replyAddress(ctx, mail.id) : null
  if (!is(unsubscribableKinds)) return { ...mail, reply_to }
  const unsubscribe_url = await unsubscribeUrl(ctx, mail.org_id, mail.id)
  const text = `${mail.text.trimEnd()}\n\n-- \nNo more mail like this: ${unsubscribe_url}\n`
  return { ...mail, reply_to, unsubscribe_url, text }
}
