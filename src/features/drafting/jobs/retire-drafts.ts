import * as z from 'zod'
import { recordAudit } from '#features/audit'
import type { Subscriber } from '#kernel/event'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import * as repo from '../repo/drafts'
import { listAnswered } from '../repo/after-send'

const payload = z.object({ org_id: z.uuid(), send_id: z.uuid() })

/** Somebody answered by hand: a draft that still waits would answer the same message a second time. */
export const retireDrafts: Job<z.infer<typeof payload>, Ctx> = {
  name: 'retire-drafts',
  queue: 'drafts',
  payload,
  run: async (ctx, { org_id, send_id }) => {
    const door = ctx.db.org({ org_id, visibility: 'all' })
    const [{ rows }] = await door.batch([listAnswered(send_id)])
    for (const { id, version } of rows) {
      await door
        .batch([
          repo.update(id, version, { status: 'superseded', lease_until: null, updated_at: ctx.clock.now() }),
          recordAudit(ctx, {
            org_id,
            action: 'draft.superseded',
            entity: 'draft',
            entity_id: id,
            fields: ['status'],
          }),
        ])
        .catch((error: unknown) => {
          // A person has just decided about it.
          if (!repo.isLostRace(error)) throw error
        })
    }
  },
}

export const answeredByHand: Subscriber = {
  event: 'message.sent',
  job: retireDrafts.name,
  queue: retireDrafts.queue,
  payload: ({ payload: { send_id, draft_id, kind } }) =>
    send_id === undefined || draft_id !== undefined || kind !== 'reply' ? null : { send_id },
}
