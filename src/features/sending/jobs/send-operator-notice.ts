import * as z from 'zod'
import type { Subscriber } from '#kernel/event'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import { operatorNotice } from '../policy/templates'
import { insertSystemSend } from '../repo/system-mail'
import { findOrganization } from '../repo/templates'
import { newTrail } from '../repo/trail'
import { operatorAddress, toSystemSend } from '../service/compose-system-mail'
import { enqueueDelivery } from '../service/schedule-reply'

const payload = z.object({
  org_id: z.uuid(),
  /** Of the event: there is one notice a day for an organization. */
  day: z.iso.date(),
  count: z.string().max(20),
  code: z.string().max(100),
})

/** Tells whoever runs the installation that something which came in could not be stored. */
export const sendOperatorNotice: Job<z.infer<typeof payload>, Ctx> = {
  name: 'send-operator-notice',
  queue: 'sends',
  payload,
  run: async (ctx, { org_id, day, count, code }) => {
    const to_email = operatorAddress(ctx)
    if (to_email === null) return
    const door = ctx.db.org({ org_id, visibility: 'all' })
    const [[organization]] = await door.batch([findOrganization(org_id)])
    if (!organization) return
    const url = `${ctx.config.BASE_URL}/admin/queue/items`
    const { subject, body } = operatorNotice({
      organization: organization.organization_name,
      count,
      code,
      url,
    })
    const send = toSystemSend(
      ctx,
      {
        org_id,
        kind: 'operator_notice',
        conversation_id: null,
        lead_id: null,
        to_email,
        dedupe_key: `operator_notice:ingest.dead:${day}`,
        created_by: null,
        yields: false,
      },
      { subject, text: body, note: null },
    )
    const [{ rows }] = await door.batch([insertSystemSend(send, newTrail(ctx), 'send.scheduled')])
    if (rows.length > 0) enqueueDelivery(ctx, { org_id, send_id: send.id, due_at: ctx.clock.now() })
  },
}

export const ingestDied: Subscriber = {
  event: 'ingest.dead',
  job: sendOperatorNotice.name,
  queue: sendOperatorNotice.queue,
  payload: ({ as_of, payload: { count = '1', code = 'unknown' } }) => ({
    day: as_of.toISOString().slice(0, 10),
    count,
    code,
  }),
}
