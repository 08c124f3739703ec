// What a person may set: `.dev.vars`, overridden by the process environment. Everything wrong is named here, in
// one line, before anything is started.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { parseEnv } from 'node:util'
import { loadSecrets, type Secrets } from './secrets.ts'
import { messageOf, StartError } from './say.ts'

export interface Ports {
  api: number
  google: number
  slack: number
  gateway: number
  postgres: number
}

export interface Settings {
  root: string
  dataDir: string
  ports: Ports
  baseUrl: string
  /** An owner of the person's own Postgres; without it the embedded one is started. */
  databaseUrl: string | undefined
  seed: boolean
  emulators: boolean
  secrets: Secrets
  /** What was set by hand, an empty string included: it switches a default off. */
  given: ReadonlyMap<string, string>
}

type Values = Record<string, string | undefined>

/** What the Worker understands, beside what this stack works out itself. */
export const WORKER_SETTINGS = [
  'JWT_SECRET',
  'ENCRYPTION_KEY',
  'ENCRYPTION_KEY_PREVIOUS',
  'ADMIN_USERNAME',
  'ADMIN_PASSWORD',
  'BASE_URL',
  'CORS_ORIGINS',
  'GOOGLE_CLIENT_ID',
  'GOOGLE_CLIENT_SECRET',
  'GOOGLE_OAUTH_REDIRECT_URI',
  'GOOGLE_PUBSUB_TOPIC',
  'GOOGLE_PUBSUB_AUDIENCE',
  'GOOGLE_PUBSUB_SERVICE_ACCOUNT',
  'GMAIL_WEBHOOK_SECRET',
  'MICROSOFT_CLIENT_ID',
  'MICROSOFT_CLIENT_SECRET',
  'MICROSOFT_OAUTH_REDIRECT_URI',
  'MICROSOFT_TENANT',
  'MICROSOFT_SUBSCRIPTION_CLIENT_STATE_SECRET',
  'MICROSOFT_NOTIFICATION_URL',
  'MAIL_TRANSPORT',
  'FROM_EMAIL',
  'ADMIN_EMAIL',
  'INBOUND_EMAIL_DOMAIN',
  'POSTMARK_SERVER_TOKEN',
  'POSTMARK_INBOUND_ADDRESS',
  'WEBHOOK_USERNAME',
  'WEBHOOK_PASSWORD',
  'SMTP_HOST',
  'SMTP_PORT',
  'SMTP_USER',
  'SMTP_PASSWORD',
  'SMTP_TLS',
  'AI_PROVIDER',
  'OPENAI_API_KEY',
  'OPENAI_BASE_URL',
  'OPENAI_MODEL',
  'SLACK_WEBHOOK_URL',
  'DEFAULT_SLA_MINUTES',
  'SLA_REMINDER_MINUTES',
  'TURNSTILE_SITE_KEY',
  'TURNSTILE_SECRET_KEY',
  'AUTOMATION_ENABLED',
  'AUTOMATION_DEFAULT_TIMEOUT_SECONDS',
  'AUTOMATION_MAX_ATTEMPTS',
  'AUTOMATION_REPLAY_WINDOW_SECONDS',
  'AUTOMATION_RATE_LIMIT_PER_MINUTE',
  'AUTOMATION_SECRET_ENCRYPTION_KEY',
  'FRONTEND_URL',
  'GOOGLE_AUTH_URL',
  'GOOGLE_TOKEN_URL',
  'GOOGLE_REVOKE_URL',
  'GOOGLE_ISSUER',
  'GOOGLE_JWKS_URL',
  'GMAIL_API_BASE',
  'MICROSOFT_AUTH_URL',
  'MICROSOFT_TOKEN_URL',
  'GRAPH_API_BASE',
  'POSTMARK_API_BASE',
  'TURNSTILE_VERIFY_URL',
  'NEON_GATEWAY_URL',
  'EGRESS_ALLOWED_ORIGINS',
  'RATE_LIMIT_FORM_PER_MINUTE',
  'RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE',
  'INGEST_SHARD_ABOVE_PER_SECOND',
  'RATE_LIMIT_LOGIN_PER_MINUTE',
  'REGISTRATION',
] as const

const STACK_SETTINGS = ['PORT', 'DATA_DIR', 'DATABASE_URL', 'SEED', 'EMULATORS'] as const

