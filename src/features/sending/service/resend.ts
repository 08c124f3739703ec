import { truncateIp } from '#features/audit'
import type { Scope } from '#kernel/actor'
import { AppError, notFound } from '#kernel/errors'
import { type TemplateKind, templateKinds } from '#kernel/vocabulary'
import { requireSettings } from '#platform/config'
import type { Ctx } from '#platform/context'
import { findById } from '../repo/read'
import * as repo from '../repo/system-mail'
import { newTrail } from '../repo/trail'
import { operatorAddress, toSystemSend, wordLeadMail } from './compose-system-mail'
import { isErasedSuppressed } from './hash-recipient'
import { present } from './manage-sends'
import { enqueueDelivery } from './schedule-reply'

/**
 * A person wants a mail about a lead to leave again, worded anew. The cap on automatic mail does not hold for it; who must not be
 * written to is not written to by this either.
 */
export async function resend(ctx: Ctx, scope: Scope & { user_id: string }, id: string) {
  const { org_id } = scope
  const door = ctx.db.org(scope)
  const [{ rows }] = await door.batch([repo.findResendable(id)])
  const [old] = rows
  if (!old) throw notFound('The send')
  const kind = templateKinds.find((one) => one === old.kind)
  if (kind === undefined || old.lead_id === null)
    throw new AppError('unprocessable', `A send of kind ${old.kind} is not sent again.`)
  if (old.busy) throw onItsWay()
  const [lead] = (await door.batch([repo.findLead(org_id, old.lead_id, ctx.clock.now())]))[0].rows
  if (!lead) throw notFound('The lead')
  const to_email = recipientOf(ctx, kind, lead.lead)
  if (kind === 'welcome' && (old.suppressed || (await isErasedSuppressed(ctx, { ...old, org_id, to_email }))))
    throw new AppError('unprocessable', 'The recipient is on the suppression list.')
  const send = toSystemSend(
    ctx,
    {
      org_id,
      kind,
      conversation_id: lead.lead.conversation_id,
      lead_id: old.lead_id,
      to_email,
      // Two people at once mean one mail.
      dedupe_key: `${kind}:${old.lead_id}:${old.latest_id}`,
      created_by: scope.user_id,
      yields: false,
    },
    await wordLeadMail(ctx, kind, lead.lead),
  )
  const trail = newTrail(ctx, truncateIp(ctx.origin.ip))
  const [made, [shown]] = await door.batch([
    repo.insertSystemSend(send, trail, 'send.resent'),
    findById(send.id),
  ])
  if (made.rows.length === 0 || !shown) throw onItsWay()
  enqueueDelivery(ctx, { org_id, send_id: send.id, due_at: trail.at })
  return present(shown)
}

function recipientOf(ctx: Ctx, kind: TemplateKind, lead: repo.LeadFacts): string {
  if (kind === 'admin_alert') {
    requireSettings(ctx.config, 'ADMIN_EMAIL')
    return operatorAddress(ctx) ?? ''
  }
  if (lead.contact_email === null) throw new AppError('unprocessable', 'The contact has no e-mail address.')
  return lead.contact_email
}

function onItsWay(): AppError {
  return new AppError('conflict', 'One of this lead and kind is on its way already.')
}
