import { requireUser, userOf } from '#http/auth'
import { createRoute, idParam, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import type { Ctx } from '#platform/context'
import { notificationOut, notificationPage, notificationsQuery, readAllOut } from './schema'
import { listNotifications, type Reader, readAllNotifications, readNotification } from './service'

const shared = { tags: ['Notifications'], security: userSecurity, middleware: requireUser() }

const list = createRoute({
  ...shared,
  method: 'get',
  path: '/notifications',
  summary: 'What the product tells you, newest first',
  request: { query: notificationsQuery },
  responses: responses(200, notificationPage, 400, 401),
})

const read = createRoute({
  ...shared,
  method: 'post',
  path: '/notifications/{id}/read',
  summary: 'Tick one off; again changes nothing',
  request: { params: idParam },
  responses: responses(200, notificationOut, 400, 401, 404),
})

const readAll = createRoute({
  ...shared,
  method: 'post',
  path: '/notifications/read-all',
  summary: 'Tick all off; answers how many were unread',
  responses: responses(200, readAllOut, 401),
})

export const notificationRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, unread } = c.req.valid('query')
    const filter = unread === undefined ? {} : { unread: unread === 'true' }
    const page = { limit, after: readCursor(cursor) }
    return c.json(await listNotifications(ctx, readerOf(ctx), filter, page), 200)
  })
  .openapi(readAll, async (c) =>
    c.json(await readAllNotifications(c.get('ctx'), readerOf(c.get('ctx'))), 200),
  )
  .openapi(read, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await readNotification(ctx, readerOf(ctx), c.req.valid('param').id), 200)
  })

function readerOf(ctx: Ctx): Reader {
  const { org_id, user_id } = userOf(ctx)
  return { org_id, user_id, visibility: 'all' }
}
