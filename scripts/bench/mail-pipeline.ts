// Part 3: mail through everything that `npm start` runs: emulated Gmail, push, Durable Object, ingest, queues, drafting,
// gate, and the reply that leaves from the same mailbox.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { WorkerBundle } from '../stack/bundle.ts'
import type { EmulatorsConfig } from '../stack/emulators/process.ts'
import { waitUntilHealthy } from '../stack/health.ts'
import { describe, type LocalFile, pushUrl } from '../stack/local-file.ts'
import { StartError } from '../stack/say.ts'
import { seedDemo } from '../stack/seed.ts'
import type { Settings } from '../stack/settings.ts'
import { keepNode } from '../stack/supervisor.ts'
import { startTicker } from '../stack/ticker.ts'
import { ACCOUNTS, urlsOf, workerEnv } from '../stack/worker-env.ts'
import { startWorker } from '../stack/worker.ts'
import type { Ending } from './ending.ts'
import { cpuBetween, takeSnapshot } from './machine.ts'
import type { Scratch } from './scratch.ts'
import { createDatabase, type Services } from './services.ts'

interface Stage {
  name: string
  /** How many got there. */
  count: number
  /** From the first delivery; null when not all got there. */
  seconds: number | null
  per_second: number | null
}

export interface MailPipeline {
  mails: number
  stages: Stage[]
  /** Milliseconds of CPU for each mail. */
  cpu: Record<string, number> | null
  /** In the database, for each mail: nearly all of them are round trips of the Worker. */
  transactions: number
  /** What became of replies that were not sent by themselves. */
  left: { what: string; count: number }[]
}

export interface MailOptions {
  root: string
  scratch: Scratch
  services: Services
  bundle: WorkerBundle
  mails: number
  ending: Ending
}

const PATIENCE_MS = 180_000
const POLL_MS = 50
/** When nothing has moved for so long, nothing will. */
const STILL_MS = 20_000
const AT_ONCE = 8

export async function measureMails(options: MailOptions): Promise<MailPipeline> {
  const { services, scratch, ending, mails } = options
  const { settings } = services
  const database = await createDatabase(services, 'mail')
  const env = workerEnv(settings, database.runtimeUrl)
  const emulators = await startEmulators(options, env)
  const { api, google } = urlsOf(settings)
  const worker = await startWorker(options.bundle, {
    root: options.root,
    dataDir: settings.dataDir,
    port: settings.ports.api,
    env,
    supervisor: services.supervisor,
    show: () => undefined,
  })
  ending.add('worker', worker.stop)
  await waitUntilHealthy(api, settings.dataDir)
  const ticker = startTicker(api, options.bundle.options.cronTriggers ?? [])
  ending.add('ticker', async () => ticker.stop())
  const local = describe(settings, env, database)
  await seedDemo(local)

  const client = new pg.Client({ connectionString: database.superuserUrl })
  await client.connect()
  try {
    const pids = {
      workerd: scratch.registry.pidOf('workerd'),
      gateway: services.pids.gateway,
      postgres: services.pids.postgres,
      emulators: emulators.pid,
    }
    const ownBefore = await transactionsIn(client)
    const before = takeSnapshot()
    const progress = new Progress(mails)
    const [, polls] = await Promise.all([
      deliverAll(google, local, progress, options),
      watch(client, progress, ending.signal),
    ])
    const after = takeSnapshot()
    const transactions = ((await transactionsIn(client)) - ownBefore - polls) / mails
    return {
      mails,
      stages: progress.stages(),
      cpu: before
        ? Object.fromEntries(
            Object.entries(pids).map(([name, pid]) => [name, (cpuBetween(before, after, pid) ?? 0) / mails]),
          )
        : null,
      transactions,
      left: await leftOver(client),
    }
  } finally {
    await client.end()
    ticker.stop()
    await worker.stop()
    await emulators.stop()
  }
}

async function startEmulators({ services, ending }: MailOptions, env: Record<string, string>) {
  const { settings, supervisor } = services
  const { dataDir, ports } = settings
  const stateDir = join(dataDir, 'emulators')
  mkdirSync(stateDir, { recursive: true })
  const emulators = await keepNode<EmulatorsConfig>(supervisor, {
    name: 'emulators',
    entry: join(import.meta.dirname, '..', 'stack', 'emulators', 'process.ts'),
    logFile: join(dataDir, 'logs', 'emulators.log'),
    config: { google: googleOptions(settings, env, stateDir), slack: { port: ports.slack, stateDir } },
  })
  ending.add('emulators', emulators.stop)
  return emulators
}

