import { requireUser, scopeOf, userOf } from '#http/auth'
import { setEtag } from '#http/etag'
import { createRoute, idParam, jsonBody, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { mailTemplateRoutes } from './templates'
import { answerIn, resolveIn, sendOut, sendPage, sendsQuery } from '../schema'
import { answerConversation } from '../service/answer-conversation'
import { getSend, listSends, resolveSend } from '../service/manage-sends'
import { resend } from '../service/resend'

export { postmarkEventRoutes } from './postmark-events'
export { unsubscribeRoutes } from './unsubscribe'

const tags = ['Sends']
const middleware = requireUser()

const list = createRoute({
  method: 'get',
  path: '/sends',
  tags,
  summary: 'All outgoing mail, newest first',
  security: userSecurity,
  middleware,
  request: { query: sendsQuery },
  responses: responses(200, sendPage, 400, 401),
})

const get = createRoute({
  method: 'get',
  path: '/sends/{id}',
  tags,
  summary: 'One send: its state, and why it waits or was not sent',
  security: userSecurity,
  middleware,
  request: { params: idParam },
  responses: responses(200, sendOut, 400, 401, 404),
})

const resolve = createRoute({
  method: 'post',
  path: '/sends/{id}/resolve',
  tags,
  summary: 'Decide on a send in review, after a look into the mailbox',
  security: userSecurity,
  middleware,
  request: { params: idParam, body: jsonBody(resolveIn) },
  responses: responses(200, sendOut, 400, 401, 404, 409),
})

const answer = createRoute({
  method: 'post',
  path: '/conversations/{id}/messages',
  tags: ['Conversations'],
  summary: 'Answer by hand, in the same thread, to the sender of the newest message',
  security: userSecurity,
  middleware,
  request: { params: idParam, body: jsonBody(answerIn) },
  responses: responses(201, sendOut, 400, 401, 404, 422),
})

const again = createRoute({
  method: 'post',
  path: '/sends/{id}/resend',
  tags,
  summary: 'Send an acknowledgement or an alert again, worded anew',
  security: userSecurity,
  middleware: requireUser('owner', 'admin', 'manager'),
  request: { params: idParam },
  responses: responses(201, sendOut, 400, 401, 403, 404, 409, 422),
})

export const sendRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, to, ...filter } = c.req.valid('query')
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listSends(ctx, scopeOf(ctx), { ...filter, to_email: to }, page), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const send = await getSend(ctx, scopeOf(ctx), c.req.valid('param').id)
    setEtag(c, send.updated_at)
    return c.json(send, 200)
  })
  .openapi(resolve, async (c) => {
    const ctx = c.get('ctx')
    const { outcome } = c.req.valid('json')
    return c.json(await resolveSend(ctx, scopeOf(ctx), c.req.valid('param').id, outcome), 200)
  })
  .openapi(again, async (c) => {
    const ctx = c.get('ctx')
    const scope = { ...scopeOf(ctx), user_id: userOf(ctx).user_id }
    return c.json(await resend(ctx, scope, c.req.valid('param').id), 201)
  })
  .openapi(answer, async (c) => {
    const ctx = c.get('ctx')
    const input = { conversation_id: c.req.valid('param').id, text: c.req.valid('json').text }
    return c.json(await answerConversation(ctx, scopeOf(ctx), input), 201)
  })
  .route('/', mailTemplateRoutes)
