// Middleware in order, then one line per feature. Routes under /api/v1 are served identically under /api.
import { Hono } from 'hono'
import { auditRoutes } from '#features/audit'
import { authRoutes, operatorLoginRoutes } from '#features/auth'
import { contactRoutes } from '#features/contacts'
import { conversationRoutes } from '#features/conversations'
import { draftRoutes } from '#features/drafting'
import { healthRoutes } from '#features/health'
import {
  channelRoutes,
  formRoutes,
  inboundLeadRoutes,
  postmarkInboundRoutes,
  siteTokenRoutes,
} from '#features/inbound'
import { leadRoutes } from '#features/leads'
import { mailboxRootRoutes, mailboxRoutes } from '#features/mailboxes'
import { notificationRoutes } from '#features/notifications'
import { operationsRoutes } from '#features/operations'
import { organizationRoutes } from '#features/organizations'
import { postmarkEventRoutes, sendRoutes, unsubscribeRoutes } from '#features/sending'
import { apiConventions } from '#http/conventions'
import { createDocs } from '#http/docs'
import { onError, onNotFound } from '#http/errors'
import { idempotency } from '#http/idempotency'
import { allowOrigins, limitBody, provideContext, requestId, secure } from '#http/middleware'
import { type AppEnv, createRouter } from '#http/router'
import type { CtxOptions } from '#platform/context'
import { jobs } from '#registry/jobs'
import { sweeps } from '#registry/sweeps'

/** Served under /api/v1 and /api. */
const api = createRouter()
  .route('/', auditRoutes)
  .route('/', authRoutes)
  .route('/', channelRoutes)
  .route('/', contactRoutes)
  .route('/', conversationRoutes)
  .route('/', draftRoutes)
  .route('/', leadRoutes)
  .route('/', mailboxRoutes)
  .route('/', notificationRoutes)
  .route('/', organizationRoutes)
  .route('/', postmarkInboundRoutes)
  .route('/', sendRoutes)
  .route('/', postmarkEventRoutes)
  .route('/', siteTokenRoutes)

const docs = createDocs()

/** At the root only: operator, OAuth, webhooks, the public form, health. */
const root = createRouter()
  .route('/', operatorLoginRoutes)
  .route('/', mailboxRootRoutes)
  .route('/', formRoutes)
  .route('/', inboundLeadRoutes)
  .route('/', unsubscribeRoutes)
  .route('/', operationsRoutes({ sweeps, jobs }))
  .route('/', healthRoutes)
  .route('/', docs.routes)

/** What the OpenAPI publishes. */
export const published = createRouter().route('/', root).route('/api/v1', api)
docs.describe(published)

export function createApp(overrides: Pick<CtxOptions, 'clock' | 'fetch'> = {}) {
  const app = new Hono<AppEnv>()
    .use(requestId, secure, allowOrigins, limitBody, provideContext(overrides), apiConventions, idempotency)
    .route('/', published)
    .route('/api', api)
  app.onError(onError)
  app.notFound(onNotFound)
  return app
}

/** What the console's client is typed by. @public */
export type Api = typeof api
