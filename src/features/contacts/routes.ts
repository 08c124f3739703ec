import { requireUser, scopeOf } from '#http/auth'
import { setEtag } from '#http/etag'
import { createRoute, idParam, responses, userSecurity } from '#http/openapi'
import { readCursor } from '#http/page'
import { createRouter } from '#http/router'
import { contactErasureOut, contactExportOut, contactOut, contactPage, contactsQuery } from './schema'
import { getContact, listContacts } from './service/manage-contacts'
import { eraseContact } from './service/erase-contact'
import { exportContact } from './service/export-contact'

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

const exportOne = createRoute({
  method: 'get',
  path: '/contacts/{id}/export',
  tags,
  summary: 'All that is kept about one person, as one JSON document',
  description:
    'An attachment, as it was at one moment: the contact with its handles, leads, conversations, messages, comments, drafts, sends (texts that sign somebody in are null), suppressions of the address, and the audit entries that name one of these ids. It is streamed; a download that breaks off is no valid JSON. Not in it: what is only in the mailbox at the provider, and what the ingest buffer still holds.',
  security: userSecurity,
  middleware: requireUser('owner', 'admin'),
  request: { params: idParam },
  responses: responses(200, contactExportOut, 400, 401, 403, 404),
})

const erase = createRoute({
  method: 'delete',
  path: '/contacts/{id}',
  tags,
  summary: 'Erase one person, for good',
  description:
    'Removes the contact with its handles, leads, conversations, messages, comments, drafts and sends, what the person wrote into the threads of others, notices and notifications about them, and what mail providers reported of their mails. A mail that still waits is never sent; 409 while one is with its provider this moment. What stays: audit entries, which hold ids only, and that the address opted out or bounced, as a keyed hash. Erasing is no opt-out: an address that was not suppressed may be written to when it writes again, as a new contact. Not touched: the mailbox at the provider (Gmail, Microsoft), whose copies a person deletes there, mail that left already, reports of providers that name no mail of ours (gone after 14 days), and sealed items of the ingest buffer, which become leads or expire after 7 days.',
  security: userSecurity,
  middleware: requireUser('owner', 'admin'),
  request: { params: idParam },
  responses: responses(200, contactErasureOut, 400, 401, 403, 404, 409),
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
  .openapi(exportOne, async (c) => {
    const ctx = c.get('ctx')
    const { id } = c.req.valid('param')
    const document = await exportContact(ctx, scopeOf(ctx), id)
    c.header('Content-Type', 'application/json')
    c.header('Content-Disposition', `attachment; filename="contact-${id}.json"`)
    // Written as it is read: what the schema describes is never an object here.
    return c.body(document, 200) as never
  })
  .openapi(erase, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await eraseContact(ctx, scopeOf(ctx), c.req.valid('param').id), 200)
  })
