import { requireUser, scopeOf } from '#http/auth'
import {
  createRoute,
  emptyResponses,
  idParam,
  jsonBody,
  pageQuery,
  responses,
  userSecurity,
} from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { createdSiteToken, newSiteToken, siteTokenPage } from '../schema'
import { createSiteToken, listSiteTokens, revokeSiteToken } from '../service/manage-site-tokens'

const shared = {
  tags: ['Site tokens'],
  security: userSecurity,
  middleware: requireUser('owner', 'admin'),
}

const list = createRoute({
  ...shared,
  method: 'get',
  path: '/site-tokens',
  summary: 'The tokens by which sites post leads, newest first, revoked ones too',
  request: { query: pageQuery },
  responses: responses(200, siteTokenPage, 400, 401, 403),
})

const post = createRoute({
  ...shared,
  method: 'post',
  path: '/site-tokens',
  summary: 'Make a token for POST /inbound/leads; it is shown this once, at most 50 are active',
  request: { body: jsonBody(newSiteToken) },
  responses: responses(201, createdSiteToken, 400, 401, 403, 409, 413, 415, 422),
})

const remove = createRoute({
  ...shared,
  method: 'delete',
  path: '/site-tokens/{id}',
  summary: 'Revoke a token for good; again changes nothing. Leads that came before still count',
  request: { params: idParam },
  responses: emptyResponses(400, 401, 403, 404),
})

export const siteTokenRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor } = c.req.valid('query')
    return c.json(await listSiteTokens(ctx, scopeOf(ctx), { limit, after: readCursor(cursor) }), 200)
  })
  .openapi(post, async (c) => {
    const ctx = c.get('ctx')
    const token = await createSiteToken(ctx, scopeOf(ctx), c.req.valid('json').name)
    c.header('Cache-Control', 'no-store')
    return c.json(token, 201)
  })
  .openapi(remove, async (c) => {
    const ctx = c.get('ctx')
    await revokeSiteToken(ctx, scopeOf(ctx), c.req.valid('param').id)
    return c.body(null, 204)
  })
