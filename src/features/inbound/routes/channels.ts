import { createMiddleware } from 'hono/factory'
import { readActor } from '#http/auth'
import { createRoute, jsonBody, responses } from '#http/openapi'
import { type AppEnv, createRouter } from '#http/router'
import { AppError } from '#kernel/errors'
import { actingAs } from '#platform/context'
import { channelMessage, channelParam, receivedMessage } from '../schema'
import { type ChannelCaller, receiveChannelMessage } from '../service/receive-channel-message'
import { readSiteToken } from '../service/site-token'

type CallerEnv = AppEnv & { Variables: { caller: ChannelCaller } }

/** A site's token or a user of any role; before the body is judged. */
const requireCaller = createMiddleware<CallerEnv>(async (c, next) => {
  const ctx = c.get('ctx')
  const token = await readSiteToken(ctx.config, c.req.header('Authorization'))
  if (token === null) {
    const actor = await readActor(ctx, c.req.header('Authorization'))
    if (actor?.type !== 'user')
      throw new AppError('unauthenticated', 'Send a site token or an access token: Authorization: Bearer …')
    c.set('ctx', actingAs(ctx, actor))
    c.set('caller', { org_id: actor.org_id })
    return next()
  }
  const { org_id, ...site_token } = token
  c.set('ctx', actingAs(ctx, { type: 'system', name: `site-token:${token.id}` }))
  c.set('caller', { org_id, site_token })
  return next()
})

const postMessage = createRoute({
  method: 'post',
  path: '/webhooks/{channel}',
  tags: ['Ingest'],
  summary: "A tenant's own system posts a message of a channel",
  description:
    'The same message_id on the same channel is the same message. An e-mail finds its contact by address, the other channels by who the sender is there.',
  security: [{ siteToken: [] }, { user: [] }],
  middleware: requireCaller,
  request: { params: channelParam, body: jsonBody(channelMessage) },
  responses: responses(202, receivedMessage, 400, 401, 404, 413, 415, 429),
})

export const channelRoutes = createRouter().openapi(postMessage, async (c) => {
  const { channel } = c.req.valid('param')
  return c.json(await receiveChannelMessage(c.get('ctx'), c.get('caller'), channel, c.req.valid('json')), 202)
})
