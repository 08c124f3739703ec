import type { Scope } from '#kernel/actor'
import { notFound } from '#kernel/errors'
import { type Cursor, toPage } from '#kernel/page'
import type { Ctx } from '#platform/context'
import * as repo from '../repo/contacts'

export async function listContacts(
  ctx: Ctx,
  scope: Scope,
  filter: Parameters<typeof repo.list>[0],
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db.org(scope).batch([repo.list(filter, page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.created_at)
}

export async function getContact(ctx: Ctx, scope: Scope, id: string) {
  const [[contact]] = await ctx.db.org(scope).batch([repo.findById(id)])
  if (!contact) throw notFound('The contact')
  return contact
}
