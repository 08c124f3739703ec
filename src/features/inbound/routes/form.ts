import { createRoute, responses } from '#http/openapi'
import { allowAnyPage, limitForm } from '#http/middleware'
import { createRouter } from '#http/router'
import { formInput, formQuery, formSettings, idempotencyHeader, receivedLead, slugParam } from '../schema'
import { receiveForm } from '../service/receive-form'
import { showForm } from '../service/show-form'
import {
  answerLead,
  drawForm,
  languageOf,
  readPost,
  serveScript,
  showErrors,
  toSettings,
} from './form-answers'

const tags = ['Ingest']
const page = { content: { 'text/html': { schema: { type: 'string' as const } } } }
const flat = { schema: { $ref: '#/components/schemas/FormLead' } }
// As the JSON, with flat names; read by ourselves, since a form may hold any name. Without a type: only the JSON is validated.
const forms: object = { 'application/x-www-form-urlencoded': flat, 'multipart/form-data': flat }
const received = responses(201, receivedLead, 400, 403, 404, 413, 415, 422, 429)

const postForm = createRoute({
  method: 'post',
  path: '/lead/{company_slug}',
  tags,
  summary: 'The public form: anyone may post a lead',
  description:
    'JSON, urlencoded or multipart, at most 64 KB. In forms `utm_source`, `utm[source]`, `consent[news]=yes` and `custom[budget]` are understood, other names become custom fields, and of files only the name is kept. The same Idempotency-Key, else the same body within ten minutes, is the same lead. A browser that posts a form gets a page or a redirect. Leads that a program seems to have sent are kept with the status `spam`.',
  request: {
    params: slugParam,
    query: formQuery,
    headers: idempotencyHeader,
    body: { content: { 'application/json': { schema: formInput }, ...forms } },
  },
  responses: {
    ...received,
    200: { ...received[201], description: 'The same lead again, with Idempotent-Replayed: true' },
    202: { ...received[201], description: 'Kept safe while the database is down' },
    303: { description: 'A browser is sent to the page that the organization has chosen' },
  },
})

const getSettings = createRoute({
  method: 'get',
  path: '/lead/{company_slug}',
  tags,
  summary: 'What a script needs to draw the form',
  description: 'A browser that opens it is sent to the hosted form.',
  request: { params: slugParam, query: formQuery },
  responses: {
    ...responses(200, formSettings, 400, 404),
    302: { description: 'A browser is sent to the hosted form' },
  },
})

const getForm = createRoute({
  method: 'get',
  path: '/f/{company_slug}',
  tags,
  summary: 'The hosted form',
  request: { params: slugParam, query: formQuery },
  responses: { ...responses(200, formSettings, 400, 404), 200: { description: 'A page', ...page } },
})

const getScript = createRoute({
  method: 'get',
  path: '/embed.js',
  tags,
  summary: 'The script that draws the form on any page: <script src="…/embed.js" data-form="demo" defer>',
  responses: {
    ...responses(200, formSettings, 404),
    200: {
      description: 'A script',
      content: { 'text/javascript': { schema: { type: 'string' as const } } },
    },
  },
})

export const formRoutes = createRouter()
formRoutes.use('/lead/*', allowAnyPage, showErrors, limitForm)
formRoutes.use('/f/*', showErrors)
formRoutes.use('/embed.js', allowAnyPage)
formRoutes
  .openapi(postForm, async (c) => {
    const key = c.req.valid('header')['idempotency-key']
    const posted = await readPost(c, c.req.valid('json'), key)
    return answerLead(c, await receiveForm(c.get('ctx'), c.req.valid('param').company_slug, posted))
  })
  .openapi(getSettings, async (c) => {
    const slug = c.req.valid('param').company_slug
    if (c.req.header('Accept')?.includes('text/html'))
      return c.redirect(`/f/${encodeURIComponent(slug)}`, 302)
    c.header('Cache-Control', 'private, max-age=60')
    return c.json(toSettings(await showForm(c.get('ctx'), slug, { cached: true }), languageOf(c)), 200)
  })
  .openapi(getForm, async (c) => drawForm(c, await showForm(c.get('ctx'), c.req.valid('param').company_slug)))
  .openapi(getScript, (c) => serveScript(c))
