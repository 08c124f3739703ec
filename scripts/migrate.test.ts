import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ensureRuntimeLogin, migrateDatabase } from './migrate.ts'
import { freePort } from './stack/free-ports.ts'
import { type Postgres, startPostgres } from './stack/postgres.ts'
import { runtimeUrl } from './stack/runtime-login.ts'

let dataDir: string
let postgres: Postgres

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'inlet-migrate-'))
  postgres = await startPostgres({ dataDir, port: await freePort(), password: 'owner' })
})
afterAll(async () => {
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function ask<T>(url: string, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows as T[]
  } finally {
    await client.end()
  }
}

it('takes five at once and one more afterwards for one', async () => {
  await Promise.all(Array.from({ length: 5 }, () => migrateDatabase(postgres.ownerUrl)))
  const count = 'select count(*)::int as n from drizzle.__drizzle_migrations'
  const [first] = await ask<{ n: number }>(postgres.ownerUrl, count)
  await migrateDatabase(postgres.ownerUrl)
  const [second] = await ask<{ n: number }>(postgres.ownerUrl, count)
  expect(first?.n).toBeGreaterThan(0)
  expect(second).toEqual(first)
})

it('refuses a database that other migrations have made', async () => {
  const mark =
    "insert into drizzle.__drizzle_migrations (hash, created_at) values ('of another lineage', 1) returning id"
  await ask(postgres.ownerUrl, mark)
  await expect(migrateDatabase(postgres.ownerUrl)).rejects.toThrow('made by another version')
  await ask(postgres.ownerUrl, "delete from drizzle.__drizzle_migrations where hash = 'of another lineage'")
})

it('makes a runtime login that is nothing by itself, and only changes its password the second time', async () => {
  await ensureRuntimeLogin(postgres.ownerUrl, 'one')
  await Promise.all([
    ensureRuntimeLogin(postgres.ownerUrl, 'two'),
    ensureRuntimeLogin(postgres.ownerUrl, 'two'),
  ])
  const login = runtimeUrl(postgres.ownerUrl, 'two')
  expect(
    await ask(login, 'select rolsuper, rolbypassrls, rolinherit from pg_roles where rolname = current_user'),
  ).toEqual([{ rolsuper: false, rolbypassrls: false, rolinherit: false }])
  expect(await ask(login, 'show idle_in_transaction_session_timeout')).toEqual([
    { idle_in_transaction_session_timeout: '1min' },
  ])
  await expect(ask(login, 'select * from organizations')).rejects.toMatchObject({ code: '42501' })
  await expect(ask(runtimeUrl(postgres.ownerUrl, 'one'), 'select 1')).rejects.toMatchObject({ code: '28P01' })
})
