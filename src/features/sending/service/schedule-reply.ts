import { truncateIp } from '#features/audit'
import { domainOf, normalizeEmail } from '#kernel/email-address'
import { AppError } from '#kernel/errors'
import type { Ctx } from '#platform/context'
import { senderOf } from '../policy/outgoing-mail'
import { messageIdOrNull, replyReferences, replySubject } from '../policy/reply'
import * as repo from '../repo/schedule'
import { newTrail } from '../repo/trail'

export interface ReplyInput {
  id: string
  org_id: string
  draft_id: string | null
  conversation_id: string
  lead_id: string | null
  /** The inbound message that is answered; its sender is the only recipient. */
  message: {
    message_id: string | null
    references: readonly string[]
    from_email: string
    from_name: string | null
    subject: string
  }
  provider_thread_id: string | null
  /** `null`: the first connected mailbox of the organization, else the installation's own transport. */
  mailbox_id: string | null
  text: string
  /** Nobody has looked at it. */
  automatic: boolean
  due_at: Date
  created_by: string | null
  dedupe_key: string
}

/** The statement that schedules a reply. Batch it with the decision, then `enqueueDelivery`. The same key twice is one send. */
export function scheduleReply(ctx: Ctx, input: ReplyInput) {
  const { message, due_at, ...rest } = input
  const to_email = normalizeEmail(message.from_email)
  if (to_email === null) throw new AppError('unprocessable', 'The message has no address to answer to.')
  const now = ctx.clock.now()
  return repo.insertReply({
    ...rest,
    due_at,
    fallback: { transport: ctx.config.MAIL_TRANSPORT, domain: domainOf(senderOf(ctx.config)) },
    to_email,
    to_domain: domainOf(to_email),
    to_name: message.from_name,
    // A form has no thread to keep together, and a bare "Re:" looks like spam.
    subject:
      message.subject.trim() === '' && input.provider_thread_id === null
        ? 'Your inquiry'
        : replySubject(message.subject),
    in_reply_to: messageIdOrNull(message.message_id),
    references: replyReferences(message.references, message.message_id),
    waits_because: due_at > now ? 'undo_window' : null,
    created_at: now,
  })
}

/** The statement that takes a reply back. What has passed the gate is not changed by it. */
export function cancelReply(ctx: Ctx, input: { org_id: string; draft_id: string; reason: string }) {
  return repo.cancelReply({ ...input, trail: newTrail(ctx, truncateIp(ctx.origin.ip)) })
}

/** Wakes the delivery of a scheduled send, after the commit. A lost call costs a minute: the sweep finds the row. */
export function enqueueDelivery(ctx: Ctx, input: { org_id: string; send_id: string; due_at: Date }): void {
  const delay_seconds = Math.ceil((input.due_at.getTime() - ctx.clock.now().getTime()) / 1000)
  // Queues take no delay over 12 hours.
  if (delay_seconds > 12 * 3600) return
  const message = { job: 'deliver-send', payload: { org_id: input.org_id, send_id: input.send_id } }
  ctx.waitUntil(
    ctx
      .enqueueMessages('sends', [{ message, ...(delay_seconds > 0 ? { delay_seconds } : {}) }])
      .catch((error: unknown) =>
        ctx.log.warn('send.wakeup_lost', { error: error instanceof Error ? error.name : 'unknown' }),
      ),
  )
}