function googleOptions(
  settings: Settings,
  env: Record<string, string>,
  stateDir: string,
): EmulatorsConfig['google'] {
  const value = (name: string) => env[name] ?? ''
  return {
    port: settings.ports.google,
    stateDir,
    client: {
      id: value('GOOGLE_CLIENT_ID'),
      secret: value('GOOGLE_CLIENT_SECRET'),
      redirectUris: [value('GOOGLE_OAUTH_REDIRECT_URI')],
    },
    accounts: ACCOUNTS,
    push: {
      url: pushUrl(settings, env),
      issuer: value('GOOGLE_ISSUER'),
      audience: value('GOOGLE_PUBSUB_AUDIENCE'),
      serviceAccount: value('GOOGLE_PUBSUB_SERVICE_ACCOUNT'),
    },
  }
}

const STAGES = ['delivered', 'stored', 'drafted', 'sent'] as const
type StageName = (typeof STAGES)[number]

class Progress {
  readonly #mails: number
  readonly #begun = performance.now()
  readonly #counts: Record<StageName, number> = { delivered: 0, stored: 0, drafted: 0, sent: 0 }
  readonly #reached = new Map<StageName, number>()
  #movedAt = performance.now()

  constructor(mails: number) {
    this.#mails = mails
  }

  set(stage: StageName, count: number): void {
    if (count === this.#counts[stage]) return
    this.#movedAt = performance.now()
    this.#counts[stage] = count
    if (count >= this.#mails) this.#reached.set(stage, (this.#movedAt - this.#begun) / 1000)
  }

  add(stage: StageName): void {
    this.set(stage, this.#counts[stage] + 1)
  }

  isOver(): boolean {
    const now = performance.now()
    return this.#reached.has('sent') || now - this.#movedAt > STILL_MS || now - this.#begun > PATIENCE_MS
  }

  stages(): Stage[] {
    return STAGES.map((name) => {
      const seconds = this.#reached.get(name) ?? null
      return {
        name,
        count: this.#counts[name],
        seconds,
        per_second: seconds === null ? null : this.#mails / seconds,
      }
    })
  }
}

/** Resolves with how often it asked. */
async function watch(client: pg.Client, progress: Progress, signal: AbortSignal): Promise<number> {
  let polls = 0
  for (; !progress.isOver(); polls++) {
    signal.throwIfAborted()
    const { rows } = await client.query<{ stored: number; drafted: number; sent: number }>(
      `select (select count(*) from messages where direction = 'inbound')::int as stored,
              (select count(*) from drafts where status <> 'pending')::int as drafted,
              (select count(*) from sends where kind = 'reply' and state = 'sent')::int as sent`,
    )
    const [row] = rows
    if (row) {
      progress.set('stored', row.stored)
      progress.set('drafted', row.drafted)
      progress.set('sent', row.sent)
    }
    await delay(POLL_MS)
  }
  return polls
}

/** Postgres writes its statistics down up to a second late. */
async function transactionsIn(client: pg.Client): Promise<number> {
  await delay(1500)
  const { rows } = await client.query<{ count: number }>(
    `select (xact_commit + xact_rollback)::int as count from pg_stat_database where datname = current_database()`,
  )
  return rows[0]?.count ?? 0
}

async function deliverAll(
  google: string,
  local: LocalFile,
  progress: Progress,
  { mails, ending }: MailOptions,
): Promise<void> {
  const waiting = Array.from({ length: mails }, (_, i) => i)
  const deliver = async (): Promise<void> => {
    for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
      const response = await fetch(`${google}/_shim/deliver`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(mail(i, local.demo.mailbox)),
        signal: ending.signal,
      })
      const text = await response.text()
      if (!response.ok) throw new StartError(`the emulated Google took no mail: ${text.slice(0, 300)}`)
      progress.add('delivered')
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, deliver))
}

/** Somebody else each time, from a domain of their own: neither is to meet a cap. */
function mail(i: number, to: string) {
  return {
    to,
    from: `Person Number${i} <person@buyer${i}.test>`,
    subject: `Your services for our company, ${i}`,
    body: [
      'Hello,',
      '',
      `we are a company of ${10 + (i % 90)} people and found you on the web. We would like to learn more about your`,
      'services. Could you tell us how you work and when we could have a first call?',
      '',
      'Kind regards',
      `Person Number${i}`,
    ].join('\n'),
    auth: 'pass',
  }
}

async function leftOver(client: pg.Client): Promise<MailPipeline['left']> {
  const { rows } = await client.query<{ what: string; count: number }>(
    `select what, count(*)::int as count from (
       select concat('draft ', d.status, ', ', coalesce(d.decision, 'undecided'), ': ',
         (select string_agg(g->>'rule', ', ') from jsonb_array_elements(d.gate) g where not (g->>'passed')::boolean)) as what
         from drafts d where d.send_id is null
       union all
       select concat('send ', state, ': ', coalesce(waits_because, skip_reason, last_error->>'code')) from sends where kind = 'reply' and state <> 'sent'
     ) t group by what order by count desc limit 5`,
  )
  return rows
}
