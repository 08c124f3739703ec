// Postmark's webhooks about mail that has left. One URL may get every kind; the paths are there to be told apart in its settings.
import { requireWebhookBasic } from '#http/auth'
import { createRoute, jsonBody, responses, webhookSecurity } from '#http/openapi'
import { createRouter } from '#http/router'
import { postmarkEventIn, postmarkEventOut } from '../schema'
import { receivePostmarkReport } from '../service/record-mail-event'

const paths = {
  bounce: 'A mail that bounced',
  delivery: 'A mail that arrived',
  complaint: 'A mail that its recipient calls spam',
  subscription: 'An address that unsubscribed, or came back, at Postmark',
} as const

export const postmarkEventRoutes = createRouter()

for (const [name, summary] of Object.entries(paths)) {
  const route = createRoute({
    method: 'post',
    path: `/webhooks/postmark/${name}`,
    tags: ['Webhooks'],
    summary,
    description:
      'Any kind of record is taken at any of these paths; kinds that say nothing of a mail are ignored.',
    security: webhookSecurity,
    middleware: requireWebhookBasic,
    request: { body: jsonBody(postmarkEventIn) },
    responses: responses(200, postmarkEventOut, 400, 401, 413, 415),
  })
  postmarkEventRoutes.openapi(route, async (c) => {
    const status = await receivePostmarkReport(c.get('ctx'), c.req.valid('json'))
    return c.json({ status }, 200)
  })
}
