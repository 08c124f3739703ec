import { html } from 'hono/html'
import { requireOperator, requireUser, userOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import {
  createRoute,
  emptyResponses,
  idParam,
  ifMatch,
  jsonBody,
  operatorSecurity,
  responses,
  userSecurity,
} from '#http/openapi'
import { createRouter } from '#http/router'
import * as schema from './schema'
import { finishConnect } from './service/finish-connect'
import {
  disconnect,
  findMailbox,
  listMailboxes,
  readConnectionStatus,
  syncNow,
  updateMailbox,
} from './service/manage'
import { receivePush, verifyPush } from './service/receive-push'
import { startConnect } from './service/start-connect'

const tags = ['Mailboxes']
const anyRole = { tags, security: userSecurity, middleware: requireUser() }
const admins = { tags, security: userSecurity, middleware: requireUser('owner', 'admin') }
const operator = { tags: ['Operator'], security: operatorSecurity, middleware: requireOperator }

const list = createRoute({
  method: 'get',
  path: '/mailboxes',
  summary: 'The connected mailboxes',
  ...anyRole,
  responses: responses(200, schema.mailboxList, 401),
})
const find = createRoute({
  method: 'get',
  path: '/mailboxes/{id}',
  summary: 'One mailbox',
  ...anyRole,
  request: { params: idParam },
  responses: responses(200, schema.mailboxOut, 400, 401, 404),
})
const connect = createRoute({
  method: 'post',
  path: '/mailboxes/connect/{provider}',
  summary: 'Begin to connect a mailbox',
  ...admins,
  request: {
    params: schema.providerParam,
    body: { content: { 'application/json': { schema: schema.connectInput } } },
  },
  responses: responses(200, schema.connectOut, 400, 401, 403, 404, 409),
})
const sync = createRoute({
  method: 'post',
  path: '/mailboxes/{id}/sync',
  summary: 'Ask the provider now',
  ...anyRole,
  request: { params: idParam },
  responses: responses(200, schema.syncOut, 400, 401, 404, 409),
})
const patch = createRoute({
  method: 'patch',
  path: '/mailboxes/{id}',
  summary: 'Change caps and automatic sending',
  ...admins,
  request: { params: idParam, headers: ifMatch, body: jsonBody(schema.mailboxPatch) },
  responses: responses(200, schema.mailboxOut, 400, 401, 403, 404, 412),
})
const remove = createRoute({
  method: 'delete',
  path: '/mailboxes/{id}',
  summary: 'Disconnect: stops the watch, revokes the grant, wipes the tokens',
  ...admins,
  request: { params: idParam },
  responses: emptyResponses(400, 401, 403, 404),
})

export const mailboxRoutes = createRouter()
  .openapi(list, async (c) =>
    c.json({ data: await listMailboxes(c.get('ctx'), userOf(c.get('ctx')).org_id), next_cursor: null }, 200),
  )
  .openapi(find, async (c) => {
    const ctx = c.get('ctx')
    const mailbox = await findMailbox(ctx, userOf(ctx).org_id, c.req.valid('param').id)
    setEtag(c, mailbox.updated_at)
    return c.json(mailbox, 200)
  })
  .openapi(connect, async (c) =>
    c.json(
      await startConnect(
        c.get('ctx'),
        userOf(c.get('ctx')).org_id,
        c.req.valid('param').provider,
        c.req.valid('json'),
      ),
      200,
    ),
  )
  .openapi(sync, async (c) =>
    c.json(await syncNow(c.get('ctx'), userOf(c.get('ctx')).org_id, c.req.valid('param').id), 200),
  )
  .openapi(patch, async (c) => {
    const ctx = c.get('ctx')
    const { id } = c.req.valid('param')
    const mailbox = await updateMailbox(ctx, userOf(ctx).org_id, id, c.req.valid('json'), readIfMatch(c))
    setEtag(c, mailbox.updated_at)
    return c.json(mailbox, 200)
  })
  .openapi(remove, async (c) => {
    await disconnect(c.get('ctx'), userOf(c.get('ctx')).org_id, c.req.valid('param').id)
    return c.body(null, 204)
  })

const status = createRoute({
  method: 'get',
  path: '/admin/clients/{id}/connection-status',
  summary: "An organization's mailboxes, how they are, and what they missed",
  ...operator,
  request: { params: idParam },
  responses: responses(200, schema.connectionStatusOut, 400, 401, 404),
})
const connectClient = createRoute({
  method: 'post',
  path: '/admin/clients/{id}/connect/{provider}',
  summary: 'Begin to connect a mailbox of an organization',
  ...operator,
  request: {
    params: schema.clientProviderParam,
    body: { content: { 'application/json': { schema: schema.connectInput } } },
  },
  responses: responses(200, schema.connectOut, 400, 401, 404, 409),
})
const disconnectClient = createRoute({
  method: 'post',
  path: '/admin/clients/{id}/disconnect',
  summary: 'Disconnect one mailbox of an organization, or all',
  ...operator,
  request: { params: idParam, body: { content: { 'application/json': { schema: schema.disconnectInput } } } },
  responses: responses(200, schema.disconnectOut, 400, 401, 404),
})
const callback = createRoute({
  method: 'get',
  path: '/oauth/{provider}/callback',
  tags: ['OAuth'],
  summary: 'Where the provider sends the person back to',
  request: { params: schema.providerParam, query: schema.callbackQuery },
  responses: {
    200: {
      description: 'A page that says how it went, when no console is configured',
      content: { 'text/html': { schema: { type: 'string' } } },
    },
    302: { description: 'To the console' },
    ...emptyResponses(400, 409, 422),
  },
})
const push = createRoute({
  method: 'post',
  path: '/webhooks/gmail/push',
  tags: ['Webhooks'],
  summary: "Gmail's push, by Pub/Sub",
  request: { body: jsonBody(schema.pushInput) },
  responses: emptyResponses(400, 401, 413),
})

export const mailboxRootRoutes = createRouter()
  .openapi(status, async (c) =>
    c.json(await readConnectionStatus(c.get('ctx'), c.req.valid('param').id), 200),
  )
  .openapi(connectClient, async (c) => {
    const { id, provider } = c.req.valid('param')
    return c.json(await startConnect(c.get('ctx'), id, provider, c.req.valid('json')), 200)
  })
  .openapi(disconnectClient, async (c) =>
    c.json(await disconnect(c.get('ctx'), c.req.valid('param').id, c.req.valid('json').mailbox_id), 200),
  )
  .openapi(callback, async (c) => {
    const ctx = c.get('ctx')
    const { mailbox_id, email, status: state } = await finishConnect(ctx, new URL(c.req.url).searchParams)
    if (ctx.config.FRONTEND_URL !== undefined)
      return c.redirect(`${ctx.config.FRONTEND_URL}/mailboxes/${mailbox_id}?status=${state}`, 302)
    return c.html(html`<!doctype html><html lang="en"><meta charset="utf-8"><title>Inlet</title>
      <main data-mailbox-id="${mailbox_id}" data-status="${state}"><h1>${email}</h1><p>Status: ${state}. You can close this page.</p></main></html>`)
  })

// Verified before the body is parsed: a stranger learns nothing about what would be accepted.
mailboxRootRoutes.use('/webhooks/gmail/push', async (c, next) => {
  await verifyPush(c.get('ctx'), c.req.header('Authorization'), c.req.query('token'))
  await next()
})
mailboxRootRoutes.openapi(push, async (c) => {
  await receivePush(c.get('ctx'), c.req.valid('json').message.data)
  return c.body(null, 204)
})
