// What the measured Worker finds: one organization that takes leads in and another whose leads are listed, and the
// statements that the two hot requests come down to.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { WorkerBundle } from '../stack/bundle.ts'
import { caller } from '../stack/seed.ts'
import { StartError } from '../stack/say.ts'
import type { PostgresJob } from './load/job.ts'
import { COUNTER, templateOf } from './load/template.ts'
import { type Recorded, type Recorder, startRecorder } from './recorder.ts'
import { createDatabase, type Database, query, type Services } from './services.ts'
import { startWorkerd, type Workerd, type WorkerdOptions } from './workerd.ts'

export const SLUG = 'bench-intake'
const PASSWORD = 'only for the benchmark'

export interface World {
  database: Database
  recorder: Recorder
  env: Record<string, string>
  /** Takes leads in, by its public form and by its site token. */
  intake: { org_id: string; email: string; site_token: string }
  reader: { org_id: string; email: string; lead_id: string }
  /** The statements behind the hot requests, each in one transaction. */
  transactions: Record<'lead' | 'list' | 'inbound', PostgresJob['statements']>
}

export interface WorldOptions {
  services: Services
  bundle: WorkerBundle
  assetsDir: string
  leads: number
}

export const LEAD_BODY = JSON.stringify({
  email: `ada.${COUNTER}@buyer.test`,
  name: 'Ada Lovelace',
  company: 'Analytical Engines Ltd',
  phone: '+44 20 7946 0018',
  service: 'Website',
  message: `Hello, we are a team of ten and want to replace our old shop before spring. Can you tell us what that costs and when you could begin? Our reference is ${COUNTER}.`,
  page_url: 'https://www.studio.test/contact?utm_source=newsletter',
})

export async function createWorld(options: WorldOptions): Promise<World> {
  const { services } = options
  const database = await createDatabase(services, 'bench')
  const recorder = await startRecorder(services.gatewayUrl)
  const env = environment(services, database, recorder.url)
  const workerd = await serve(options, 'recording', { ...env, NEON_GATEWAY_URL: recorder.url })
  try {
    const intake = await register(workerd, 'intake')
    const reader = await register(workerd, 'reader')
    // As the demo organization: with a draft for each lead.
    await query(
      database.superuserUrl,
      `update organizations set slug = $2, reply_mode = 'auto', undo_seconds = 0 where id = $1`,
      [intake.org_id, SLUG],
    )
    const siteToken = await createSiteToken(workerd.port, intake.token)
    await seedLeads(database, reader.org_id, options.leads)
    const [lead] = await query<{ id: string }>(
      database.superuserUrl,
      'select id from leads where org_id = $1 order by received_at desc limit 1',
      [reader.org_id],
    )
    const transactions = {
      lead: asTransaction(
        await recorder.during(() => postLead(workerd.port)),
        [intake.org_id],
        'POST /lead/{slug}',
      ),
      list: asTransaction(
        await recorder.during(() => listLeads(workerd.port, reader.token)),
        [reader.org_id],
        'GET /leads',
      ),
      inbound: asTransaction(
        await recorder.during(() => postInbound(workerd.port, siteToken.token)),
        [intake.org_id, siteToken.id],
        'POST /inbound/leads',
      ),
    }
    return {
      database,
      recorder,
      env,
      intake: { org_id: intake.org_id, email: intake.email, site_token: siteToken.token },
      reader: { ...reader, lead_id: lead?.id ?? '' },
      transactions,
    }
  } finally {
    await workerd.stop()
  }
}

export function serve(
  { services, bundle, assetsDir }: Pick<WorldOptions, 'services' | 'bundle' | 'assetsDir'>,
  name: string,
  env: Record<string, string>,
  more: Pick<WorkerdOptions, 'inspect'> = {},
): Promise<Workerd> {
  const dir = join(services.settings.dataDir, `workerd-${name}`)
  return startWorkerd({ dir, bundle, env, registry: services.registry, assetsDir, ...more })
}

function environment(services: Services, database: Database, issuer: string): Record<string, string> {
  const { secrets } = services.settings
  return {
    DATABASE_URL: database.runtimeUrl,
    NEON_GATEWAY_URL: services.gatewayUrl,
    JWT_SECRET: secrets.JWT_SECRET,
    ENCRYPTION_KEY: secrets.ENCRYPTION_KEY,
    ADMIN_USERNAME: 'operator',
    ADMIN_PASSWORD: secrets.ADMIN_PASSWORD,
    BASE_URL: 'http://inlet.test',
    CORS_ORIGINS: 'http://inlet.test',
    MAIL_TRANSPORT: 'outbox',
    AI_PROVIDER: 'heuristic',
    FROM_EMAIL: 'inlet@inlet.test',
    ADMIN_EMAIL: 'operator@inlet.test',
    INBOUND_EMAIL_DOMAIN: 'inbound.inlet.test',
    WEBHOOK_USERNAME: 'postmark',
    WEBHOOK_PASSWORD: secrets.WEBHOOK_PASSWORD,
    GOOGLE_CLIENT_ID: 'bench',
    GOOGLE_CLIENT_SECRET: 'bench',
    GOOGLE_OAUTH_REDIRECT_URI: 'http://inlet.test/oauth/google/callback',
    GOOGLE_PUBSUB_TOPIC: 'projects/bench/topics/gmail',
    GOOGLE_PUBSUB_AUDIENCE: 'http://inlet.test/webhooks/gmail/push',
    GOOGLE_PUBSUB_SERVICE_ACCOUNT: 'push@bench.iam.gserviceaccount.com',
    GMAIL_WEBHOOK_SECRET: secrets.GMAIL_WEBHOOK_SECRET,
    GOOGLE_ISSUER: issuer,
    GOOGLE_JWKS_URL: `${issuer}/certs`,
    EGRESS_ALLOWED_ORIGINS: issuer,
    RATE_LIMIT_FORM_PER_MINUTE: '0',
    RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: '0',
    RATE_LIMIT_LOGIN_PER_MINUTE: '0',
  }
}

