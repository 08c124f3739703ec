import ipaddr from 'ipaddr.js'
import type { Actor } from '#kernel/actor'
import { actorId } from '#kernel/actor'
import { type Cursor, toPage } from '#kernel/page'
import type { Ctx } from '#platform/context'
import * as repo from './repo'

/** Ids and names of fields: what changed, never what it says. */
export interface AuditEntry {
  org_id: string
  action: string
  entity: string
  entity_id: string
  fields?: string[]
  actor?: Actor
}

/** The statement that records who did what. Batch it with the change itself: both are there, or neither. */
export function recordAudit(ctx: Ctx, entry: AuditEntry) {
  const actor = entry.actor ?? ctx.actor
  return repo.insert({
    id: ctx.newId(),
    org_id: entry.org_id,
    at: ctx.clock.now(),
    actor_type: actor.type,
    actor_id: actorId(actor),
    action: entry.action,
    entity: entry.entity,
    entity_id: entry.entity_id,
    fields: entry.fields ?? [],
    request_id: ctx.origin.request_id,
    ip: truncateIp(ctx.origin.ip),
  })
}

/** /24 or /48: enough to see a pattern, too little to find a person. */
export function truncateIp(ip: string | null): string | null {
  if (ip === null || !ipaddr.isValid(ip)) return null
  const address = ipaddr.process(ip)
  return address instanceof ipaddr.IPv6
    ? `${address.parts
        .slice(0, 3)
        .map((part) => part.toString(16))
        .join(':')}::/48`
    : `${address.octets.slice(0, 3).join('.')}.0/24`
}

const CHAIN_LIMIT = 1000

export async function listAudit(
  ctx: Ctx,
  org_id: string,
  filter: Parameters<typeof repo.list>[0],
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([repo.list(filter, page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.at)
}

/** Chains what is left, then recomputes every link. */
export async function verifyAudit(
  ctx: Ctx,
  org_id: string,
): Promise<{ ok: boolean; checked: number; unchained: number; broken_at?: number }> {
  const door = ctx.db.org({ org_id, visibility: 'all' })
  for (;;) {
    const [chained] = await door.batch([repo.chain(org_id, CHAIN_LIMIT)])
    if ((chained.rows[0]?.chained ?? 0) < CHAIN_LIMIT) break
  }
  const [verified] = await door.batch([repo.verify(org_id)])
  const { checked, unchained, broken_at } = verified.rows[0]?.result ?? {
    checked: 0,
    unchained: 0,
    broken_at: null,
  }
  return {
    ok: broken_at === null && unchained === 0,
    checked,
    unchained,
    ...(broken_at === null ? {} : { broken_at }),
  }
}
