import * as z from 'zod'
import { recordAudit } from '#features/audit'
import type { Subscriber } from '#kernel/event'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import { afterUnsent } from '../policy/transitions'
import * as repo from '../repo/drafts'
import { findUnsent } from '../repo/after-send'

const payload = z.object({ org_id: z.uuid(), send_id: z.uuid() })

/** A reply that was held back at the last moment, or that could not be sent, is a person's to decide: never silence. */
export const returnDraft: Job<z.infer<typeof payload>, Ctx> = {
  name: 'return-draft',
  queue: 'drafts',
  payload,
  run: async (ctx, { org_id, send_id }) => {
    const door = ctx.db.org({ org_id, visibility: 'all' })
    const [{ rows }] = await door.batch([findUnsent(send_id)])
    const [draft] = rows
    const next = draft ? afterUnsent(draft.send) : null
    if (!draft || !next) return
    const { status } = next
    const event_id = ctx.newId()
    const { conversation_id, lead_id } = draft
    await door
      .batch([
        repo.update(draft.id, draft.version, {
          status,
          updated_at: ctx.clock.now(),
          ...(status === 'ready'
            ? {
                // The key of the next send must be another one.
                generation: draft.generation + 1,
                decision: 'needs_review',
                gate: [...draft.gate, { rule: 'left', passed: false, detail: next.detail }],
              }
            : {}),
        }),
        recordAudit(ctx, {
          org_id,
          action: status === 'ready' ? 'draft.returned' : 'draft.superseded',
          entity: 'draft',
          entity_id: draft.id,
          fields: ['status'],
        }),
        ...(status === 'ready'
          ? [
              recordEvent(ctx, {
                id: event_id,
                org_id,
                type: 'draft.ready',
                payload: {
                  draft_id: draft.id,
                  conversation_id,
                  decision: 'needs_review',
                  ...(lead_id === null ? {} : { lead_id }),
                },
              }),
            ]
          : []),
      ])
      .then(
        () => kick(ctx, status === 'ready' ? [event_id] : []),
        (error: unknown) => {
          // A person was faster.
          if (!repo.isLostRace(error)) throw error
        },
      )
  },
}

export const replyEnded: Subscriber = {
  event: 'send.ended',
  job: returnDraft.name,
  queue: returnDraft.queue,
  payload: ({ payload: { send_id, draft_id, state } }) =>
    send_id === undefined || draft_id === undefined || state === 'review' ? null : { send_id },
}
