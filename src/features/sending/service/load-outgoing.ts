import type { Ctx } from '#platform/context'
import { toBase64Url } from '#platform/crypto'
import { replyAddress } from '#platform/reply-address'
import { composeMail, contactKinds, type OutgoingMail, senderOf } from '../policy/outgoing-mail'
import { findOutgoing } from '../repo/read'

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

/** The mail with what it says about answers to it. One that leaves from a mailbox is answered there. */
export async function completeMail(ctx: Ctx, mail: OutgoingMail): Promise<OutgoingMail> {
  if (mail.from_email !== null || !contactKinds.some((kind) => kind === mail.kind)) return mail
  return { ...mail, reply_to: await replyAddress(ctx, mail.id) }
}
