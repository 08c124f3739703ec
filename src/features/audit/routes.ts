import { requireUser, userOf } from '#http/auth'
import { createRoute, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { auditPage, auditQuery, auditVerification } from './schema'
import { listAudit, verifyAudit } from './service'

const tags = ['Audit']
const middleware = requireUser('owner', 'admin')

const list = createRoute({
  method: 'get',
  path: '/audit-logs',
  tags,
  summary: 'Who did what, newest first',
  security: userSecurity,
  middleware,
  request: { query: auditQuery },
  responses: responses(200, auditPage, 400, 401, 403),
})

const verify = createRoute({
  method: 'get',
  path: '/audit-logs/verify',
  tags,
  summary: 'Recompute the hash chain',
  security: userSecurity,
  middleware,
  responses: responses(200, auditVerification, 401, 403),
})

export const auditRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, from, to, ...filter } = c.req.valid('query')
    const range = { ...(from ? { from: new Date(from) } : {}), ...(to ? { to: new Date(to) } : {}) }
    return c.json(
      await listAudit(ctx, userOf(ctx).org_id, { ...filter, ...range }, { limit, after: readCursor(cursor) }),
      200,
    )
  })
  .openapi(verify, async (c) => c.json(await verifyAudit(c.get('ctx'), userOf(c.get('ctx')).org_id), 200))
