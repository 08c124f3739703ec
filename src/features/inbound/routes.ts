import { createRoute, responses } from '#http/openapi'
import { createRouter } from '#http/router'
import { AppError } from '#kernel/errors'
import { formInput, idempotencyHeader, receivedLead, slugParam } from './schema'
import { receiveForm } from './service/receive-form'

const received = responses(201, receivedLead, 400, 404, 413, 415, 422, 429)

const postForm = createRoute({
  method: 'post',
  path: '/lead/{company_slug}',
  tags: ['Ingest'],
  summary: 'The public form: anyone may post a lead',
  request: {
    params: slugParam,
    headers: idempotencyHeader,
    body: {
      content: {
        'application/json': { schema: formInput },
        'application/x-www-form-urlencoded': { schema: formInput },
      },
    },
  },
  responses: { ...received, 200: { ...received[201], description: 'The same lead again' } },
})

export const formRoutes = createRouter().openapi(postForm, async (c) => {
  const input = readForm(c.req.header('Content-Type') ?? '', c.req.valid('json'), c.req.valid('form'))
  const slug = c.req.valid('param').company_slug
  const { replayed, ...lead } = await receiveForm(
    c.get('ctx'),
    slug,
    input,
    c.req.valid('header')['idempotency-key'],
  )
  if (!replayed) return c.json(lead, 201)
  c.header('Idempotent-Replayed', 'true')
  return c.json(lead, 200)
})

/** Only the validator of the body's own content type has run. */
function readForm<T>(content_type: string, json: T, form: T): T {
  if (/^application\/([\w.+-]+\+)?json\b/.test(content_type)) return json
  if (content_type.startsWith('application/x-www-form-urlencoded')) return form
  throw new AppError('unsupported_media_type', 'Send JSON or a form.')
}
