import { createMiddleware } from 'hono/factory'
import { judgeKey } from '#http/idempotency'
import { createRoute, jsonBody, responses } from '#http/openapi'
import { type AppEnv, createRouter } from '#http/router'
import { postedLead, receivedLead } from '../schema'
import { receiveLead } from '../service/receive-lead'
import { readSiteToken, type SiteToken, siteTokenRefused } from '../service/site-token'

/** Before the body is judged: a stranger learns nothing of what we take. */
const requireSiteToken = createMiddleware<AppEnv & { Variables: { site_token: SiteToken } }>(
  async (c, next) => {
    const token = await readSiteToken(c.get('ctx').config, c.req.header('Authorization'))
    if (token === null) throw siteTokenRefused()
    c.set('site_token', token)
    await next()
  },
)

const received = responses(201, receivedLead, 400, 401, 413, 415, 422, 429)

const postLead = createRoute({
  method: 'post',
  path: '/inbound/leads',
  tags: ['Ingest'],
  summary: "A site's backend posts a lead",
  description:
    'The same Idempotency-Key, else request_id, else the same body within ten minutes, is the same lead of the organization, whichever of its tokens posts it.',
  security: [{ siteToken: [] }],
  middleware: requireSiteToken,
  // Told here and judged below: a validator of headers reads them all.
  parameters: [
    {
      name: 'Idempotency-Key',
      in: 'header',
      description: 'Names the inquiry for good; before request_id',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    },
  ],
  request: { body: jsonBody(postedLead) },
  responses: {
    ...received,
    200: { ...received[201], description: 'The same lead again, with Idempotent-Replayed: true' },
    202: {
      ...received[201],
      description: 'Kept safe while the database is down, under the id that it will have',
    },
  },
})

export const inboundLeadRoutes = createRouter().openapi(postLead, async (c) => {
  const key = c.req.header('Idempotency-Key')
  if (key !== undefined) judgeKey(key)
  const { lead, replayed } = await receiveLead(c.get('ctx'), c.get('site_token'), c.req.valid('json'), key)
  if (lead.status === 'queued') return c.json(lead, 202)
  if (!replayed) return c.json(lead, 201)
  c.header('Idempotent-Replayed', 'true')
  return c.json(lead, 200)
})
