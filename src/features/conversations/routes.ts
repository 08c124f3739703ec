import { requireUser, scopeOf, userOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, idParam, ifMatch, jsonBody, pageQuery, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import {
  commentIn,
  commentOut,
  commentPage,
  conversationChange,
  conversationOut,
  conversationPage,
  conversationsQuery,
  messagePage,
} from './schema'
import {
  addComment,
  changeConversation,
  getConversation,
  listComments,
  listConversations,
  listMessages,
} from './service'

const shared = { tags: ['Conversations'], security: userSecurity, middleware: requireUser() }

const list = createRoute({
  ...shared,
  method: 'get',
  path: '/conversations',
  summary: 'The unified inbox, latest message first; `q` looks in subject, address and name',
  request: { query: conversationsQuery },
  responses: responses(200, conversationPage, 400, 401),
})

const get = createRoute({
  ...shared,
  method: 'get',
  path: '/conversations/{id}',
  summary: 'One conversation',
  request: { params: idParam },
  responses: responses(200, conversationOut, 400, 401, 404),
})

const patch = createRoute({
  ...shared,
  method: 'patch',
  path: '/conversations/{id}',
  summary: 'Change status or assignee; an automatic answer that still waits is left to a person',
  request: { params: idParam, headers: ifMatch, body: jsonBody(conversationChange) },
  responses: responses(200, conversationOut, 400, 401, 404, 409, 412, 422),
})

const messages = createRoute({
  ...shared,
  method: 'get',
  path: '/conversations/{id}/messages',
  summary: 'What was said, oldest first, with the reasons of every automatic decision',
  request: { params: idParam, query: pageQuery },
  responses: responses(200, messagePage, 400, 401, 404),
})

const comments = createRoute({
  ...shared,
  method: 'get',
  path: '/conversations/{id}/comments',
  summary: 'Notes between colleagues, oldest first; never sent',
  request: { params: idParam, query: pageQuery },
  responses: responses(200, commentPage, 400, 401, 404),
})

const comment = createRoute({
  ...shared,
  method: 'post',
  path: '/conversations/{id}/comments',
  summary: 'Add a note for colleagues',
  request: { params: idParam, body: jsonBody(commentIn) },
  responses: responses(201, commentOut, 400, 401, 404),
})

export const conversationRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, ...filter } = c.req.valid('query')
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listConversations(ctx, scopeOf(ctx), filter, page), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const conversation = await getConversation(ctx, scopeOf(ctx), c.req.valid('param').id)
    setEtag(c, conversation.version)
    return c.json(conversation, 200)
  })
  .openapi(patch, async (c) => {
    const ctx = c.get('ctx')
    const { id } = c.req.valid('param')
    const change = c.req.valid('json')
    const conversation = await changeConversation(ctx, scopeOf(ctx), id, change, readIfMatch(c))
    setEtag(c, conversation.version)
    return c.json(conversation, 200)
  })
  .openapi(messages, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor } = c.req.valid('query')
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listMessages(ctx, scopeOf(ctx), c.req.valid('param').id, page), 200)
  })
  .openapi(comments, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor } = c.req.valid('query')
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listComments(ctx, scopeOf(ctx), c.req.valid('param').id, page), 200)
  })
  .openapi(comment, async (c) => {
    const ctx = c.get('ctx')
    const scope = { ...scopeOf(ctx), user_id: userOf(ctx).user_id }
    const { body } = c.req.valid('json')
    return c.json(await addComment(ctx, scope, c.req.valid('param').id, body), 201)
  })
