// claim → prepare → gate → deliver → finish. It may die between any two lines: before the gate the claim's lease
// runs out and the send is free again; behind it the send is of unknown fate, until the provider is asked.
import * as z from 'zod'
import { addSeconds } from '#kernel/clock'
import { type Failure, fail } from '#kernel/failure'
import type { Job } from '#kernel/job'
import type { Ctx } from '#platform/context'
import { kick } from '#platform/outbox'
import {
  afterRefusal,
  attemptsOf,
  DELIVER_WITHIN_MS,
  MAX_ATTEMPTS,
  RECONCILE_AFTER_SECONDS,
} from '../policy/attempts'
import { AFTER_OTHERS_SECONDS, pauseSeconds, pausesTransport } from '../policy/pause'
import { type ClaimedSend, claim } from '../repo/claim'
import * as repo from '../repo/finish'
import { gate, lockForGate } from '../repo/gate'
import { pauseTransport, resumeTransport } from '../repo/transport-pause'
import { newTrail } from '../repo/trail'
import { hashRecipient } from '../service/hash-recipient'
import { recordSent } from '../service/record-sent'
import type { Delivery, Prepared, Transport } from '../transports/contract'
import { findTransport, transports as allTransports } from '../transports/index'

const payload = z.object({ org_id: z.uuid(), send_id: z.uuid() })

const WAIT_SECONDS = 300

/** Where a test lets a run die or hang. */
export type Checkpoint = (
  after: 'start' | 'claim' | 'prepare' | 'gate' | 'deliver' | 'finish',
  send_id: string,
) => Promise<void>

export function deliverSendJob(
  transports: readonly Transport[],
  checkpoint: Checkpoint = async () => undefined,
): Job<z.infer<typeof payload>, Ctx> {
  return {
    name: 'deliver-send',
    queue: 'sends',
    payload,
    run: async (ctx, { org_id, send_id }) => {
      await checkpoint('start', send_id)
      const token = ctx.newId()
      const [claimed] = await doorOf(ctx, org_id).batch([
        claim({ org_id, send_id, token, now: ctx.clock.now(), spread: Math.random() }),
      ])
      await checkpoint('claim', send_id)
      const send = claimed.rows[0]
      if (send?.state !== 'claimed') return
      const transport = findTransport(transports, send.transport)
      // Only runs that died have used up the attempts without an answer of the provider: a poisonous mail.
      if (send.attempts > MAX_ATTEMPTS)
        return refuse(
          ctx,
          transport,
          send,
          'claimed',
          fail('permanent', 'crashes', 'Every run of it died.').failure,
        )
      const hash = await hashRecipient(ctx, send)
      if (!hash.ok) return wait(ctx, send, hash.failure)
      const prepared = await transport.prepare(ctx, send)
      await checkpoint('prepare', send_id)
      if (!prepared.ok && prepared.failure.code === 'answered_by_a_person')
        return skip(ctx, send, prepared.failure.code)
      if (!prepared.ok) return refuse(ctx, transport, send, 'claimed', prepared.failure)
      const passed = await passGate(ctx, transport, send, { ...prepared.value, to_hash: hash.value })
      await checkpoint('gate', send_id)
      if (passed === null) return
      await finish(ctx, transport, passed.send, await deliverInTime(ctx, transport, passed), checkpoint)
    },
  }
}

export const deliverSend = deliverSendJob(allTransports)

interface Passed {
  send: ClaimedSend
  at: Date
}

/** `null` when the gate refused; what `prepare` has made is then removed. */
async function passGate(
  ctx: Ctx,
  transport: Transport,
  send: ClaimedSend,
  prepared: Prepared & { to_hash: string | null },
): Promise<Passed | null> {
  const { org_id, id: send_id, claim_token: token } = send
  const at = ctx.clock.now()
  const trail = newTrail(ctx)
  const [, { rows }] = await doorOf(ctx, org_id).batch([
    lockForGate({ org_id, send_id, token }),
    gate({ org_id, send_id, token, ...prepared, now: at, trail }),
  ])
  const gated = rows[0]
  switch (gated?.state) {
    case 'sending':
      return { send: { ...send, provider_draft_id: gated.provider_draft_id }, at }
    case 'scheduled':
      return null
    case 'skipped':
      kick(ctx, [trail.event_id])
      await discard(ctx, transport, send, gated.provider_draft_id)
      return null
    case undefined:
      // Another run has the send now. A draft that is kept in the row is that run's; ours is an orphan only when it is new.
      if (prepared.provider_draft_id !== send.provider_draft_id)
        await discard(ctx, transport, send, prepared.provider_draft_id)
      return null
  }
}

async function deliverInTime(ctx: Ctx, transport: Transport, { send, at }: Passed): Promise<Delivery> {
  if (ctx.clock.now().getTime() - at.getTime() > DELIVER_WITHIN_MS)
    return {
      outcome: 'refused',
      failure: fail('transient', 'suspended', 'The run was suspended before it reached the provider.')
        .failure,
    }
  return transport.deliver(ctx, send)
}

