import { requireOperator } from '#http/auth'
import { createRoute, idParam, operatorSecurity, responses } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import * as schema from '../schema'
import * as service from '../service/manage-queue'

const shared = { tags: ['Operator'], security: operatorSecurity, middleware: requireOperator }

const stats = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/queue/stats',
  summary: 'How much waits in the ingest buffers, and how much died there',
  responses: responses(200, schema.queueStats, 401),
})
const flush = createRoute({
  ...shared,
  method: 'post',
  path: '/admin/queue/flush',
  summary: 'Store what waits, now',
  description: 'Answers how it went. What the database does not take yet waits on.',
  responses: responses(200, schema.queueFlushed, 401),
})
const clear = createRoute({
  ...shared,
  method: 'delete',
  path: '/admin/queue/clear',
  summary: 'Remove what waits, or what died, for good',
  description:
    '`confirm` is how many there are: the `depth` of the stats, or `dead` with `state=dead`. Another number is 409 and removes nothing. Answers what was removed; read the items first if they are still needed.',
  request: { query: schema.clearQuery },
  responses: responses(200, schema.queueCleared, 400, 401, 409),
})
const list = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/queue/items',
  summary: 'What the ingest buffers hold, latest first; nothing of what it says',
  request: { query: schema.queueQuery },
  responses: responses(200, schema.queueItemPage, 400, 401),
})
const get = createRoute({
  ...shared,
  method: 'get',
  path: '/admin/queue/items/{id}',
  summary: 'One item opened, to repair it',
  description: 'It is on record who has read it. `payload` is null where no key that is configured opens it.',
  request: { params: idParam },
  responses: responses(200, schema.queueItemDetail, 400, 401, 404),
})
const replay = createRoute({
  ...shared,
  method: 'post',
  path: '/admin/queue/items/{id}/replay',
  summary: 'Try one item again, repaired or as it is',
  description:
    '`patch` is a JSON merge patch (RFC 7396) of the payload. Answers what became of it: `stored`, `known` (it was there already), `waiting` (it comes again by itself) or `dead` with the reason.',
  request: {
    params: idParam,
    body: { content: { 'application/json': { schema: schema.queueRepair } }, required: false },
  },
  responses: responses(200, schema.queueReplayed, 400, 401, 404, 413, 422),
})

export const queueRoutes = createRouter()
  .openapi(stats, async (c) => c.json(await service.readQueueStats(c.get('ctx')), 200))
  .openapi(flush, async (c) => c.json(await service.flushQueue(c.get('ctx')), 200))
  .openapi(clear, async (c) => {
    const { state, confirm } = c.req.valid('query')
    return c.json(await service.clearQueue(c.get('ctx'), state, confirm), 200)
  })
  .openapi(list, async (c) => {
    const { state, limit, cursor } = c.req.valid('query')
    return c.json(await service.listQueue(c.get('ctx'), state ?? null, limit, readCursor(cursor)), 200)
  })
  .openapi(get, async (c) => c.json(await service.readQueueItem(c.get('ctx'), c.req.valid('param').id), 200))
  .openapi(replay, async (c) => {
    const { patch, destination } = c.req.valid('json')
    const repair = { ...(patch ? { patch } : {}), ...(destination ? { destination } : {}) }
    return c.json(await service.replayQueueItem(c.get('ctx'), c.req.valid('param').id, repair), 200)
  })
