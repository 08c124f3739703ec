// What the Worker is given: the local stack's own answers, overridden by whatever a person has set.
import { SLACK_HOOK_PATH } from './emulators/slack-names.ts'
import { type Settings, WORKER_SETTINGS } from './settings.ts'

export const DEMO = {
  organization: 'Demo',
  slug: 'demo',
  email: 'demo@inlet.test',
  name: 'Demo Owner',
  mailbox: 'sales@inlet.test',
}

export const ACCOUNTS = [
  { email: DEMO.mailbox, name: 'Sales Desk' },
  { email: 'support@inlet.test', name: 'Support Desk' },
  { email: 'other@inlet.test', name: 'Other Person' },
]

const GOOGLE_CLIENT_ID = 'inlet-local.apps.googleusercontent.com'

export interface Urls {
  /** Where the Worker listens here, which BASE_URL need not be. */
  api: string
  google: string
  slack: string
  slackHook: string
  gateway: string
}

export function urlsOf({ ports }: Settings): Urls {
  const at = (port: number) => `http://127.0.0.1:${port}`
  const slack = at(ports.slack)
  return {
    api: at(ports.api),
    google: at(ports.google),
    slack,
    slackHook: `${slack}${SLACK_HOOK_PATH}`,
    gateway: at(ports.gateway),
  }
}

/** `DATABASE_URL` is the runtime login's, not the owner's that a person may have given. */
export function workerEnv(settings: Settings, runtimeUrl: string): Record<string, string> {
  const env: Record<string, string> = { ...defaults(settings) }
  for (const name of WORKER_SETTINGS) {
    const given = settings.given.get(name)
    if (given === '') delete env[name]
    else if (given !== undefined) env[name] = given
  }
  return { ...env, DATABASE_URL: runtimeUrl }
}

function defaults(settings: Settings): Record<string, string> {
  const { baseUrl, secrets } = settings
  const urls = urlsOf(settings)
  const always = {
    NEON_GATEWAY_URL: urls.gateway,
    JWT_SECRET: secrets.JWT_SECRET,
    ENCRYPTION_KEY: secrets.ENCRYPTION_KEY,
    ADMIN_USERNAME: 'operator',
    ADMIN_PASSWORD: secrets.ADMIN_PASSWORD,
    BASE_URL: baseUrl,
    CORS_ORIGINS: baseUrl,
    MAIL_TRANSPORT: 'outbox',
    AI_PROVIDER: 'heuristic',
    FROM_EMAIL: 'inlet@inlet.test',
    ADMIN_EMAIL: 'operator@inlet.test',
    INBOUND_EMAIL_DOMAIN: 'inbound.inlet.test',
    WEBHOOK_USERNAME: 'postmark',
    WEBHOOK_PASSWORD: secrets.WEBHOOK_PASSWORD,
    GMAIL_WEBHOOK_SECRET: secrets.GMAIL_WEBHOOK_SECRET,
    GOOGLE_OAUTH_REDIRECT_URI: `${baseUrl}/oauth/google/callback`,
    GOOGLE_PUBSUB_TOPIC: 'projects/inlet-local/topics/gmail',
    GOOGLE_PUBSUB_AUDIENCE: `${baseUrl}/webhooks/gmail/push`,
    GOOGLE_PUBSUB_SERVICE_ACCOUNT: 'gmail-push@inlet-local.iam.gserviceaccount.com',
  }
  // A real Google, or somebody's own emulator: then the client and the base URLs are theirs to give.
  if (!settings.emulators) return always
  return {
    ...always,
    GOOGLE_CLIENT_ID,
    GOOGLE_CLIENT_SECRET: secrets.GOOGLE_CLIENT_SECRET,
    GOOGLE_AUTH_URL: `${urls.google}/o/oauth2/v2/auth`,
    GOOGLE_TOKEN_URL: `${urls.google}/oauth2/token`,
    GOOGLE_REVOKE_URL: `${urls.google}/oauth2/revoke`,
    GOOGLE_ISSUER: urls.google,
    GOOGLE_JWKS_URL: `${urls.google}/oauth2/v3/certs`,
    GMAIL_API_BASE: urls.google,
    SLACK_WEBHOOK_URL: urls.slackHook,
    EGRESS_ALLOWED_ORIGINS: `${urls.google},${urls.slack}`,
  }
}
