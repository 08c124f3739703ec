// What is well and what is not. Pure.

export const healthStatuses = ['ok', 'waking', 'failing'] as const
export type HealthStatus = (typeof healthStatuses)[number]

/** A database that slept needs 0.5 to 5 s for its first answer. That is no failure, and nobody has to be called for it. */
const WAKING_MS = 1000

export function judgeLatency(latency_ms: number): HealthStatus {
  return latency_ms > WAKING_MS ? 'waking' : 'ok'
}

export interface LoginRole {
  role: string
  superuser: boolean
  bypass_rls: boolean
  /** It has the rights of our roles without taking one: a forgotten scope would read every organization. */
  inherits: boolean
}

/** The database keeps organizations apart only for a login that cannot look past row-level security. */
export function isConfined({ superuser, bypass_rls, inherits }: LoginRole): boolean {
  return !superuser && !bypass_rls && !inherits
}

export function worst(statuses: readonly HealthStatus[]): HealthStatus {
  if (statuses.includes('failing')) return 'failing'
  return statuses.includes('waking') ? 'waking' : 'ok'
}

/** Which settings each optional feature needs. */
export const features = {
  google: ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET', 'GOOGLE_OAUTH_REDIRECT_URI'],
  gmail_push: [
    'GOOGLE_PUBSUB_TOPIC',
    'GOOGLE_PUBSUB_AUDIENCE',
    'GOOGLE_PUBSUB_SERVICE_ACCOUNT',
    'GMAIL_WEBHOOK_SECRET',
  ],
  openai: ['OPENAI_API_KEY'],
  slack: ['SLACK_WEBHOOK_URL'],
  mail: ['FROM_EMAIL'],
  postmark: ['POSTMARK_SERVER_TOKEN', 'FROM_EMAIL'],
  postmark_webhooks: ['WEBHOOK_USERNAME', 'WEBHOOK_PASSWORD'],
  // Mail that reaches `email()`, or Postmark's inbound webhook.
  routed_mail: ['INBOUND_EMAIL_DOMAIN'],
  postmark_inbound: ['POSTMARK_INBOUND_ADDRESS', 'WEBHOOK_USERNAME', 'WEBHOOK_PASSWORD'],
  alerts: ['ADMIN_EMAIL'],
  turnstile: ['TURNSTILE_SITE_KEY', 'TURNSTILE_SECRET_KEY'],
  smtp: ['SMTP_HOST', 'FROM_EMAIL'],
  console: ['FRONTEND_URL'],
} as const
export type FeatureName = keyof typeof features

export function reportFeatures(settings: Record<string, unknown>) {
  const names = Object.keys(features) as FeatureName[]
  return names.map((name) => {
    const missing = features[name].filter((key) => settings[key] === undefined || settings[key] === '')
    return { name, configured: missing.length === 0, missing }
  })
}