/** `claim` is called with DATA_DIR before anything in it is read or made: two starts must not share it. */
export function readSettings(
  root: string,
  claim: (dataDir: string) => void,
  env: Values = process.env,
): Settings {
  const given = collect(root, env)
  const port = readPort(given.get('PORT'))
  checkKey('ENCRYPTION_KEY', given.get('ENCRYPTION_KEY'))
  checkUrl('BASE_URL', given.get('BASE_URL'), ['http:', 'https:'])
  checkUrl('DATABASE_URL', given.get('DATABASE_URL'), ['postgres:', 'postgresql:'])
  const seed = readSwitch('SEED', given.get('SEED'))
  const emulators = readSwitch('EMULATORS', given.get('EMULATORS'))
  const dataDir = openDataDir(root, given.get('DATA_DIR') || '.inlet')
  claim(dataDir)
  shortenLogs(join(dataDir, 'logs'))
  return {
    root,
    dataDir,
    ports: { api: port, google: port + 1, slack: port + 2, gateway: port + 8, postgres: port + 9 },
    baseUrl: (given.get('BASE_URL') || `http://127.0.0.1:${port}`).replace(/\/+$/, ''),
    databaseUrl: given.get('DATABASE_URL') || undefined,
    seed,
    emulators,
    secrets: loadSecrets(dataDir),
    given,
  }
}

/** For scripts that only look at what a running stack has written. */
export function dataDirOf(root: string, env: Values = process.env): string {
  const path = collect(root, env).get('DATA_DIR') || '.inlet'
  return isAbsolute(path) ? path : join(root, path)
}

function collect(root: string, env: Values): Map<string, string> {
  const file = join(root, '.dev.vars')
  let fromFile: Values = {}
  if (existsSync(file)) {
    try {
      fromFile = parseEnv(readFileSync(file, 'utf8'))
    } catch (error) {
      throw new StartError(`.dev.vars cannot be read: ${messageOf(error)}`)
    }
  }
  const given = new Map<string, string>()
  for (const name of [...STACK_SETTINGS, ...WORKER_SETTINGS]) {
    const value = env[name] ?? fromFile[name]
    if (value !== undefined) given.set(name, value.trim())
  }
  return given
}

function readPort(text: string | undefined): number {
  if (!text) return 8787
  const port = Number(text)
  // Nine more ports follow this one.
  if (!/^\d+$/.test(text) || port < 1 || port > 65_526) {
    throw new StartError(`PORT must be a number from 1 to 65526, not "${text}"`)
  }
  return port
}

function readSwitch(name: string, text: string | undefined): boolean {
  if (text === undefined || text === '' || text === 'on') return true
  if (text === 'off') return false
  throw new StartError(`${name} must be "on" or "off", not "${text}"`)
}

function checkKey(name: string, key: string | undefined): void {
  if (!key) return
  if (/^[0-9a-f]{64}$/i.test(key)) return
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(key) && Buffer.from(key, 'base64').length === 32) return
  throw new StartError(`${name} must be 32 bytes, as 64 hex digits or as base64`)
}

function checkUrl(name: string, text: string | undefined, protocols: string[]): void {
  if (!text) return
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !protocols.includes(url.protocol) || !url.hostname) {
    // The value may hold a password: it is not repeated.
    throw new StartError(`${name} must be a URL that starts with ${protocols[0]}//`)
  }
}

function openDataDir(root: string, path: string): string {
  const dir = isAbsolute(path) ? path : join(root, path)
  try {
    makeDirectory(join(dir, 'logs'))
    const probe = join(dir, `.probe-${process.pid}`)
    writeFileSync(probe, '')
    rmSync(probe)
  } catch (error) {
    throw new StartError(`DATA_DIR ${dir} cannot be written: ${messageOf(error)}`)
  }
  return realpathSync(dir)
}

/** Not `recursive`: in a folder that takes no entries, such as /proc, that never comes back. */
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return
  makeDirectory(dirname(dir))
  mkdirSync(dir)
}

const LONG_LOG = 10 * 1024 * 1024

function shortenLogs(dir: string): void {
  for (const name of readdirSync(dir)) {
    const file = join(dir, name)
    if (name.endsWith('.log') && statSync(file).size > LONG_LOG) renameSync(file, `${file}.old`)
  }
}
