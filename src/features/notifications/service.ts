import { notFound } from '#kernel/errors'
import { type Cursor, toPage } from '#kernel/page'
import type { Ctx } from '#platform/context'
import * as repo from './repo'

/** Notifications are a user's own: nobody reads or ticks off another's. */
export interface Reader {
  org_id: string
  user_id: string
  visibility: 'all'
}

export async function listNotifications(
  ctx: Ctx,
  reader: Reader,
  filter: { unread?: boolean },
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db
    .org(reader)
    .batch([repo.listNotifications(reader.user_id, filter, page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.created_at)
}

export async function readNotification(ctx: Ctx, reader: Reader, id: string) {
  const [[notification]] = await ctx.db
    .org(reader)
    .batch([repo.markRead(reader.user_id, id, ctx.clock.now())])
  if (!notification) throw notFound('The notification')
  return notification
}

export async function readAllNotifications(ctx: Ctx, reader: Reader): Promise<{ read: number }> {
  const [rows] = await ctx.db.org(reader).batch([repo.markAllRead(reader.user_id, ctx.clock.now())])
  return { read: rows.length }
}
