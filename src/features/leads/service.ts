import { recordAudit } from '#features/audit'
import { findMember } from '#features/auth'
import { touchByPerson } from '#features/conversations'
import type { Scope } from '#kernel/actor'
import { realChange } from '#kernel/change'
import { AppError, notFound } from '#kernel/errors'
import { type Cursor, toPage } from '#kernel/page'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import { hasTooMany, MAX_CUSTOM_FIELDS, mergeCustom } from './policy'
import * as repo from './repo'
import type { LeadChange } from './schema'

const SENDS_SHOWN = 20

/** `null`: the caller does not mind which version it changes. */
type Precondition = ((version: number) => boolean) | null

export async function listLeads(
  ctx: Ctx,
  scope: Scope,
  filter: repo.LeadFilter,
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db.org(scope).batch([repo.list(filter, page.limit + 1, page.after)])
  return toPage(repo.toLead(rows), page.limit, (lead) => new Date(lead.received_at))
}

export async function getLead(ctx: Ctx, scope: Scope, id: string) {
  const [found, [draft], sends, notices] = await ctx.db
    .org(scope)
    .batch([
      repo.findById(id),
      repo.findLatestDraft(id),
      repo.listSends(id, SENDS_SHOWN),
      repo.listNotices(id),
    ])
  const [lead] = repo.toLead(found)
  if (!lead) throw notFound('The lead')
  return { ...lead, draft: draft ?? null, sends, notices }
}

export async function changeLead(
  ctx: Ctx,
  scope: Scope,
  id: string,
  change: LeadChange,
  matches: Precondition,
) {
  const door = ctx.db.org(scope)
  const [found, [member]] = await door.batch([repo.findById(id), findMember(change.assignee_id ?? null)])
  const [current] = repo.toLead(found)
  if (!current) throw notFound('The lead')
  if (matches !== null && !matches(current.version)) throw changed('precondition_failed')
  if (change.assignee_id && !member)
    throw new AppError('unprocessable', 'The assignee is no member of the organization.')
  const custom = mergeCustom(current.custom, change.custom)
  if (hasTooMany(current.custom, custom))
    throw new AppError('unprocessable', `A lead has at most ${MAX_CUSTOM_FIELDS} custom fields.`)
  const set = realChange(current, { ...change, custom })
  const fields = Object.keys(set)
  if (fields.length > 0) await store(ctx, scope, current, set, matches)
  return await getLead(ctx, scope, id)
}

async function store(
  ctx: Ctx,
  { org_id, ...scope }: Scope,
  current: { id: string; version: number; first_response_at: string | null; conversation: { id: string } },
  set: Parameters<typeof repo.update>[2],
  matches: Precondition,
): Promise<void> {
  const now = ctx.clock.now()
  const event_id = ctx.newId()
  // Who says that they have been in touch has answered, by whatever way.
  const answered = set.status === 'contacted' && current.first_response_at === null
  const decided = set.status !== undefined || set.assignee_id !== undefined
  const door = ctx.db.org({ org_id, ...scope })
  const write = [
    repo.update(current.id, current.version, {
      ...set,
      ...(answered ? { first_response_at: now } : {}),
      updated_at: now,
    }),
    recordAudit(ctx, {
      org_id,
      action: 'lead.updated',
      entity: 'lead',
      entity_id: current.id,
      fields: Object.keys(set),
    }),
    recordEvent(ctx, { id: event_id, org_id, type: 'lead.updated', payload: { lead_id: current.id } }),
  ] as const
  // The conversation's row first, as everywhere: two that lock in another order would block each other.
  const touched = touchByPerson(ctx, { org_id, conversation_id: current.conversation.id })
  await (decided ? door.batch([touched, ...write]) : door.batch(write)).catch((error: unknown) => {
    throw repo.isLostRace(error) ? changed(matches === null ? 'conflict' : 'precondition_failed') : error
  })
  kick(ctx, [event_id])
}

function changed(code: 'conflict' | 'precondition_failed'): AppError {
  return new AppError(code, 'The lead has changed since you read it. Read it again.')
}

/** The statement for "this is spam": only a lead that nobody has judged yet. */
export function markSpam(ctx: Ctx, { org_id, lead_id }: { org_id: string; lead_id: string }) {
  return repo.markSpam(org_id, lead_id, ctx.clock.now())
}

/**
 * The statement for "our answer left at `at`". Only an answer that a person wrote or approved is the first response that the
 * SLA asks for.
 */
export function markContacted(
  _ctx: Ctx,
  { org_id, lead_id, at, by_person }: { org_id: string; lead_id: string; at: Date; by_person: boolean },
) {
  return repo.markContacted(org_id, lead_id, at, by_person)
}
