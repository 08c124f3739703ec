import { recordAudit } from '#features/audit'
import { findMember } from '#features/auth'
import type { Scope } from '#kernel/actor'
import { realChange } from '#kernel/change'
import { AppError, notFound } from '#kernel/errors'
import { type Cursor, toPage } from '#kernel/page'
import type { Channel } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import * as repo from './repo'
import type { ConversationChange } from './schema'

interface PageRequest {
  limit: number
  after: Cursor | null
}

export async function listConversations(
  ctx: Ctx,
  scope: Scope,
  filter: repo.ConversationFilter,
  page: PageRequest,
) {
  const [rows] = await ctx.db.org(scope).batch([repo.list(filter, page.limit + 1, page.after)])
  return toPage(rows, page.limit, (row) => row.last_message_at)
}

export async function getConversation(ctx: Ctx, scope: Scope, id: string) {
  const [[conversation]] = await ctx.db.org(scope).batch([repo.findById(id)])
  if (!conversation) throw notFound('The conversation')
  return conversation
}

export async function changeConversation(
  ctx: Ctx,
  scope: Scope,
  id: string,
  change: ConversationChange,
  /** `null`: the caller does not mind what it was. */
  matches: ((version: number) => boolean) | null,
) {
  const door = ctx.db.org(scope)
  const [[current], [member]] = await door.batch([repo.findById(id), findMember(change.assignee_id ?? null)])
  if (!current) throw notFound('The conversation')
  if (matches !== null && !matches(current.version)) throw changed('precondition_failed')
  if (change.assignee_id && !member)
    throw new AppError('unprocessable', 'The assignee is no member of the organization.')
  const set = realChange(current, change)
  const fields = Object.keys(set)
  if (fields.length === 0) return current

  const now = ctx.clock.now()
  const event_id = ctx.newId()
  const [, , , [shown]] = await door
    .batch([
      repo.update(id, current.version, { ...set, last_human_activity_at: now, updated_at: now }),
      recordAudit(ctx, {
        org_id: scope.org_id,
        action: 'conversation.updated',
        entity: 'conversation',
        entity_id: id,
        fields,
      }),
      conversationUpdated(ctx, scope.org_id, event_id, id),
      repo.findById(id),
    ])
    .catch((error: unknown) => {
      throw repo.isLostRace(error) ? changed(matches === null ? 'conflict' : 'precondition_failed') : error
    })
  kick(ctx, [event_id])
  if (!shown) throw notFound('The conversation')
  return shown
}

function changed(code: 'conflict' | 'precondition_failed'): AppError {
  return new AppError(code, 'The conversation has changed since you read it. Read it again.')
}

export async function listMessages(ctx: Ctx, scope: Scope, conversation_id: string, page: PageRequest) {
  const [[conversation], rows] = await ctx.db
    .org(scope)
    .batch([repo.exists(conversation_id), repo.listMessages(conversation_id, page.limit + 1, page.after)])
  if (!conversation) throw notFound('The conversation')
  return toPage(rows, page.limit, (row) => row.received_at)
}

export async function listComments(ctx: Ctx, scope: Scope, conversation_id: string, page: PageRequest) {
  const [[conversation], rows] = await ctx.db
    .org(scope)
    .batch([repo.exists(conversation_id), repo.listComments(conversation_id, page.limit + 1, page.after)])
  if (!conversation) throw notFound('The conversation')
  return toPage(rows, page.limit, (row) => row.created_at)
}

export async function addComment(
  ctx: Ctx,
  scope: Scope & { user_id: string },
  conversation_id: string,
  body: string,
) {
  const { org_id, user_id: author_id } = scope
  const id = ctx.newId()
  const event_id = ctx.newId()
  const [, , , , [comment]] = await ctx.db
    .org(scope)
    .batch([
      repo.insertComment({ id, org_id, conversation_id, author_id, body, created_at: ctx.clock.now() }),
      touchByPerson(ctx, { org_id, conversation_id }),
      recordAudit(ctx, { org_id, action: 'comment.created', entity: 'comment', entity_id: id }),
      conversationUpdated(ctx, org_id, event_id, conversation_id),
      repo.findComment(id),
    ])
    .catch((error: unknown) => {
      throw repo.isUnknownConversation(error) ? notFound('The conversation') : error
    })
  kick(ctx, [event_id])
  if (!comment) throw notFound('The comment')
  return comment
}

function conversationUpdated(ctx: Ctx, org_id: string, id: string, conversation_id: string) {
  return recordEvent(ctx, { id, org_id, type: 'conversation.updated', payload: { conversation_id } })
}

/** The statement for "a person of the organization did something here": automatic answers hold back from now on. */
export function touchByPerson(
  ctx: Ctx,
  { org_id, conversation_id }: { org_id: string; conversation_id: string },
) {
  return repo.touch(org_id, conversation_id, ctx.clock.now())
}

/** The statement for "our answer left": the conversation now waits for the other side. */
export function markAnswered(
  _ctx: Ctx,
  { org_id, conversation_id, at }: { org_id: string; conversation_id: string; at: Date },
) {
  return repo.markAnswered(org_id, conversation_id, at)
}

interface OutboundMessage {
  id: string
  org_id: string
  conversation_id: string
  channel: Channel
  mailbox_id: string | null
  send_id: string
  /** Null when nobody looked at it before it left. */
  author_id: string | null
  provider_message_id: string | null
  message_id: string | null
  in_reply_to: string | null
  references: string[]
  from_email: string | null
  from_name: string | null
  to: { email: string; name: string }[]
  subject: string
  text: string
  sent_at: Date
}

/** The statement that adds our own message to its thread. The same id or provider message again changes nothing. */
export function recordOutbound(ctx: Ctx, message: OutboundMessage) {
  return repo.insertMessage({
    ...message,
    direction: 'outbound',
    classification: 'own',
    stripped_text: message.text,
    received_at: message.sent_at,
    created_at: ctx.clock.now(),
  })
}
