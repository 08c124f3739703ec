// DATA_DIR/local.json: every address and sign-in of the local stack, for people, demo:mail and the tests.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SLACK_TOKEN } from './emulators/slack-names.ts'
import { writeFileAtomically } from './files.ts'
import type { Ports, Settings } from './settings.ts'
import { ACCOUNTS, DEMO, urlsOf } from './worker-env.ts'

export interface LocalFile {
  pid: number
  data_dir: string
  ports: Ports
  urls: {
    api: string
    docs: string
    google: string | null
    slack: string | null
    slack_webhook: string | null
    gateway: string
    /** The demo organization's public form, for people and for posting. */
    form: string
    form_post: string
    /** Takes leads from a site's backend, with `demo.site_token`. */
    inbound_leads: string
    /** Takes a raw message for the Worker's `email()`: `?from=…&to=…`. */
    email_door: string
  }
  /** `owner_url` migrates; `runtime_url` is what the Worker has. `superuser_url` only for the embedded PostgreSQL. */
  database: { owner_url: string; runtime_url: string; superuser_url: string | null }
  operator: { username: string; password: string }
  demo: {
    organization: string
    slug: string
    email: string
    password: string
    mailbox: string
    site_token: string | null
    /** Mail to it reaches the demo organization through `email()`; null without a domain for it. */
    inbound_address: string | null
  }
  /** HTTP Basic of Postmark's webhooks, which are at `<api>/api/webhooks/postmark/…`. */
  webhooks: { username: string; password: string }
  google: {
    client_id: string
    client_secret: string
    accounts: string[]
    push_url: string
    pubsub: Record<string, string>
  } | null
  slack: { webhook_url: string; token: string } | null
  /** Set once the demo organization is complete, with the database that it is in. */
  seeded: { at: string; database: string } | null
}

export interface DatabaseUrls {
  ownerUrl: string
  runtimeUrl: string
  superuserUrl: string | undefined
}

const fileOf = (dataDir: string) => join(dataDir, 'local.json')

export function readLocalFile(dataDir: string): LocalFile | undefined {
  if (!existsSync(fileOf(dataDir))) return undefined
  try {
    return JSON.parse(readFileSync(fileOf(dataDir), 'utf8')) as LocalFile
  } catch {
    return undefined
  }
}

export function writeLocalFile(local: LocalFile): void {
  writeFileAtomically(fileOf(local.data_dir), `${JSON.stringify(local, null, 2)}\n`, 0o600)
}

export function describe(settings: Settings, env: Record<string, string>, database: DatabaseUrls): LocalFile {
  const { dataDir, ports, emulators, secrets } = settings
  const urls = urlsOf(settings)
  const value = (name: string) => env[name] ?? ''
  const before = readLocalFile(dataDir)
  // Under another PORT the demo organization has to learn the new address of its Slack.
  const isSame =
    before?.seeded?.database === databaseName(database.ownerUrl) && before.ports.slack === ports.slack
  const domain = value('INBOUND_EMAIL_DOMAIN')
  return {
    pid: process.pid,
    data_dir: dataDir,
    ports,
    urls: {
      api: urls.api,
      docs: `${urls.api}/docs`,
      google: emulators ? urls.google : null,
      slack: emulators ? urls.slack : null,
      slack_webhook: emulators ? urls.slackHook : null,
      gateway: urls.gateway,
      form: `${urls.api}/f/${DEMO.slug}`,
      form_post: `${urls.api}/lead/${DEMO.slug}`,
      inbound_leads: `${urls.api}/inbound/leads`,
      email_door: `${urls.api}/cdn-cgi/local/email`,
    },
    database: {
      owner_url: database.ownerUrl,
      runtime_url: database.runtimeUrl,
      superuser_url: database.superuserUrl ?? null,
    },
    operator: { username: value('ADMIN_USERNAME'), password: value('ADMIN_PASSWORD') },
    demo: {
      organization: DEMO.organization,
      slug: DEMO.slug,
      email: DEMO.email,
      password: secrets.DEMO_USER_PASSWORD,
      mailbox: DEMO.mailbox,
      site_token: (isSame && before.demo.site_token) || null,
      inbound_address: domain === '' ? null : `${DEMO.slug}@${domain}`,
    },
    webhooks: { username: value('WEBHOOK_USERNAME'), password: value('WEBHOOK_PASSWORD') },
    google: emulators
      ? {
          client_id: value('GOOGLE_CLIENT_ID'),
          client_secret: value('GOOGLE_CLIENT_SECRET'),
          accounts: ACCOUNTS.map(({ email }) => email),
          push_url: pushUrl(settings, env),
          pubsub: {
            topic: value('GOOGLE_PUBSUB_TOPIC'),
            audience: value('GOOGLE_PUBSUB_AUDIENCE'),
            service_account: value('GOOGLE_PUBSUB_SERVICE_ACCOUNT'),
            issuer: value('GOOGLE_ISSUER'),
          },
        }
      : null,
    slack: emulators ? { webhook_url: urls.slackHook, token: SLACK_TOKEN } : null,
    seeded: isSame ? before.seeded : null,
  }
}

/** The emulated Google reaches the Worker here, also where BASE_URL is a public address. */
export function pushUrl(settings: Settings, env: Record<string, string>): string {
  const query = new URLSearchParams({ token: env['GMAIL_WEBHOOK_SECRET'] ?? '' })
  return `${urlsOf(settings).api}/webhooks/gmail/push?${query.toString()}`
}

/** Which database, without the login. */
export function databaseName(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
