import { createRoute, responses } from '#http/openapi'
import { createRouter } from '#http/router'
import { formInput, idempotencyHeader, receivedLead, slugParam } from './schema'
import { receiveForm } from './service/receive-form'

const received = responses(201, receivedLead, 400, 404, 413, 422, 429)

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
      required: true,
    },
  },
  responses: { ...received, 200: { ...received[201], description: 'The same lead again' } },
})

export const formRoutes = createRouter().openapi(postForm, async (c) => {
  const isForm = c.req.header('Content-Type')?.startsWith('application/x-www-form-urlencoded') ?? false
  const input = isForm ? c.req.valid('form') : c.req.valid('json')
  const { replayed, ...lead } = await receiveForm(
    c.get('ctx'),
    c.req.valid('param').company_slug,
    input,
    c.req.valid('header')['idempotency-key'],
  )
  if (!replayed) return c.json(lead, 201)
  c.header('Idempotent-Replayed', 'true')
  return c.json(lead, 200)
})
