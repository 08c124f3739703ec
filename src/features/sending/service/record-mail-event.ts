import { AppError, invalidField } from '#kernel/errors'
import type { Destination, IntakeKind } from '#kernel/intake'
import type { Ctx } from '#platform/context'
import { derivedUuid, sha256Hex } from '#platform/crypto'
import { accept } from '#platform/intake'
import { type MailReport, readPostmarkReport } from '../policy/postmark-reports'
import * as repo from '../repo/mail-events'

const PROVIDER = 'postmark'

/** One report of Postmark's: one round trip, or kept while the database is down. What it proves is settled by a job. */
export async function receivePostmarkReport(
  ctx: Ctx,
  body: Record<string, unknown>,
): Promise<'recorded' | 'queued' | 'ignored'> {
  const received_at = ctx.clock.now()
  const read = readPostmarkReport(body, received_at)
  if (read.outcome === 'ignored') return 'ignored'
  if (read.outcome === 'unreadable') throw invalidField(read.path, 'is missing or malformed')
  const { report } = read
  const accepted = await accept(
    ctx,
    async (limited) => {
      const [{ rows }] = await limited.db.nobody().batch([toStatement(limited, { ...report })])
      return rows[0]?.event
    },
    async () => ({
      kind: mailEventIntake.kind,
      destination: destinationOf(report),
      id: await derivedUuid(`mail_event:${PROVIDER}:${report.dedupe_key}`),
      received_at,
      request_hash: await sha256Hex(`${PROVIDER}:${report.dedupe_key}`),
      payload: { ...report },
    }),
  )
  if (accepted.outcome !== 'stored') return 'queued'
  await settle(ctx, accepted.value ? [accepted.value] : [])
  return 'recorded'
}

/** One that names no send of ours has no buffer of its own; Postmark brings it again. */
function destinationOf({ send_id, detail }: MailReport): Destination {
  if (detail.org_id !== null) return { org_id: detail.org_id }
  if (send_id !== null) return { send_id }
  throw new AppError('unavailable', 'The report cannot be taken in just now.', { retry_after_seconds: 60 })
}

/** Reports that came while the database was down. */
export const mailEventIntake: IntakeKind<Ctx> = {
  kind: 'mail_event',
  store: async (ctx, _destination, items) => {
    const [first, ...rest] = items.map((item) => toStatement(ctx, item.payload))
    if (first === undefined) return []
    const answers = await ctx.db.nobody().batch([first, ...rest])
    const events = answers.flatMap(({ rows }) => rows.map((row) => row.event))
    await settle(ctx, events)
    return events.map(({ outcome }) => ({ outcome: outcome === 'known' ? 'known' : 'stored' }))
  },
}

function toStatement(ctx: Ctx, report: Record<string, unknown>) {
  const ids = { audit: ctx.newId(), suppression: ctx.newId() }
  return repo.recordMailEvent({ ...report, provider: PROVIDER, ids, now: ctx.clock.now() })
}

/**
 * A report proves that its mail has left. A run that is about to note so itself (`sending`) is let alone. What is lost here is
 * found by the sweep.
 */
export async function settle(ctx: Ctx, events: readonly repo.AppliedEvent[]): Promise<number> {
  const proofs = events.flatMap((event) =>
    event.outcome === 'unsettled' && event.state !== 'sending' ? [event] : [],
  )
  await ctx
    .enqueueMessages(
      'sends',
      proofs.map(({ org_id, send_id, provider_message_id }) => ({
        message: { job: 'settle-send', payload: { org_id, send_id, provider_message_id } },
      })),
    )
    .catch((error: unknown) => ctx.log.error('send.settle_lost', error))
  return proofs.length
}
