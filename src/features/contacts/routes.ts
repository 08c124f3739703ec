import { requireUser, scopeOf } from '#http/auth'
import { setEtag } from '#http/etag'
import { createRoute, idParam, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { contactOut, contactPage, contactsQuery } from './schema'
import { getContact, listContacts } from './service'

const tags = ['Contacts']
const middleware = requireUser()

const list = createRoute({
  method: 'get',
  path: '/contacts',
  tags,
  summary: 'People outside, newest first; `q` looks in address, name and company',
  security: userSecurity,
  middleware,
  request: { query: contactsQuery },
  responses: responses(200, contactPage, 400, 401),
})

const get = createRoute({
  method: 'get',
  path: '/contacts/{id}',
  tags,
  summary: 'One contact',
  security: userSecurity,
  middleware,
  request: { params: idParam },
  responses: responses(200, contactOut, 400, 401, 404),
})

export const contactRoutes = createRouter()
  .openapi(list, async (c) => {
    const ctx = c.get('ctx')
    const { limit, cursor, ...filter } = c.req.valid('query')
    return c.json(await listContacts(ctx, scopeOf(ctx), filter, { limit, after: readCursor(cursor) }), 200)
  })
  .openapi(get, async (c) => {
    const ctx = c.get('ctx')
    const contact = await getContact(ctx, scopeOf(ctx), c.req.valid('param').id)
    setEtag(c, contact.updated_at)
    return c.json(contact, 200)
  })
