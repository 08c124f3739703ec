import { requireUser, scopeOf } from '#http/auth'
import { readIfMatch, setEtag } from '#http/etag'
import { createRoute, idParam, ifMatch, jsonBody, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { leadChange, leadDetailOut, leadPage, leadsQuery } from './schema'
import { changeLead, getLead, listLeads } from './service'

const shared = { tags: ['Leads'], security: userSecurity, middleware: requireUser() }

const list = createRoute({
  ...shared,
  method: 'get',
  path: '/leads',
  summary: 'Leads, latest first; `q` looks in address, name, company and subject',
  request: { query: leadsQuery },
  responses: responses(200, leadPage, 400, 401),
})

const get = createRoute({
  ...shared,
  method: 'get',
  path: '/leads/{id}',
  summary: 'One lead with its latest draft, its sends and what was posted about it',
  request: { params: idParam },
  responses: responses(200, leadDetailOut, 400, 401, 404),
})

const patch = createRoute({
  ...shared,
  method: 'patch',
  path: '/leads/{id}',
  summary: 'Change status, assignee or custom fields',
  request: { params: idParam, headers: ifMatch, body: jsonBody(leadChange) },
  responses: responses(200, leadDetailOut, 400, 401, 404, 409, 412, 422),
})

export const leadRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, created_after, ...filter } = c.req.valid('query')
    const since = created_after === undefined ? {} : { created_after: new Date(created_after) }
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listLeads(ctx, scopeOf(ctx), { ...filter, ...since }, page), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const lead = await getLead(ctx, scopeOf(ctx), c.req.valid('param').id)
    setEtag(c, lead.version)
    return c.json(lead, 200)
  })
  .openapi(patch, async (c) => {
    const ctx = c.get('ctx')
    const { id } = c.req.valid('param')
    const lead = await changeLead(ctx, scopeOf(ctx), id, c.req.valid('json'), readIfMatch(c))
    setEtag(c, lead.version)
    return c.json(lead, 200)
  })
