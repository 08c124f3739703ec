import { instantOut, z } from '#http/openapi'
import { transportNames } from '#kernel/vocabulary'
import { type FeatureName, features, healthStatuses } from './policy'

const status = z.enum(healthStatuses).openapi({ description: '`waking`: slow, and well' })
const latency = z.int().openapi({ example: 4 })

const healthCheck = z.object({ status, latency_ms: latency }).openapi('HealthCheck')

export const health = z
  .object({
    status,
    checks: z.object({ settings: healthCheck, database: healthCheck }),
    checked_at: instantOut,
  })
  .openapi('Health')

export const databaseHealth = z
  .object({
    status,
    latency_ms: latency,
    role: z.string().nullable().openapi({ example: 'inlet_login' }),
    superuser: z.boolean().nullable(),
    bypass_rls: z.boolean().nullable(),
    inherits: z
      .boolean()
      .nullable()
      .openapi({ description: 'Reads past an organization without being told to' }),
    checked_at: instantOut,
  })
  .openapi('DatabaseHealth')

const provider = z
  .object({
    name: z.enum(Object.keys(features) as [FeatureName, ...FeatureName[]]),
    configured: z.boolean(),
    missing: z.array(z.string()).openapi({ description: 'Names of settings', example: ['OPENAI_API_KEY'] }),
  })
  .openapi('ProviderHealth')

const transportPause = z
  .object({
    transport: z.enum(transportNames),
    code: z.string().openapi({ example: 'account_refused' }),
    message: z.string(),
    paused_at: z.iso.datetime({ offset: true }),
    next_try_at: z.iso.datetime({ offset: true }),
  })
  .openapi('TransportPause')

export const providersHealth = z
  .object({
    ai_provider: z.string(),
    mail_transport: z.string(),
    providers: z.array(provider),
    paused_transports: z.array(transportPause).nullable().openapi({
      description:
        'Transports whose account is refused: mails wait for the next try. Null while the database does not answer',
    }),
  })
  .openapi('ProvidersHealth')