async function register(
  { port }: Workerd,
  name: string,
): Promise<{ org_id: string; email: string; token: string }> {
  const email = `${name}@bench.test`
  const { json } = await caller(`http://127.0.0.1:${port}`)('/api/v1/auth/register', {
    method: 'POST',
    body: { name, email, password: PASSWORD, organization_name: `Bench ${name}` },
    expect: [201],
  })
  const { organization } = json['user'] as { organization: { id: string } }
  return { org_id: organization.id, email, token: String(json['access_token']) }
}

/** A token lives 15 minutes, so each part signs in for itself. */
export async function signIn(port: number, email: string): Promise<string> {
  const { json } = await caller(`http://127.0.0.1:${port}`)('/api/v1/auth/login', {
    method: 'POST',
    body: { email, password: PASSWORD },
    expect: [200],
  })
  return String(json['access_token'])
}

/** Under a key of its own: without one, the same body is the same lead for ten minutes. */
async function postLead(port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/lead/${SLUG}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': COUNTER },
    body: LEAD_BODY,
  })
  const answer = await response.text()
  if (response.status !== 201)
    throw new StartError(`POST /lead/{slug} answered ${response.status}: ${answer.slice(0, 300)}`)
}

async function postInbound(port: number, token: string): Promise<void> {
  await caller(`http://127.0.0.1:${port}`)('/inbound/leads', {
    method: 'POST',
    token,
    body: { ...JSON.parse(LEAD_BODY), request_id: COUNTER },
    expect: [201],
  })
}

async function createSiteToken(port: number, token: string): Promise<{ id: string; token: string }> {
  const { json } = await caller(`http://127.0.0.1:${port}`)('/api/v1/site-tokens', {
    method: 'POST',
    token,
    body: { name: 'bench' },
    expect: [201],
  })
  return { id: String(json['id']), token: String(json['token']) }
}

async function listLeads(port: number, token: string): Promise<void> {
  await caller(`http://127.0.0.1:${port}`)('/api/v1/leads?limit=50', { token, expect: [200] })
}

/** `who` asks stays the same; everything else in what is made is new each time. */
function asTransaction(roundTrips: Recorded[][], who: string[], route: string): PostgresJob['statements'] {
  const [statements, ...more] = roundTrips
  if (!statements || more.length > 0)
    throw new StartError(`${route} is held to one database round trip and made ${roundTrips.length}`)
  const slots = new Map<string, number>()
  const isMade = /\bingest_inbound\b/
  return statements.map(({ query: text, params }) => {
    const fixed = new Set(isMade.test(text) ? who : params.filter((value) => value !== null))
    return {
      text,
      params: params.map((value) => (value === null ? null : templateOf(value, fixed, slots))),
    }
  })
}

/** A quarter of a year of leads, in the shape in which the product writes them. */
async function seedLeads({ superuserUrl }: Database, org_id: string, count: number): Promise<void> {
  const run = randomUUID().slice(24)
  const id = (kind: number) => `(lpad(to_hex(i), 8, '0') || '-0000-7${kind}00-8000-' || '${run}')::uuid`
  const at = `now() - (${count} - i) * interval '6 minutes'`
  const from = `from generate_series(1, ${count}) i`
  const statements = [
    `insert into contacts (org_id, id, email, email_norm, name, company, phone, last_inbound_at)
      select $1, ${id(1)}, e, e, 'Person ' || i, 'Company ' || i % 500, '+44 20 7946 0018', ${at}
      ${from}, lateral (select 'person' || i || '@company' || i % 500 || '.test' as e) e`,
    `insert into conversations (org_id, id, contact_id, channel, subject, status, last_message_at, last_inbound_at)
      select $1, ${id(2)}, ${id(1)}, 'form', 'Website for spring, inquiry ' || i, 'open', ${at}, ${at} ${from}`,
    `insert into leads (org_id, id, contact_id, conversation_id, source, received_at, custom)
      select $1, ${id(3)}, ${id(1)}, ${id(2)}, 'form', ${at}, '{"page_url": "https://www.studio.test/contact"}' ${from}`,
  ]
  for (const statement of statements) await query(superuserUrl, statement, [org_id])
  await query(superuserUrl, 'vacuum analyze')
}
