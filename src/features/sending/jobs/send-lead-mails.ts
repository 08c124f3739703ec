import * as z from 'zod'
import type { Subscriber } from '#kernel/event'
import type { Job } from '#kernel/job'
import { type TemplateKind, templateKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import * as repo from '../repo/system-mail'
import { newTrail } from '../repo/trail'
import { operatorAddress, toSystemSend, wordLeadMail } from '../service/compose-system-mail'
import { enqueueDelivery } from '../service/schedule-reply'

const payload = z.object({ org_id: z.uuid(), lead_id: z.uuid() })

/**
 * Makes the sends that follow from a new lead, each once by its key: an acknowledgement to who wrote and an alert to who runs
 * the installation. An acknowledgement that waits for an answer is let go when the answer has been decided.
 */
export const sendLeadMails: Job<z.infer<typeof payload>, Ctx> = {
  name: 'send-lead-mails',
  queue: 'sends',
  payload,
  run: async (ctx, { org_id, lead_id }) => {
    const door = ctx.db.org({ org_id, visibility: 'all' })
    const now = ctx.clock.now()
    const [released, { rows }] = await door.batch([
      repo.releaseWelcome(org_id, lead_id, now),
      repo.findLead(org_id, lead_id, now),
    ])
    for (const { id } of released.rows) enqueueDelivery(ctx, { org_id, send_id: id, due_at: now })
    const lead = rows[0]?.lead
    if (!lead?.is_new || lead.status === 'spam') return
    const made = await Promise.all(
      recipients(ctx, lead).map(async ([kind, to_email]) => {
        const { conversation_id } = lead
        const key = { org_id, kind, conversation_id, lead_id, to_email, dedupe_key: `${kind}:${lead_id}` }
        const words = await wordLeadMail(ctx, kind, lead)
        return toSystemSend(ctx, { ...key, created_by: null, yields: kind === 'welcome' }, words)
      }),
    )
    const [first, ...others] = made.map((send) =>
      repo.insertSystemSend(send, newTrail(ctx), 'send.scheduled'),
    )
    if (!first) return
    for (const inserted of await door.batch([first, ...others])) {
      const [row] = inserted.rows
      // One that waits is woken by what it waits for, or found by the sweep when that does not come.
      if (row && !row.waits) enqueueDelivery(ctx, { org_id, send_id: row.id, due_at: now })
    }
  },
}

function recipients(ctx: Ctx, lead: repo.LeadFacts): [TemplateKind, string][] {
  const to: Record<TemplateKind, string | null> = {
    welcome: lead.wants_welcome ? lead.contact_email : null,
    admin_alert: operatorAddress(ctx),
  }
  return templateKinds.flatMap((kind) => {
    const address = to[kind]
    return address === null || lead.made.includes(kind) ? [] : [[kind, address]]
  })
}

export const leadMailSubscribers: readonly Subscriber[] = [
  {
    event: 'lead.created',
    job: sendLeadMails.name,
    queue: sendLeadMails.queue,
    payload: ({ payload: { lead_id } }) => (lead_id === undefined ? null : { lead_id }),
  },
  {
    event: 'draft.ready',
    job: sendLeadMails.name,
    queue: sendLeadMails.queue,
    payload: ({ payload: { lead_id } }) => (lead_id === undefined ? null : { lead_id }),
  },
]