async function finish(
  ctx: Ctx,
  transport: Transport,
  send: ClaimedSend,
  delivery: Delivery,
  checkpoint: Checkpoint,
): Promise<void> {
  await checkpoint('deliver', send.id)
  const guard = guardOf(send, 'sending')
  switch (delivery.outcome) {
    case 'accepted':
      await recordSent(ctx, send, guard, delivery.message)
      await checkpoint('finish', send.id)
      return resume(ctx, send)
    case 'refused':
      return refuse(ctx, transport, send, 'sending', delivery.failure)
    case 'ambiguous':
      await doorOf(ctx, send.org_id).batch([
        repo.markUnknown(guard, {
          error: errorOf(ctx, delivery.failure),
          reconcile_after_seconds: RECONCILE_AFTER_SECONDS,
        }),
      ])
  }
}

/** Nothing has left: later again, or never. */
async function refuse(
  ctx: Ctx,
  transport: Transport,
  send: ClaimedSend,
  state: 'claimed' | 'sending',
  failure: Failure,
): Promise<void> {
  const guard = guardOf(send, state)
  const door = doorOf(ctx, send.org_id)
  const error = errorOf(ctx, failure)
  if (pausesTransport(send.transport, failure)) return pause(ctx, send, guard, failure)
  const next = afterRefusal(failure, send.attempts, Math.random(), attemptsOf(send.kind))
  if (next.state === 'scheduled') {
    const { waits_because, burns_attempt } = next
    const next_attempt_at = addSeconds(ctx.clock.now(), next.delay_seconds)
    await door.batch([repo.markScheduled(guard, { next_attempt_at, waits_because, burns_attempt, error })])
    return
  }
  const trail = newTrail(ctx)
  const suppress_as = next.bad_recipient ? { id: ctx.newId(), reason: failure.code } : null
  const [{ rows }] = await door.batch([repo.markFailed(guard, { error, suppress_as, trail })])
  // What the provider says of one mail shows that it takes others.
  if (failure.kind === 'permanent' && state === 'sending') await resume(ctx, send)
  if (rows.length === 0) return
  kick(ctx, [trail.event_id])
  await discard(ctx, transport, send, send.provider_draft_id)
}

/** The account is refused, and every mail would be: none is tried over it for a while, and none fails for it. */
async function pause(ctx: Ctx, send: ClaimedSend, guard: repo.Guard, failure: Failure): Promise<void> {
  const { transport, paused_seconds } = send
  const { code, message } = failure
  const now = ctx.clock.now()
  const seconds = pauseSeconds(paused_seconds)
  const [{ rows }] = await doorOf(ctx, send.org_id).batch([
    pauseTransport({
      transport,
      now,
      seconds,
      failure: { code, message },
      probe: paused_seconds !== null,
    }),
    repo.markScheduled(guard, {
      next_attempt_at: addSeconds(now, seconds + AFTER_OTHERS_SECONDS),
      waits_because: 'transport_paused',
      burns_attempt: false,
      error: errorOf(ctx, failure),
    }),
  ])
  if (rows[0]?.new) ctx.log.warn('transport.paused', { transport, failure: code })
}

/** The provider has answered the one that tried: the account is well again. */
async function resume(ctx: Ctx, send: ClaimedSend): Promise<void> {
  if (send.paused_seconds === null) return
  const { transport } = send
  const [{ rows }] = await doorOf(ctx, send.org_id).batch([resumeTransport(transport)])
  if ((rows[0]?.resumed ?? 0) > 0) ctx.log.info('transport.resumed', { transport })
}

/** Nothing is wrong with the mail: later again, however often. */
async function wait(ctx: Ctx, send: ClaimedSend, failure: Failure): Promise<void> {
  await doorOf(ctx, send.org_id).batch([
    repo.markScheduled(guardOf(send, 'claimed'), {
      next_attempt_at: addSeconds(ctx.clock.now(), WAIT_SECONDS),
      waits_because: failure.code,
      burns_attempt: false,
      error: errorOf(ctx, failure),
    }),
  ])
}

async function skip(ctx: Ctx, send: ClaimedSend, reason: string): Promise<void> {
  const trail = newTrail(ctx)
  const [{ rows }] = await doorOf(ctx, send.org_id).batch([
    repo.markSkipped(guardOf(send, 'claimed'), { reason, trail }),
  ])
  if (rows.length > 0) kick(ctx, [trail.event_id])
}

async function discard(
  ctx: Ctx,
  transport: Transport,
  send: ClaimedSend,
  provider_draft_id: string | null,
): Promise<void> {
  if (provider_draft_id === null) return
  const removed = await transport.discard(ctx, send, provider_draft_id)
  // An orphan among the drafts of the mailbox is untidy, and no more.
  if (!removed.ok) ctx.log.warn('send.draft_left', { send_id: send.id, failure: removed.failure.code })
}

function guardOf(send: ClaimedSend, state: 'claimed' | 'sending'): repo.Guard {
  return { org_id: send.org_id, send_id: send.id, token: send.claim_token, states: [state] }
}

function errorOf(ctx: Ctx, failure: Failure) {
  return { code: failure.code, message: failure.message, at: ctx.clock.now().toISOString() }
}

function doorOf(ctx: Ctx, org_id: string) {
  return ctx.db.org({ org_id, visibility: 'all' })
}
