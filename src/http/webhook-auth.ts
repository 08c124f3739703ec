// HTTP Basic for Postmark's webhooks: it signs nothing and takes user and password out of the URL that it was given.
import { createMiddleware } from 'hono/factory'
import { AppError } from '#kernel/errors'
import { requireSettings } from '#platform/config'
import { equalSecrets } from '#platform/crypto'
import { onError } from './errors'
import type { AppEnv } from './router'

export const webhookSecurity = [{ webhook: [] }]

/** Answers 401 and never 403, after which Postmark gives a message up for good instead of trying again. */
export const requireWebhookLogin = createMiddleware<AppEnv>(async (c, next) => {
  const { config } = c.get('ctx')
  const { WEBHOOK_USERNAME, WEBHOOK_PASSWORD } = requireSettings(
    config,
    'WEBHOOK_USERNAME',
    'WEBHOOK_PASSWORD',
  )
  const given = readCredentials(c.req.header('Authorization'))
  if (given !== null && (await equalSecrets(given, `${WEBHOOK_USERNAME}:${WEBHOOK_PASSWORD}`))) return next()
  const refused = await onError(
    new AppError('unauthenticated', 'Send the user and the password of the webhooks.'),
    c,
  )
  refused.headers.set('WWW-Authenticate', 'Basic realm="webhooks", charset="UTF-8"')
  return refused
})

/** `user:password`. */
function readCredentials(header: string | undefined): string | null {
  const encoded = /^Basic +([A-Za-z0-9+/]{1,2000}={0,2}) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0)))
  } catch {
    return null
  }
}
