// What the Durable Object writes down where people can see it. Postgres holds the copy; the object holds the truth.
import type { Failure } from '#kernel/failure'
import type { MailboxStatus } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { derivedUuid } from '#platform/crypto'
import { kick } from '#platform/outbox'
import * as repo from '../repo'

export interface MailboxRef {
  org_id: string
  mailbox_id: string
}

function doorOf(ctx: Ctx, ref: MailboxRef) {
  return ctx.db.org({ org_id: ref.org_id, visibility: 'all' })
}

/** What people see then: `connected`, unless somebody has decided otherwise; `null` when there is no such mailbox any more. */
export async function recordSynced(
  ctx: Ctx,
  ref: MailboxRef,
  at: Omit<Parameters<typeof repo.markSynced>[1], 'now'>,
): Promise<MailboxStatus | null> {
  const [, [mailbox]] = await doorOf(ctx, ref).batch([
    repo.markSynced(ref.mailbox_id, { ...at, now: ctx.clock.now() }),
    repo.findStatus(ref.mailbox_id),
  ])
  return mailbox?.status ?? null
}

export async function recordError(ctx: Ctx, ref: MailboxRef, failure: Failure): Promise<void> {
  await doorOf(ctx, ref).batch([repo.markError(ref.mailbox_id, describe(ctx, failure), ctx.clock.now())])
}

/**
 * The mailbox can do nothing until a person acts. Its one event tells Slack, however often this is called. With
 * `unchanged_since` only a mailbox that nothing has happened to since.
 */
export async function recordLost(
  ctx: Ctx,
  ref: MailboxRef,
  status: MailboxStatus,
  failure: Failure,
  unchanged_since: Date | null = null,
): Promise<void> {
  const event_id = ctx.newId()
  const [lost] = await doorOf(ctx, ref).batch([
    repo.markLost({
      id: ref.mailbox_id,
      org_id: ref.org_id,
      status,
      error: describe(ctx, failure),
      now: ctx.clock.now(),
      event_id,
      audit_id: ctx.newId(),
      unchanged_since,
    }),
  ])
  if (lost.rows.length > 0 && status !== 'paused') kick(ctx, [event_id])
}

/** Whether an address is also somebody else's mailbox here. */
export async function isConnectedElsewhere(
  ctx: Ctx,
  { mailbox_id, provider, email }: { mailbox_id: string; provider: string; email: string },
): Promise<boolean> {
  const [found] = await ctx.db.nobody().batch([repo.findByAddress(provider, email)])
  return found.rows.some((row) => row.mailbox_id !== mailbox_id)
}

export async function openGap(
  ctx: Ctx,
  ref: MailboxRef,
  gap: { lost_cursor: string; new_cursor: string; since: Date },
): Promise<string> {
  // Of what was lost, so that a run that dies after it leaves no second row which nothing would ever close.
  const id = await derivedUuid(`gap:${ref.mailbox_id}:${gap.lost_cursor}`)
  const { since, ...cursors } = gap
  await doorOf(ctx, ref).batch([
    repo.insertGap({
      id,
      org_id: ref.org_id,
      mailbox_id: ref.mailbox_id,
      ...cursors,
      searched_from_at: since,
      detected_at: ctx.clock.now(),
    }),
  ])
  return id
}

export async function closeGap(ctx: Ctx, ref: MailboxRef, gap_id: string, recovered: number): Promise<void> {
  await doorOf(ctx, ref).batch([repo.closeGap(gap_id, recovered, ctx.clock.now())])
}

export async function listKnownMessages(
  ctx: Ctx,
  ref: MailboxRef,
  provider_ids: string[],
): Promise<{ known: Set<string>; own_addresses: string[] }> {
  const [rows, mailboxes] = await doorOf(ctx, ref).batch([
    repo.listKnown(ref.mailbox_id, provider_ids),
    repo.listOwnAddresses(),
  ])
  return {
    known: new Set(rows.flatMap((row) => (row.id === null ? [] : [row.id]))),
    own_addresses: mailboxes.flatMap((mailbox) => [mailbox.email_norm, ...mailbox.send_as]),
  }
}

function describe(ctx: Ctx, failure: Failure) {
  return { code: failure.code, message: failure.message, at: ctx.clock.now().toISOString() }
}
