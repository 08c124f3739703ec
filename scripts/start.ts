// `npm start`: the whole product on this machine. It starts what the Worker needs, all at once where it can, then the
// Worker, and ends all of it together.
import { join } from 'node:path'
import { buildAssets } from './stack/assets.ts'
import { buildWorker, type WorkerBundle } from './stack/bundle.ts'
import type { EmulatorsConfig } from './stack/emulators/process.ts'
import type { GatewayOptions } from './stack/gateway.ts'
import { waitUntilHealthy } from './stack/health.ts'
import { type DatabaseUrls, databaseName, describe, pushUrl, writeLocalFile } from './stack/local-file.ts'
import { embeddedOwnerUrl, startPostgres } from './stack/postgres.ts'
import { requireFreePorts } from './stack/ports.ts'
import { lockDataDir, ProcessRegistry } from './stack/processes.ts'
import { dim, messageOf, say, StartError, warn } from './stack/say.ts'
import { seedDemo } from './stack/seed.ts'
import { runtimeUrl } from './stack/runtime-login.ts'
import { readSettings, type Settings } from './stack/settings.ts'
import { Shutdown } from './stack/shutdown.ts'
import { printSummary } from './stack/summary.ts'
import { keepNode, type Supervisor } from './stack/supervisor.ts'
import { startTicker } from './stack/ticker.ts'
import { watchSources } from './stack/watch.ts'
import { ACCOUNTS, urlsOf, workerEnv } from './stack/worker-env.ts'

const ROOT = join(import.meta.dirname, '..')

async function start(shutdown: Shutdown): Promise<void> {
  const startedAt = Date.now()
  const settings = readSettings(ROOT, (claimed) => shutdown.last(lockDataDir(claimed).release))
  const { dataDir, ports } = settings
  const registry = new ProcessRegistry(dataDir)
  shutdown.registry = registry
  const supervisor: Supervisor = { registry, giveUp: (message) => shutdown.fail(new StartError(message)) }

  const left = await registry.endLeftovers()
  if (left.length > 0) say(dim(`Ended what an earlier run had left: ${left.join(', ')}.`))
  await requireFreePorts(portsOf(settings))

  const ownerUrl =
    settings.databaseUrl ?? embeddedOwnerUrl(ports.postgres, settings.secrets.OWNER_DATABASE_PASSWORD)
  const env = workerEnv(settings, runtimeUrl(ownerUrl, settings.secrets.RUNTIME_DATABASE_PASSWORD))
  buildAssets(ROOT)
  const [bundle, database, { startWorker }] = await Promise.all([
    buildWorker(ROOT, shutdown.signal),
    startDatabase(settings, supervisor, shutdown),
    import('./stack/worker.ts'),
    startGatewayProcess(settings, ownerUrl, supervisor, shutdown),
    settings.emulators && startEmulators(settings, env, supervisor, shutdown),
  ])
  shutdown.signal.throwIfAborted()

  const local = describe(settings, env, database)
  writeLocalFile(local)
  const { api } = urlsOf(settings)
  // Until the summary is out, the Worker's lines go to its log alone.
  let ready = false
  const worker = await startWorker(bundle, {
    root: ROOT,
    dataDir,
    port: ports.api,
    env,
    supervisor,
    show: (line) => ready && say(line),
  })
  shutdown.add('worker', worker.stop)
  await waitUntilHealthy(api, dataDir)

  const ticker = startTicker(api, bundle.options.cronTriggers ?? [])
  shutdown.add('ticker', async () => ticker.stop())
  if (process.argv.includes('--watch')) watchAndReload(worker.reload, database.ownerUrl, shutdown)

  if (settings.seed && !local.seeded) {
    try {
      await seedDemo(local)
      local.seeded = { at: new Date().toISOString(), database: databaseName(database.ownerUrl) }
      writeLocalFile(local)
    } catch (error) {
      if (shutdown.signal.aborted) return
      warn(`The demo organization is not complete, the next start goes on with it: ${messageOf(error)}`)
    }
  }
  if (shutdown.signal.aborted) return
  printSummary(local, startedAt)
  ready = true
}

