import { recordAudit } from '#features/audit'
import { realChange } from '#kernel/change'
import { AppError, notFound } from '#kernel/errors'
import { isReservedSlug } from '#kernel/slug'
import type { Ctx } from '#platform/context'
import { keepInDirectory } from '#platform/directory'
import { refuseTarget } from '#platform/http-client'
import * as repo from './repo'
import type { OrganizationChange, OrganizationOut } from './schema'

export async function readOrganization(ctx: Ctx, id: string): Promise<OrganizationOut> {
  const [[row]] = await ctx.db.org({ org_id: id, visibility: 'all' }).batch([repo.findById(id)])
  if (!row) throw notFound('The organization')
  return toOrganization(row)
}

/** `mayChange` judges If-Match by the version that it is given; `null`: the caller did not ask. */
export async function changeOrganization(
  ctx: Ctx,
  id: string,
  change: OrganizationChange,
  mayChange: ((updated_at: Date) => boolean) | null,
): Promise<OrganizationOut> {
  const set = await toSettings(ctx, id, change)
  const door = ctx.db.org({ org_id: id, visibility: 'all' })
  const [[current]] = await door.batch([repo.findById(id)])
  if (!current) throw notFound('The organization')
  if (mayChange && !mayChange(current.updated_at)) throw stale()
  const fields = Object.keys(realChange(current, set))
  if (fields.length === 0) return toOrganization(current)
  const [, , [changed]] = await door
    .batch([
      repo.update(id, set, ctx.clock.now(), mayChange ? current.updated_at : null),
      recordAudit(ctx, {
        org_id: id,
        action: 'organization.updated',
        entity: 'organization',
        entity_id: id,
        fields,
      }),
      repo.findById(id),
    ])
    .catch((error: unknown) => {
      if (repo.isLostRace(error)) throw stale()
      if (repo.isTakenSlug(error)) throw slugTaken()
      throw error
    })
  if (changed && fields.some((field) => inDirectory.includes(field))) keepInDirectory(ctx, changed)
  return toOrganization(changed ?? current)
}

/** What has to be known of an organization while the database is down. */
const inDirectory = ['slug', 'form_allowed_origins', 'form_redirect_url']

/** Settings as they are stored. Throws what the schema alone cannot judge. */
export async function toSettings(
  ctx: Ctx,
  id: string,
  { slack_webhook_url, ...set }: OrganizationChange,
): Promise<repo.OrganizationSet> {
  if (set.slug !== undefined && isReservedSlug(set.slug)) throw slugTaken()
  const settings = Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined))
  if (slack_webhook_url === undefined) return settings
  if (slack_webhook_url === null) return { ...settings, slack_webhook_sealed: null }
  const refusal = refuseTarget(slack_webhook_url, ctx.config.EGRESS_ALLOWED_ORIGINS)
  if (refusal) {
    const errors = [{ path: 'slack_webhook_url', message: refusal.message }]
    throw new AppError('unprocessable', `The Slack webhook cannot be used. ${refusal.message}`, { errors })
  }
  return { ...settings, slack_webhook_sealed: await ctx.seal(slack_webhook_url, `organization:${id}:slack`) }
}

export function toOrganization({
  slack_webhook_sealed,
  erasure_key_sealed: _erasure_key_sealed,
  ...row
}: repo.OrganizationRow): OrganizationOut {
  return { ...row, slack_webhook_configured: slack_webhook_sealed !== null }
}

export function slugTaken(): AppError {
  return new AppError('conflict', 'This slug is taken. Please choose another one.')
}

function stale(): AppError {
  return new AppError('precondition_failed', 'It has changed since you read it. Read it again.')
}
