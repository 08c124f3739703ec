import { truncateIp } from '#features/audit'
import type { Scope } from '#kernel/actor'
import { AppError, notFound } from '#kernel/errors'
import { type Cursor, toPage } from '#kernel/page'
import { type SendKind, secretKinds } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { kick } from '#platform/outbox'
import * as finish from '../repo/finish'
import * as repo from '../repo/read'
import { newTrail } from '../repo/trail'
import { recordSent } from './record-sent'
import { enqueueDelivery } from './schedule-reply'

export async function listSends(
  ctx: Ctx,
  scope: Scope,
  filter: repo.SendFilter,
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db.org(scope).batch([repo.list(filter, page.limit + 1, page.after)])
  const { data, next_cursor } = toPage(rows, page.limit, (row) => row.created_at)
  return { data: data.map(present), next_cursor }
}

export async function getSend(ctx: Ctx, scope: Scope, id: string) {
  const [[send]] = await ctx.db.org(scope).batch([repo.findById(id)])
  if (!send) throw notFound('The send')
  return present(send)
}

/** A person has looked into the mailbox and says what became of a send that nobody else can judge. */
export async function resolveSend(ctx: Ctx, scope: Scope, id: string, outcome: 'sent' | 'retry' | 'skip') {
  const { org_id } = scope
  const door = ctx.db.org(scope)
  const [[send]] = await door.batch([repo.findFacts(id)])
  if (!send) throw notFound('The send')
  if (send.state !== 'review') throw notInReview()
  const guard: finish.Guard = { org_id, send_id: id, token: null, states: ['review'] }
  const trail = newTrail(ctx, truncateIp(ctx.origin.ip))
  switch (outcome) {
    case 'sent':
      if (!(await recordSent(ctx, send, guard, null))) throw notInReview()
      break
    case 'retry':
      refuseLost(await door.batch([finish.markRetried(guard, { now: trail.at, trail })]))
      enqueueDelivery(ctx, { org_id, send_id: id, due_at: trail.at })
      break
    case 'skip':
      refuseLost(await door.batch([finish.markSkipped(guard, { reason: 'resolved_by_a_person', trail })]))
      kick(ctx, [trail.event_id])
      break
  }
  return getSend(ctx, scope, id)
}

function refuseLost([{ rows }]: [{ rows: unknown[] }]): void {
  if (rows.length === 0) throw notInReview()
}

function notInReview(): AppError {
  return new AppError('conflict', 'Only a send in review is resolved.')
}

/** A text that signs somebody in is shown to nobody. */
export function present<S extends { kind: SendKind; text: string }>(send: S) {
  const secret = secretKinds.some((kind) => kind === send.kind)
  return { ...send, text: secret ? null : send.text }
}
