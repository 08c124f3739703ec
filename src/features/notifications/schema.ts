import { instantOut, pageOf, pageQuery, z } from '#http/openapi'

export const notificationsQuery = pageQuery
  .extend({ unread: z.enum(['true', 'false']).optional() })
  .openapi('NotificationsQuery')

export const notificationOut = z
  .object({
    id: z.uuid(),
    type: z.string(),
    entity_type: z.string(),
    entity_id: z.uuid().nullable(),
    title: z.string(),
    body: z.string(),
    read_at: instantOut.nullable(),
    created_at: instantOut,
  })
  .openapi('Notification')

export const notificationPage = pageOf(notificationOut).openapi('NotificationPage')

export const readAllOut = z.object({ read: z.int() }).openapi('NotificationsRead', { example: { read: 3 } })
