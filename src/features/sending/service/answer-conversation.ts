import { recordAudit, truncateIp } from '#features/audit'
import { touchByPerson } from '#features/conversations'
import type { Scope } from '#kernel/actor'
import { addSeconds } from '#kernel/clock'
import { normalizeEmail } from '#kernel/email-address'
import { AppError, notFound } from '#kernel/errors'
import type { Ctx } from '#platform/context'
import { kick } from '#platform/outbox'
import { findById } from '../repo/read'
import * as repo from '../repo/schedule'
import { newTrail } from '../repo/trail'
import { isErasedSuppressed } from './hash-recipient'
import { present } from './manage-sends'
import { enqueueDelivery, scheduleReply } from './schedule-reply'

/** A person answers by hand: a send like any other, with the same time to take it back. */
export async function answerConversation(
  ctx: Ctx,
  scope: Scope,
  input: { conversation_id: string; text: string },
) {
  const { org_id } = scope
  const { conversation_id, text } = input
  const door = ctx.db.org(scope)
  const [{ rows }] = await door.batch([repo.findAnswerable({ org_id, conversation_id })])
  const [found] = rows
  if (!found) throw notFound('The conversation')
  const to = found.from_email ?? found.contact_email
  if (to === null) throw new AppError('unprocessable', 'Nobody in this conversation has an e-mail address.')
  const erased = { org_id, to_email: normalizeEmail(to) ?? to, erasure_key_sealed: found.erasure_key_sealed }
  if (found.suppressed || (await isErasedSuppressed(ctx, erased)))
    throw new AppError('unprocessable', 'The recipient is on the suppression list.')

  const id = ctx.newId()
  const now = ctx.clock.now()
  const due_at = addSeconds(now, found.undo_seconds)
  const reply = scheduleReply(ctx, {
    id,
    org_id,
    draft_id: null,
    conversation_id,
    lead_id: found.lead_id,
    message: {
      message_id: found.message_id,
      references: found.references ?? [],
      from_email: to,
      from_name: found.from_email === null ? found.contact_name : found.from_name,
      subject: found.message_subject ?? found.subject,
    },
    provider_thread_id: found.provider_thread_id,
    mailbox_id: found.mailbox_id,
    text,
    automatic: false,
    due_at,
    created_by: scope.user_id ?? null,
    dedupe_key: `manual:${id}`,
  })
  const trail = newTrail(ctx, truncateIp(ctx.origin.ip))
  const [, stopped, , , [send]] = await door.batch([
    touchByPerson(ctx, { org_id, conversation_id }),
    repo.skipAutomaticReplies({ org_id, conversation_id, trail }),
    reply,
    recordAudit(ctx, { org_id, action: 'send.scheduled', entity: 'send', entity_id: id }),
    findById(id),
  ])
  if (!send) throw notFound('The send')
  if (stopped.rows.length > 0) kick(ctx, [trail.event_id])
  enqueueDelivery(ctx, { org_id, send_id: id, due_at })
  return present(send)
}