function portsOf({ ports, emulators, databaseUrl }: Settings): { port: number; purpose: string }[] {
  return [
    { port: ports.api, purpose: 'the API' },
    ...(emulators
      ? [
          { port: ports.google, purpose: 'emulated Google' },
          { port: ports.slack, purpose: 'emulated Slack' },
        ]
      : []),
    { port: ports.gateway, purpose: 'the Neon gateway' },
    ...(databaseUrl ? [] : [{ port: ports.postgres, purpose: 'the embedded PostgreSQL' }]),
  ]
}

async function startDatabase(
  settings: Settings,
  supervisor: Supervisor,
  shutdown: Shutdown,
): Promise<DatabaseUrls> {
  const { dataDir, ports, secrets } = settings
  // Drizzle and Miniflare take long to load: meanwhile the servers start.
  const loading = import('./migrate.ts')
  let ownerUrl = settings.databaseUrl
  let superuserUrl: string | undefined
  if (ownerUrl === undefined) {
    const options = { dataDir, port: ports.postgres, password: secrets.OWNER_DATABASE_PASSWORD, supervisor }
    const postgres = await startPostgres(options)
    shutdown.add('postgres', postgres.stop)
    ownerUrl = postgres.ownerUrl
    superuserUrl = postgres.superuserUrl
  }
  const { ensureRuntimeLogin, migrateDatabase } = await loading
  try {
    await migrateDatabase(ownerUrl)
    await ensureRuntimeLogin(ownerUrl, secrets.RUNTIME_DATABASE_PASSWORD)
  } catch (error) {
    const where = settings.databaseUrl ? 'DATABASE_URL: the database' : 'The database'
    throw new StartError(`${where} could not be migrated: ${messageOf(error)}`)
  }
  return { ownerUrl, runtimeUrl: runtimeUrl(ownerUrl, secrets.RUNTIME_DATABASE_PASSWORD), superuserUrl }
}

async function startGatewayProcess(
  { dataDir, ports }: Settings,
  databaseUrl: string,
  supervisor: Supervisor,
  shutdown: Shutdown,
): Promise<void> {
  const gateway = await keepNode<GatewayOptions>(supervisor, {
    name: 'gateway',
    entry: join(import.meta.dirname, 'stack', 'gateway-process.ts'),
    logFile: join(dataDir, 'logs', 'gateway.log'),
    config: { port: ports.gateway, databaseUrl },
  })
  shutdown.add('gateway', gateway.stop)
}

async function startEmulators(
  settings: Settings,
  env: Record<string, string>,
  supervisor: Supervisor,
  shutdown: Shutdown,
): Promise<void> {
  const { dataDir, ports } = settings
  const stateDir = join(dataDir, 'emulators')
  const value = (name: string) => env[name] ?? ''
  const emulators = await keepNode<EmulatorsConfig>(supervisor, {
    name: 'emulators',
    entry: join(import.meta.dirname, 'stack', 'emulators', 'process.ts'),
    logFile: join(dataDir, 'logs', 'emulators.log'),
    config: {
      google: {
        port: ports.google,
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
      },
      slack: { port: ports.slack, stateDir },
    },
  })
  shutdown.add('emulators', emulators.stop)
}

function watchAndReload(
  reload: (bundle: WorkerBundle) => Promise<void>,
  ownerUrl: string,
  shutdown: Shutdown,
): void {
  const watcher = watchSources(ROOT, {
    onCode: async () => {
      const begun = Date.now()
      await reload(await buildWorker(ROOT, shutdown.signal))
      say(dim(`Reloaded in ${((Date.now() - begun) / 1000).toFixed(1)} s.`))
    },
    onMigration: async () => {
      const { migrateDatabase } = await import('./migrate.ts')
      await migrateDatabase(ownerUrl)
      say(dim('The database is up to date.'))
    },
  })
  shutdown.add('watcher', async () => watcher.stop())
}

const shutdown = new Shutdown()
start(shutdown).catch((error: unknown) => {
  if (shutdown.signal.aborted) return
  const text =
    error instanceof StartError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error)
  shutdown.fail(new StartError(text))
})
