import * as z from 'zod'
import type { DomainEvent, EventType, Subscriber } from '#kernel/event'
import { addSeconds } from '#kernel/clock'
import type { Job } from '#kernel/job'
import type { Result } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { channelOf } from '../channels'
import {
  describeOutcome,
  judgeNotice,
  leadNotice,
  MAX_NOTICE_ATTEMPTS,
  type Notice,
  reconnectNotice,
  WAIT_SECONDS,
} from '../policy'
import * as repo from '../repo'

const payload = z.object({
  org_id: z.uuid(),
  notice_id: z.uuid().optional(),
  lead_id: z.uuid().optional(),
  mailbox_id: z.uuid().optional(),
})

/**
 * Tells an organization's channel what became of a lead, once. It only reads what sending and drafting have written, so
 * nothing that goes wrong here reaches a send. Every failure stays in the notice's row; the sweep brings it back.
 */
export const postNotice: Job<z.infer<typeof payload>, Ctx> = {
  name: 'post-notice',
  queue: 'notifications',
  payload,
  run: async (ctx, { org_id, notice_id, lead_id, mailbox_id }) => {
    if (notice_id !== undefined) return await post(ctx, org_id, { notice_id })
    if (lead_id !== undefined) return await post(ctx, org_id, { lead_id })
    if (mailbox_id === undefined) return
    const recorded = await recordReconnect(ctx, org_id, mailbox_id)
    if (recorded !== null) await post(ctx, org_id, { notice_id: recorded })
  },
}

const wake = (
  event: EventType,
  id: 'lead_id' | 'mailbox_id',
  settles: (payload: DomainEvent['payload']) => boolean = () => true,
): Subscriber => ({
  event,
  job: postNotice.name,
  queue: postNotice.queue,
  payload: ({ payload }: DomainEvent) => {
    const value = payload[id]
    return value === undefined || !settles(payload) ? null : { [id]: value }
  },
})

/** Whatever may settle a lead's outcome wakes its notice; what another event is sure to follow does not. */
export const noticeSubscribers: readonly Subscriber[] = [
  wake('lead.created', 'lead_id', ({ draft_id }) => draft_id === undefined),
  wake('draft.ready', 'lead_id', ({ decision }) => decision !== 'auto_send'),
  wake('message.sent', 'lead_id'),
  wake('send.ended', 'lead_id'),
  wake('mailbox.reconnect_required', 'mailbox_id'),
]

async function recordReconnect(ctx: Ctx, org_id: string, mailbox_id: string): Promise<string | null> {
  const slack_configured = ctx.config.SLACK_WEBHOOK_URL !== undefined
  const row = { id: ctx.newId(), org_id, mailbox_id, slack_configured }
  const [recorded] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([repo.insertReconnectNotice(row, ctx.clock.now())])
  return recorded.rows[0]?.id ?? null
}

type Truth = Awaited<ReturnType<typeof repo.findTruth>>[number]

async function post(ctx: Ctx, org_id: string, key: repo.NoticeKey): Promise<void> {
  const door = ctx.db.org({ org_id, visibility: 'all' })
  const now = ctx.clock.now()
  const [[claimed], [truth]] = await door.batch([repo.claim(key, now), repo.findTruth(key)])
  if (!claimed || !truth) return
  if (claimed.attempts > MAX_NOTICE_ATTEMPTS) {
    // Only attempts that died without a word get here.
    const last_error = { code: 'died', message: 'Every attempt ended without an answer.' }
    await door.batch([repo.finish(claimed, { state: 'failed', last_error })])
    return
  }
  const notice = compose(truth, ctx.config.FRONTEND_URL ?? ctx.config.BASE_URL)
  if (notice === null) {
    await door.batch([
      repo.finish(claimed, {
        attempts: claimed.attempts - 1,
        next_attempt_at: addSeconds(now, WAIT_SECONDS),
      }),
    ])
    return
  }
  const target = { org_id, slack_webhook_sealed: truth.organization.slack_webhook_sealed }
  const posted = await channelOf(claimed.channel).post(ctx, target, notice)
  await door.batch([repo.finish(claimed, conclude(ctx, claimed, posted))])
}

/** `null` while there is nothing to tell yet. */
function compose(truth: Truth, base_url: string): Notice | null {
  const { organization, lead, contact, first, mailbox } = truth
  if (mailbox) return reconnectNotice({ ...mailbox, organization: organization.name }, base_url)
  if (!lead || !contact) return null
  const outcome = describeOutcome({ ...truth, status: lead.status })
  if (outcome === null) return null
  const words = { subject: first?.subject ?? '', text: first?.text ?? '' }
  return leadNotice({ ...lead, ...contact, ...words, organization: organization.name }, outcome, base_url)
}

function conclude(ctx: Ctx, claimed: repo.Claimed, posted: Result<null>): Parameters<typeof repo.finish>[1] {
  const now = ctx.clock.now()
  if (posted.ok) return { state: 'sent', sent_at: now, last_error: null }
  const { code, message } = posted.failure
  const verdict = judgeNotice(posted.failure, claimed.attempts, Math.random())
  ctx.log.warn('notice.refused', {
    notice_id: claimed.id,
    code,
    attempts: claimed.attempts,
    action: verdict.action,
  })
  if (verdict.action === 'give_up') return { state: 'failed', last_error: { code, message } }
  return {
    attempts: verdict.burns_attempt ? claimed.attempts : claimed.attempts - 1,
    next_attempt_at: addSeconds(now, verdict.delay_seconds),
    last_error: { code, message },
  }
}
