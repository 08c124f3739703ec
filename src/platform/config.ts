// All settings, read once by zod. A missing or malformed one is named; no secret has a default.
import * as z from 'zod'
import { AppError } from '#kernel/errors'
import { aiProviders } from '#kernel/vocabulary'

const text = z.string().trim()
const optional = text.transform((value) => (value === '' ? undefined : value)).optional()
const url = (fallback: string) =>
  text
    .transform((v) => v || fallback)
    .pipe(z.url())
    .default(fallback)
const address = optional.pipe(z.email().optional())
const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback)
const list = text.default('').transform((value) =>
  value
    .split(',')
    .map((part) => part.trim().replace(/\/$/, ''))
    .filter((part) => part !== ''),
)

/** 32 bytes, hex or base64. */
const key = text.transform((value, ctx) => {
  const bytes = /^[0-9a-fA-F]{64}$/.test(value) ? fromHex(value) : fromBase64(value)
  if (bytes?.length === 32) return bytes
  ctx.addIssue({ code: 'custom', message: 'must be 32 bytes, hex or base64' })
  return z.NEVER
})

const settings = z.object({
  DATABASE_URL: text.regex(/^postgres(ql)?:\/\//, 'must be a postgresql:// URL'),
  NEON_GATEWAY_URL: text.default(''),
  JWT_SECRET: text.min(32, 'must have at least 32 characters'),
  ENCRYPTION_KEY: key,
  ENCRYPTION_KEY_PREVIOUS: text
    .default('')
    .transform((value) => value || undefined)
    .pipe(key.optional()),
  ADMIN_USERNAME: text.min(1),
  ADMIN_PASSWORD: text.min(12, 'must have at least 12 characters'),
  BASE_URL: text.pipe(z.url()).transform((value) => value.replace(/\/$/, '')),
  CORS_ORIGINS: list,

  GOOGLE_CLIENT_ID: optional,
  GOOGLE_CLIENT_SECRET: optional,
  GOOGLE_OAUTH_REDIRECT_URI: optional,
  GOOGLE_PUBSUB_TOPIC: optional,
  GOOGLE_PUBSUB_AUDIENCE: optional,
  GOOGLE_PUBSUB_SERVICE_ACCOUNT: optional,
  GMAIL_WEBHOOK_SECRET: optional,
  GOOGLE_AUTH_URL: url('https://accounts.google.com/o/oauth2/v2/auth'),
  GOOGLE_TOKEN_URL: url('https://oauth2.googleapis.com/token'),
  GOOGLE_REVOKE_URL: url('https://oauth2.googleapis.com/revoke'),
  GOOGLE_ISSUER: text
    .transform((v) => v || 'https://accounts.google.com')
    .default('https://accounts.google.com'),
  GOOGLE_JWKS_URL: url('https://www.googleapis.com/oauth2/v3/certs'),
  GMAIL_API_BASE: url('https://gmail.googleapis.com'),

  MAIL_TRANSPORT: z.enum(['outbox', 'postmark', 'smtp']).default('outbox'),
  FROM_EMAIL: address,
  ADMIN_EMAIL: address,
  /** Mail to `reply+<token>@` and `<slug>@` this domain reaches `email()`. */
  INBOUND_EMAIL_DOMAIN: optional,
  POSTMARK_SERVER_TOKEN: optional,
  POSTMARK_INBOUND_ADDRESS: address,
  POSTMARK_API_BASE: url('https://api.postmarkapp.com'),
  WEBHOOK_USERNAME: optional,
  WEBHOOK_PASSWORD: optional,
  SMTP_HOST: optional,
  SMTP_PORT: z.coerce.number().int().min(1).max(65_535).default(587),
  SMTP_USER: optional,
  SMTP_PASSWORD: optional,
  SMTP_TLS: z.enum(['implicit', 'starttls', 'off']).default('starttls'),
  AI_PROVIDER: z.enum(aiProviders).default('heuristic'),
  OPENAI_API_KEY: optional,
  OPENAI_BASE_URL: url('https://api.openai.com/v1'),
  OPENAI_MODEL: text.transform((v) => v || 'gpt-4.1-mini').default('gpt-4.1-mini'),
  SLACK_WEBHOOK_URL: optional.pipe(z.url().optional()),
  FRONTEND_URL: optional.pipe(z.url().optional()),

  TURNSTILE_SITE_KEY: optional,
  TURNSTILE_SECRET_KEY: optional,
  TURNSTILE_VERIFY_URL: url('https://challenges.cloudflare.com/turnstile/v0/siteverify'),

  EGRESS_ALLOWED_ORIGINS: list,
  RATE_LIMIT_FORM_PER_MINUTE: count(30),
  RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: count(600),
  /** Above this rate an organization's buffered leads are spread over several objects. */
  INGEST_SHARD_ABOVE_PER_SECOND: count(100),
  RATE_LIMIT_LOGIN_PER_MINUTE: count(10),
  /** `closed`: the operator alone makes organizations. */
  REGISTRATION: z.enum(['open', 'closed']).default('open'),
})
export type Config = z.infer<typeof settings>

const seen = new WeakMap<object, Config>()

/** `env` is the Worker's. Throws `not_configured` with the names of every wrong setting at once. */
export function readConfig(env: object): Config {
  const known = seen.get(env)
  if (known) return known
  const parsed = settings.safeParse(
    Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === 'string')),
  )
  if (!parsed.success) {
    const names = [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))]
    const why = parsed.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`).join('; ')
    throw new AppError('not_configured', `Settings are missing or wrong: ${why}`, { settings: names })
  }
  seen.set(env, parsed.data)
  return parsed.data
}

/** Throws `not_configured` with the names of the settings that a feature lacks. */
export function requireSettings<K extends keyof Config>(
  config: Config,
  ...names: K[]
): { [P in K]: NonNullable<Config[P]> } {
  const missing = names.filter((name) => config[name] === undefined || config[name] === '')
  if (missing.length > 0) {
    throw new AppError('not_configured', `This needs the settings ${missing.join(', ')}.`, {
      settings: missing,
    })
  }
  return config as { [P in K]: NonNullable<Config[P]> }
}

function fromHex(value: string): Uint8Array {
  return Uint8Array.from(value.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

function fromBase64(value: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(value.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
      char.charCodeAt(0),
    )
  } catch {
    return null
  }
}
