import { recordAudit } from '#features/audit'
import type { Scope } from '#kernel/actor'
import { AppError, notFound } from '#kernel/errors'
import { type Cursor, type Page, toPage } from '#kernel/page'
import type { Ctx } from '#platform/context'
import * as repo from '../repo/site-tokens'
import type { SiteTokenOut } from '../schema'
import { makeSiteToken } from './site-token'

/** More than anybody has sites; so many that are forgotten are a danger. */
const MAX_ACTIVE = 50

/** The token itself is in the answer and nowhere else. */
export async function createSiteToken(
  ctx: Ctx,
  { org_id, user_id }: Scope,
  name: string,
): Promise<SiteTokenOut & { token: string }> {
  const id = ctx.newId()
  const { token, hash, hint } = await makeSiteToken(ctx.config, org_id, id)
  const row = { id, name, hint, created_by: user_id ?? null, created_at: ctx.clock.now() }
  await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([
      repo.lockOrganization(org_id),
      repo.insert({ ...row, org_id, hash }, MAX_ACTIVE),
      audit(ctx, org_id, 'site_token.created', id, ['name']),
    ])
    .catch((error: unknown) => {
      if (repo.isLostRace(error))
        throw new AppError('unprocessable', `There are ${MAX_ACTIVE} site tokens. Revoke one first.`)
      throw error
    })
  return { ...row, last_used_at: null, revoked_at: null, token }
}

export async function listSiteTokens(
  ctx: Ctx,
  scope: Scope,
  page: { limit: number; after: Cursor | null },
): Promise<Page<SiteTokenOut>> {
  const [rows] = await ctx.db.org(scope).batch([repo.list(page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.created_at)
}

/** From now on it lets nothing in. It stays in the list, and revoking it again changes nothing. */
export async function revokeSiteToken(ctx: Ctx, scope: Scope, id: string): Promise<void> {
  const door = ctx.db.org(scope)
  const [[token]] = await door.batch([repo.findById(id)])
  if (!token) throw notFound('The site token')
  if (token.revoked_at !== null) return
  await door
    .batch([repo.revoke(id, ctx.clock.now()), audit(ctx, scope.org_id, 'site_token.revoked', id)])
    .catch((error: unknown) => {
      // Somebody else was quicker.
      if (!repo.isLostRace(error)) throw error
    })
}

function audit(ctx: Ctx, org_id: string, action: string, entity_id: string, fields: string[] = []) {
  return recordAudit(ctx, { org_id, action, entity: 'site_token', entity_id, fields })
}
