// Asks the provider what became of a send whose delivery had no outcome. Nothing is sent here: what has not left is
// scheduled again, and passes the gate again.
import * as z from 'zod'
import { addSeconds } from '#kernel/clock'
import type { Job } from '#kernel/job'
import type { SendKind } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { kick } from '#platform/outbox'
import { attemptsOf, RECONCILE_AFTER_SECONDS, RECONCILE_FOR_SECONDS } from '../policy/attempts'
import * as repo from '../repo/finish'
import { findUnknown } from '../repo/read'
import { newTrail } from '../repo/trail'
import { recordSent } from '../service/record-sent'
import type { Reconciliation, Transport } from '../transports/contract'
import { findTransport, transports as allTransports } from '../transports/index'

const payload = z.object({ org_id: z.uuid(), send_id: z.uuid() })

const ASK_AGAIN_SECONDS = 300

export function reconcileSendJob(
  transports: readonly Transport[],
  checkpoint: (after: 'start' | 'reconcile', send_id: string) => Promise<void> = async () => undefined,
): Job<z.infer<typeof payload>, Ctx> {
  return {
    name: 'reconcile-send',
    queue: 'sends',
    payload,
    run: async (ctx, { org_id, send_id }) => {
      await checkpoint('start', send_id)
      const now = ctx.clock.now()
      const door = ctx.db.org({ org_id, visibility: 'all' })
      const [[send]] = await door.batch([
        findUnknown(send_id, now, addSeconds(now, -RECONCILE_AFTER_SECONDS)),
      ])
      if (!send?.claim_token || !send.send_started_at) return
      const { claim_token } = send
      const found = await findTransport(transports, send.transport).reconcile(ctx, { ...send, claim_token })
      await checkpoint('reconcile', send_id)
      const guard: repo.Guard = { org_id, send_id, token: claim_token, states: ['unknown'] }
      if (found.outcome === 'sent') {
        await recordSent(ctx, send, guard, found.message)
        return
      }
      const trail = newTrail(ctx)
      const tooOld = send.send_started_at <= addSeconds(now, -RECONCILE_FOR_SECONDS)
      const [{ rows }] = await door.batch([conclude(guard, found, trail, { ...send, tooOld })])
      if (rows.length > 0) kick(ctx, [trail.event_id])
    },
  }
}

export const reconcileSend = reconcileSendJob(allTransports)

function conclude(
  guard: repo.Guard,
  found: Exclude<Reconciliation, { outcome: 'sent' }>,
  trail: ReturnType<typeof newTrail>,
  send: { kind: SendKind; attempts: number; tooOld: boolean },
) {
  const at = trail.at.toISOString()
  switch (found.outcome) {
    case 'not_sent':
      if (send.attempts >= attemptsOf(send.kind)) {
        const error = {
          code: 'not_sent',
          message: 'The provider never got it, at the last attempt either.',
          at,
        }
        return repo.markFailed(guard, { error, suppress_as: null, trail })
      }
      return repo.markScheduled(guard, {
        next_attempt_at: trail.at,
        waits_because: null,
        burns_attempt: true,
        error: null,
      })
    case 'inconclusive': {
      const message = 'The provider knows neither the draft nor the mail.'
      return repo.markReview(guard, { error: { code: 'inconclusive', message, at }, trail })
    }
    case 'unavailable': {
      const error = { code: found.failure.code, message: found.failure.message, at }
      if (send.tooOld) return repo.markReview(guard, { error, trail })
      const next_attempt_at = addSeconds(trail.at, ASK_AGAIN_SECONDS)
      return repo.postponeReconciliation(guard, { next_attempt_at, error })
    }
  }
}
