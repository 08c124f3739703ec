// What people do with drafts. Each batch begins with the conversation, like the sending gate and the ingest: whoever holds its
// row decides first, and the other one sees what was decided.
import { recordAudit } from '#features/audit'
import { touchByPerson } from '#features/conversations'
import { cancelReply, enqueueDelivery, isErasedSuppressed, scheduleReply } from '#features/sending'
import type { Scope } from '#kernel/actor'
import { addSeconds } from '#kernel/clock'
import { normalizeEmail } from '#kernel/email-address'
import { AppError, notFound } from '#kernel/errors'
import type { EventType } from '#kernel/event'
import { type Cursor, toPage } from '#kernel/page'
import type { DraftStatus } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import { canTakeBack, type DraftAction, refuse } from '../policy/transitions'
import * as repo from '../repo/drafts'

/** The person who acts, and what they believe to change. */
export interface Decision {
  scope: Scope & { user_id: string }
  id: string
  matches: ((version: number) => boolean) | null
}

export async function listDrafts(
  ctx: Ctx,
  scope: Scope,
  filter: { status?: DraftStatus | undefined },
  page: { limit: number; after: Cursor | null },
) {
  const [rows] = await ctx.db.org(scope).batch([repo.list(filter, page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.created_at)
}

export async function getDraft(ctx: Ctx, scope: Scope, id: string) {
  const [[draft]] = await ctx.db.org(scope).batch([repo.findById(id)])
  if (!draft) throw notFound('The draft')
  return draft
}

/** A reply in its undo window is called back by editing it; somebody has to approve it anew. */
export async function editDraft(ctx: Ctx, decision: Decision, text: string) {
  const { draft } = await load(ctx, decision, 'edit')
  return store(ctx, decision, draft, {
    action: 'draft.edited',
    fields: ['text'],
    set: {
      status: 'ready',
      text,
      edited: text !== draft.generated_text,
      ...(canTakeBack(draft) ? { decision: 'needs_review', decided_at: null, decided_by: null } : {}),
    },
  })
}

export async function approveDraft(ctx: Ctx, decision: Decision, given: string | undefined) {
  const { scope, id } = decision
  const { draft, answer } = await load(ctx, decision, 'approve')
  const text = given ?? draft.text
  if (text.trim() === '')
    throw new AppError('unprocessable', 'The draft has no text. Write one, or send it along.')
  const { from_email } = answer.message
  if (from_email === null) throw new AppError('unprocessable', 'The message has no address to answer to.')
  const erased = {
    org_id: scope.org_id,
    to_email: normalizeEmail(from_email) ?? from_email,
    erasure_key_sealed: answer.erasure_key_sealed,
  }
  if (answer.suppressed || (await isErasedSuppressed(ctx, erased)))
    throw new AppError('unprocessable', 'The recipient is on the suppression list.')
  const send_id = ctx.newId()
  const now = ctx.clock.now()
  const due_at = addSeconds(now, answer.undo_seconds)
  const approved = await store(ctx, decision, draft, {
    action: 'draft.approved',
    fields: text === draft.text ? ['status'] : ['status', 'text'],
    set: {
      status: 'approved',
      text,
      edited: text !== draft.generated_text,
      decided_by: scope.user_id,
      decided_at: now,
      send_id,
    },
    also: [
      scheduleReply(ctx, {
        id: send_id,
        org_id: scope.org_id,
        draft_id: id,
        conversation_id: draft.conversation_id,
        lead_id: draft.lead_id,
        message: { ...answer.message, from_email },
        provider_thread_id: answer.provider_thread_id,
        mailbox_id: answer.mailbox_id,
        text,
        automatic: false,
        due_at,
        created_by: scope.user_id,
        dedupe_key: `reply:${draft.message.id}:${draft.generation}`,
      }),
    ],
  })
  enqueueDelivery(ctx, { org_id: scope.org_id, send_id, due_at })
  return approved
}

export async function rejectDraft(ctx: Ctx, decision: Decision, reason: string | undefined) {
  const { draft } = await load(ctx, decision, 'reject')
  return store(ctx, decision, draft, {
    action: 'draft.rejected',
    fields: ['status'],
    set: {
      status: 'rejected',
      reject_reason: reason ?? null,
      decided_by: decision.scope.user_id,
      decided_at: ctx.clock.now(),
      lease_until: null,
    },
  })
}

/** Asks the AI anew. What comes is for a person to decide, because one has acted. */
export async function regenerateDraft(ctx: Ctx, decision: Decision, instruction: string | undefined) {
  const { draft } = await load(ctx, decision, 'regenerate')
  return store(ctx, decision, draft, {
    action: 'draft.regenerated',
    fields: ['status'],
    event: { type: 'draft.requested', payload: { draft_id: draft.id, message_id: draft.message.id } },
    set: {
      status: 'pending',
      generation: draft.generation + 1,
      instruction: instruction ?? null,
      attempts: 0,
      lease_until: null,
      decision: null,
      gate: [],
      ai_failure: null,
      reject_reason: null,
      decided_by: null,
      decided_at: null,
    },
  })
}

type Shown = Awaited<ReturnType<typeof repo.findById>>[number]

async function load(ctx: Ctx, { scope, id, matches }: Decision, action: DraftAction) {
  const [[draft], { rows }] = await ctx.db.org(scope).batch([repo.findById(id), repo.findAnswerable(id)])
  const answer = rows[0]?.answer
  if (!draft || !answer) throw notFound('The draft')
  if (matches !== null && !matches(draft.version)) throw changed('precondition_failed')
  const refusal = refuse(action, draft)
  if (refusal !== null) throw new AppError('conflict', refusal)
  return { draft, answer }
}

async function store(
  ctx: Ctx,
  { scope, matches }: Decision,
  draft: Shown,
  change: {
    action: string
    fields: string[]
    set: repo.DraftChange
    event?: { type: EventType; payload: Record<string, string> }
    also?: ReturnType<typeof scheduleReply>[]
  },
): Promise<Shown> {
  const { org_id } = scope
  const { id, conversation_id } = draft
  const updated_at = ctx.clock.now()
  const events = [
    { type: 'conversation.updated' as const, payload: { conversation_id } },
    ...(change.event ? [change.event] : []),
  ].map((event) => ({ ...event, id: ctx.newId(), org_id }))
  const set = { ...change.set, updated_at }
  const write = canTakeBack(draft)
    ? [
        cancelReply(ctx, { org_id, draft_id: id, reason: 'called_back_by_a_person' }),
        repo.takeBack(id, draft.version, set),
      ]
    : [repo.update(id, draft.version, set)]
  const results = await ctx.db
    .org(scope)
    .batch([
      touchByPerson(ctx, { org_id, conversation_id }),
      ...write,
      ...(change.also ?? []),
      recordAudit(ctx, {
        org_id,
        action: change.action,
        entity: 'draft',
        entity_id: id,
        fields: change.fields,
      }),
      ...events.map((event) => recordEvent(ctx, event)),
      repo.findById(id),
    ])
    .catch((error: unknown) => {
      throw repo.isLostRace(error) ? changed(matches === null ? 'conflict' : 'precondition_failed') : error
    })
  kick(
    ctx,
    events.map((event) => event.id),
  )
  const [shown] = results.at(-1) as Shown[]
  if (!shown) throw notFound('The draft')
  return shown
}

function changed(code: 'conflict' | 'precondition_failed'): AppError {
  return new AppError(code, 'The draft has changed meanwhile. Read it again.')
}
