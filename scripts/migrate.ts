// `npm run db:migrate`: brings a database to this code's schema and, when RUNTIME_DATABASE_PASSWORD is given, makes
// the login that the Worker uses. Needs MIGRATIONS_DATABASE_URL, an owner.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { RUNTIME_LOGIN } from './stack/runtime-login.ts'
import { messageOf, say, StartError } from './stack/say.ts'

const MIGRATIONS = join(import.meta.dirname, '..', 'migrations')
/** Any constant will do, as long as every version of this script uses the same one. */
const MIGRATION_LOCK = 7_465_001

export interface MigrateOptions {
  folder?: string
  onNotice?: (text: string) => void
}

/** Twice, or from two machines at once, is harmless: the second waits and then finds nothing to do. */
export async function migrateDatabase(ownerUrl: string, options: MigrateOptions = {}): Promise<void> {
  const migrationsFolder = options.folder ?? MIGRATIONS
  if (!existsSync(join(migrationsFolder, 'meta', '_journal.json'))) {
    throw new StartError(
      `${join(migrationsFolder, 'meta', '_journal.json')} is missing: there are no migrations to run`,
    )
  }
  await withOwner(ownerUrl, async (client) => {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    try {
      await refuseOtherLineage(client, migrationsFolder)
      await migrate(drizzle(client), { migrationsFolder })
    } finally {
      await client.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK])
    }
  })
}

/** drizzle runs what is newer than the last one applied, whatever that was: on another lineage it would fail half-way. */
async function refuseOtherLineage(client: pg.Client, migrationsFolder: string): Promise<void> {
  const { rows: tables } = await client.query(
    "select 1 where to_regclass('drizzle.__drizzle_migrations') is not null",
  )
  if (tables.length === 0) return
  const known = new Set(readMigrationFiles({ migrationsFolder }).map(({ hash }) => hash))
  const { rows } = await client.query<{ hash: string }>('select hash from drizzle.__drizzle_migrations')
  if (rows.every(({ hash }) => known.has(hash))) return
  throw new StartError(
    'the database was made by another version than this one can go on from: use a new database (for `npm start`, remove DATA_DIR)',
  )
}

/**
 * The Worker's login may become `inlet_app` or `inlet_system` and is nothing by itself: where the role was
 * forgotten it reads no row. Call it after the migrations, which make those two roles.
 */
export async function ensureRuntimeLogin(ownerUrl: string, password: string): Promise<void> {
  if (password === '') throw new StartError('the password of the runtime login must not be empty')
  await withOwner(ownerUrl, async (client) => {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    try {
      const { rows } = await client.query<{ rolsuper: boolean; rolbypassrls: boolean }>(
        'select rolsuper, rolbypassrls from pg_roles where rolname = $1',
        [RUNTIME_LOGIN],
      )
      const attributes = `login noinherit password ${client.escapeLiteral(password)}`
      if (!rows[0]) {
        await client.query(
          `create role ${RUNTIME_LOGIN} ${attributes} nosuperuser nobypassrls nocreatedb nocreaterole`,
        )
      } else if (rows[0].rolsuper || rows[0].rolbypassrls) {
        // Only a superuser may take these away, so only then do we ask for it.
        await client.query(`alter role ${RUNTIME_LOGIN} ${attributes} nosuperuser nobypassrls`)
      } else {
        await client.query(`alter role ${RUNTIME_LOGIN} ${attributes}`)
      }
      await client.query(`grant inlet_app, inlet_system to ${RUNTIME_LOGIN} with inherit false, set true`)
      // Whoever downloads an export and stops reading holds no connection for ever.
      await client.query(`alter role ${RUNTIME_LOGIN} set idle_in_transaction_session_timeout = '60s'`)
    } finally {
      await client.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK])
    }
  })
}

async function withOwner(ownerUrl: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function main(): Promise<void> {
  const ownerUrl = process.env['MIGRATIONS_DATABASE_URL']
  const password = process.env['RUNTIME_DATABASE_PASSWORD']
  if (!ownerUrl || !/^postgres(ql)?:\/\//.test(ownerUrl)) {
    throw new StartError('MIGRATIONS_DATABASE_URL must be the postgresql:// URL of the database owner')
  }
  await migrateDatabase(ownerUrl)
  say('The database is up to date.')
  if (password) {
    await ensureRuntimeLogin(ownerUrl, password)
    say(
      `The runtime login is ready: DATABASE_URL is the owner's URL with the user ${RUNTIME_LOGIN} and that password.`,
    )
  }
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    process.stderr.write(`Migration failed: ${messageOf(error)}\n`)
    process.exitCode = 1
  })
}
