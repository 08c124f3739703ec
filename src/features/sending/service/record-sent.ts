import { truncateIp } from '#features/audit'
import { markAnswered, recordOutbound } from '#features/conversations'
import { markContacted } from '#features/leads'
import type { Ctx } from '#platform/context'
import type { SentMessage } from '#platform/mailboxes'
import { kick } from '#platform/outbox'
import { senderOf } from '../policy/outgoing-mail'
import * as repo from '../repo/finish'
import type { SendFacts } from '../repo/read'
import { newTrail } from '../repo/trail'

/**
 * The provider has accepted it: send, message in its thread, conversation, lead, event and audit entry, in one transaction.
 * False when the caller has lost its claim; then nothing of it is written.
 */
export async function recordSent(
  ctx: Ctx,
  send: SendFacts,
  guard: repo.Guard,
  message: SentMessage | null,
): Promise<boolean> {
  const trail = newTrail(ctx, truncateIp(ctx.origin.ip))
  const { org_id, lead_id } = send
  // A notice is no part of the conversation: in its thread it would hide what was asked behind our acknowledgement, and look
  // like an answer. It is shown with its lead.
  const conversation_id = send.kind === 'reply' || send.kind === 'sequence' ? send.conversation_id : null
  try {
    await ctx.db.org({ org_id, visibility: 'all' }).batch([
      repo.lockConversation({ org_id, conversation_id }),
      repo.markSent(guard, { message, trail }),
      ...(conversation_id === null
        ? []
        : [
            recordOutbound(ctx, {
              id: ctx.newId(),
              org_id,
              conversation_id,
              channel: 'email',
              mailbox_id: send.mailbox_id,
              send_id: send.id,
              author_id: send.created_by,
              provider_message_id: message?.provider_message_id ?? null,
              // The one that it really left with: replies will refer to it.
              message_id: message?.message_id ?? send.message_id,
              in_reply_to: send.in_reply_to,
              references: send.references,
              from_email: send.from_email ?? senderOf(ctx.config),
              from_name: null,
              to: [{ email: send.to_email, name: send.to_name ?? '' }],
              subject: send.subject,
              text: send.text,
              sent_at: trail.at,
            }),
            markAnswered(ctx, { org_id, conversation_id, at: trail.at }),
          ]),
      ...(lead_id === null || send.kind !== 'reply'
        ? []
        : [markContacted(ctx, { org_id, lead_id, at: trail.at, by_person: !send.automatic })]),
    ])
  } catch (error) {
    if (repo.isLostRace(error)) return false
    throw error
  }
  kick(ctx, [trail.event_id])
  return true
}
