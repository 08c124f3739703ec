// Postgres and the gateway, as `npm start` runs them, in the scratch folder.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { ensureRuntimeLogin, migrateDatabase } from '../migrate.ts'
import type { GatewayOptions } from '../stack/gateway.ts'
import { requireFreePorts } from '../stack/ports.ts'
import { startPostgres } from '../stack/postgres.ts'
import { runtimeUrl } from '../stack/runtime-login.ts'
import { readSettings, type Settings } from '../stack/settings.ts'
import { keepNode, type Supervisor } from '../stack/supervisor.ts'
import type { Ending } from './ending.ts'
import type { BenchRegistry, Scratch } from './scratch.ts'

export interface Services {
  settings: Settings
  supervisor: Supervisor
  registry: BenchRegistry
  superuserUrl: string
  gatewayUrl: string
  pids: { postgres: number; gateway: number }
  version: string
}

/** A migrated database with the two logins that it is reached by. */
export interface Database {
  ownerUrl: string
  runtimeUrl: string
  superuserUrl: string
}

export async function startServices(scratch: Scratch, ending: Ending): Promise<Services> {
  const settings = await settingsOn(scratch)
  const { dataDir, ports, secrets } = settings
  const supervisor: Supervisor = {
    registry: scratch.registry,
    giveUp: (message) => {
      process.stderr.write(`${message}\n`)
      void ending.end().then(() => process.exit(1))
    },
  }
  const password = secrets.OWNER_DATABASE_PASSWORD
  const postgres = await startPostgres({ dataDir, port: ports.postgres, password, supervisor })
  ending.add('postgres', postgres.stop)
  const gateway = await keepNode<GatewayOptions>(supervisor, {
    name: 'gateway',
    entry: join(import.meta.dirname, '..', 'stack', 'gateway-process.ts'),
    logFile: join(dataDir, 'logs', 'gateway.log'),
    config: { port: ports.gateway, databaseUrl: postgres.ownerUrl },
  })
  ending.add('gateway', gateway.stop)
  const [row] = await query<{ version: string }>(
    postgres.superuserUrl,
    "select current_setting('server_version') as version",
  )
  return {
    settings,
    supervisor,
    registry: scratch.registry,
    superuserUrl: postgres.superuserUrl,
    gatewayUrl: `http://127.0.0.1:${ports.gateway}`,
    pids: { postgres: postgres.pid, gateway: gateway.pid },
    version: row?.version ?? '',
  }
}

/** A database of its own for each part, so that none measures what another has left behind. */
export async function createDatabase(services: Services, name: string): Promise<Database> {
  await query(services.superuserUrl, `create database ${name} owner inlet_owner`)
  const on = (url: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href
  const { OWNER_DATABASE_PASSWORD, RUNTIME_DATABASE_PASSWORD } = services.settings.secrets
  const owner = Object.assign(new URL(services.superuserUrl), {
    username: 'inlet_owner',
    password: OWNER_DATABASE_PASSWORD,
  })
  const ownerUrl = on(owner.href)
  await migrateDatabase(ownerUrl)
  await ensureRuntimeLogin(ownerUrl, RUNTIME_DATABASE_PASSWORD)
  return {
    ownerUrl,
    runtimeUrl: runtimeUrl(ownerUrl, RUNTIME_DATABASE_PASSWORD),
    superuserUrl: on(services.superuserUrl),
  }
}

export async function query<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  params: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<R>(text, params)).rows
  } finally {
    await client.end()
  }
}

const ATTEMPTS = 20

/** Ports that nobody uses, and none of the person's own settings: those of `.dev.vars` are not ours to measure. */
async function settingsOn(scratch: Scratch): Promise<Settings> {
  const root = join(scratch.dir, 'no-settings')
  mkdirSync(root)
  for (let attempt = 1; ; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const settings = readSettings(root, () => undefined, { PORT: String(port), DATA_DIR: scratch.dir })
    const wanted = Object.entries(settings.ports).map(([purpose, used]) => ({ purpose, port: used }))
    try {
      await requireFreePorts(wanted)
      return settings
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
    }
  }
}
