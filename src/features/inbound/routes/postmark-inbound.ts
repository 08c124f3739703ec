import { requireWebhookBasic } from '#http/auth'
import { createRoute, responses, webhookSecurity } from '#http/openapi'
import { createRouter } from '#http/router'
import { receivedMail } from '../schema'
import { receivePostmark } from '../service/receive-routed-mail'

const postInbound = createRoute({
  method: 'post',
  path: '/webhooks/postmark/inbound',
  tags: ['Webhooks'],
  summary: 'Postmark posts a mail that it has received',
  description:
    'Up to 50 MB, read as it comes; with or without the raw mail. The same mail is one message, however often it is posted.',
  security: webhookSecurity,
  middleware: requireWebhookBasic,
  request: {
    // Described and not parsed: the handler reads it as it streams in.
    body: {
      required: true,
      content: {
        'application/json': {
          schema: { type: 'object' as const, description: "Postmark's inbound webhook" },
          example: {
            MessageID: '73e6d360-66eb-11e1-8e72-a8904824019b',
            FromFull: { Email: 'ada@buyer.test', Name: 'Ada' },
            OriginalRecipient: 'demo@in.example.com',
            Subject: 'Ten seats',
            TextBody: 'What do 10 seats cost?',
            Headers: [{ Name: 'Message-ID', Value: '<m1@buyer.test>' }],
          },
        },
      },
    },
  },
  responses: responses(200, receivedMail, 400, 401, 413, 415, 422),
})

export const postmarkInboundRoutes = createRouter().openapi(postInbound, async (c) =>
  c.json(await receivePostmark(c.get('ctx'), c.req.raw.body), 200),
)
