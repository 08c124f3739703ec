import { realChange } from '#kernel/change'
import { AppError, notFound } from '#kernel/errors'
import { recordAudit } from '#features/audit'
import type { Ctx } from '#platform/context'
import type { SyncReport } from '#platform/mailboxes'
import * as repo from '../repo'

const GAPS = 50

export async function listMailboxes(ctx: Ctx, org_id: string) {
  const [rows] = await ctx.db.org({ org_id, visibility: 'all' }).batch([repo.list()])
  return rows
}

export async function findMailbox(ctx: Ctx, org_id: string, id: string) {
  const [[row]] = await ctx.db.org({ org_id, visibility: 'all' }).batch([repo.findById(id)])
  if (!row) throw notFound('The mailbox')
  return row
}

/** What the operator sees of an organization's mailboxes, gaps included. */
export async function readConnectionStatus(ctx: Ctx, org_id: string) {
  const [organizations, mailboxes, gaps] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([repo.organizationExists(), repo.list(), repo.listGaps(GAPS)])
  if (organizations.length === 0) throw notFound('The organization')
  const now = ctx.clock.now().getTime()
  return {
    mailboxes: mailboxes.map((mailbox) => ({
      id: mailbox.id,
      provider: mailbox.provider,
      email: mailbox.email,
      status: mailbox.status,
      push: mailbox.push,
      watch_expires_at: mailbox.watch_expires_at,
      last_synced_at: mailbox.last_synced_at,
      last_push_at: mailbox.last_push_at,
      cursor_age_seconds:
        mailbox.last_synced_at === null
          ? null
          : Math.max(0, Math.round((now - mailbox.last_synced_at.getTime()) / 1000)),
      gaps: gaps
        .filter((gap) => gap.mailbox_id === mailbox.id)
        .map(({ id, searched_from_at, detected_at, closed_at, recovered }) => ({
          id,
          searched_from_at,
          detected_at,
          closed_at,
          recovered,
        })),
      last_error: mailbox.last_error,
    })),
  }
}

export interface MailboxPatch {
  auto_send?: boolean | undefined
  daily_cap?: number | undefined
  sequence_daily_cap?: number | undefined
  sequence_gap_seconds?: number | undefined
}

/** `mayChange` judges If-Match by the version that it is given; `null`: the caller did not ask. */
export async function updateMailbox(
  ctx: Ctx,
  org_id: string,
  id: string,
  patch: MailboxPatch,
  mayChange: ((updated_at: Date) => boolean) | null,
) {
  const current = await findMailbox(ctx, org_id, id)
  if (mayChange && !mayChange(current.updated_at)) throw stale()
  const set = realChange(current, patch)
  const fields = Object.keys(set)
  if (fields.length === 0) return current
  const [, , [changed]] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([
      repo.update(id, set, ctx.clock.now(), mayChange ? current.updated_at : null),
      recordAudit(ctx, { org_id, action: 'mailbox.updated', entity: 'mailbox', entity_id: id, fields }),
      repo.findById(id),
    ])
    .catch((error: unknown) => {
      throw repo.isLostRace(error) ? stale() : error
    })
  return changed ?? current
}

function stale(): AppError {
  return new AppError('precondition_failed', 'The mailbox has changed since you read it. Read it again.')
}

/** Asks the provider now. Throws what the provider's failure means for the person who asked. */
export async function syncNow(ctx: Ctx, org_id: string, id: string): Promise<SyncReport> {
  const mailbox = await findMailbox(ctx, org_id, id)
  if (mailbox.status === 'disconnected') throw new AppError('conflict', 'The mailbox is disconnected.')
  const synced = await ctx.mailboxes(id).sync(ctx.clock.now().toISOString())
  if (synced.ok) return synced.value
  if (synced.failure.kind === 'auth') throw new AppError('conflict', 'The mailbox has to be connected again.')
  throw new AppError('unavailable', synced.failure.message, {
    retry_after_seconds: synced.failure.retry_after_seconds ?? 30,
  })
}

/**
 * Stops the watch, revokes the grant and wipes the tokens of one mailbox, or of all. The row stays: its conversations do.
 * Marked first, so that nothing is sent through it while it goes.
 */
export async function disconnect(
  ctx: Ctx,
  org_id: string,
  mailbox_id?: string,
): Promise<{ disconnected: string[] }> {
  const door = ctx.db.org({ org_id, visibility: 'all' })
  const [organizations, rows] = await door.batch([repo.organizationExists(), repo.list()])
  if (organizations.length === 0) throw notFound('The organization')
  const wanted = rows.filter((row) => mailbox_id === undefined || row.id === mailbox_id)
  if (mailbox_id !== undefined && wanted.length === 0) throw notFound('The mailbox')
  let left = 0
  for (const { id, status } of wanted) {
    if (status !== 'disconnected') await markDisconnected(ctx, org_id, id)
    const wiped = await ctx.mailboxes(id).disconnect()
    if (!wiped.ok) left++
  }
  if (left > 0)
    throw new AppError('unavailable', 'The tokens could not be wiped yet. Please try again.', {
      retry_after_seconds: 10,
    })
  return { disconnected: wanted.map(({ id }) => id) }
}

async function markDisconnected(ctx: Ctx, org_id: string, id: string): Promise<void> {
  const now = ctx.clock.now()
  const gone = { status: 'disconnected', disconnected_at: now, watch_expires_at: null, push: 'off' } as const
  const fields = ['status']
  await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([
      repo.update(id, gone, now),
      recordAudit(ctx, { org_id, action: 'mailbox.disconnected', entity: 'mailbox', entity_id: id, fields }),
    ])
}
