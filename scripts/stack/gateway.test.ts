import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { neon, neonConfig, type NeonDbError, Pool } from '@neondatabase/serverless'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { freePort } from './free-ports.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { endProcess, signal } from './processes.ts'

let dataDir: string
let postgres: Postgres
let gateway: Gateway
let owner: pg.Client

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'inlet-gateway-'))
  postgres = await startPostgres({ dataDir, port: await freePort(), password: 'pw-of-owner' })
  gateway = await startGateway({
    port: 0,
    databaseUrl: postgres.ownerUrl,
    limits: { connections: 4, waiting: 4 },
  })
  neonConfig.fetchEndpoint = () => `${gateway.url}/sql`
  neonConfig.wsProxy = () => `${new URL(gateway.url).host}/v2`
  neonConfig.useSecureWebSocket = false
  neonConfig.webSocketConstructor = WebSocket
  owner = new pg.Client(postgres.ownerUrl)
  // A test below kills Postgres under this connection.
  owner.on('error', () => undefined)
  await owner.connect()
  await owner.query('create table notes (id int primary key, body text)')
}, 60_000)

afterAll(async () => {
  await gateway.close()
  await owner.end().catch(() => undefined)
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

beforeEach(async () => {
  // A connection of its own: a test below kills Postgres, and a clean-up that was skipped would leave its rows to the next.
  const client = new pg.Client(postgres.ownerUrl)
  await client.connect()
  await client.query('truncate notes')
  await client.end()
})

const post = async (headers: Record<string, string>, body: string) =>
  await fetch(`${gateway.url}/sql`, { method: 'POST', headers, body })

const countNotes = async () =>
  (await neon(postgres.ownerUrl)`select count(*)::int as n from notes`)[0]?.['n'] as number

async function failure(promise: Promise<unknown>): Promise<NeonDbError> {
  return await promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: NeonDbError) => error,
  )
}

describe('the HTTP door', () => {
  it('answers a single statement with the types that the driver expects', async () => {
    const sql = neon(postgres.ownerUrl, { fullResults: true })
    const result =
      await sql`select ${'é'}::text as word, 1::int as n, null as nothing, ${new Date(0)}::timestamptz as at`
    expect(result.rows).toEqual([{ word: 'é', n: 1, nothing: null, at: new Date(0) }])
    expect(result).toMatchObject({ command: 'SELECT', rowCount: 1 })
  })

  it('runs a batch as one transaction in the isolation that the headers ask for', async () => {
    const sql = neon(postgres.ownerUrl)
    const [first, second, ids] = await sql.transaction(
      [
        sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as ro`,
        sql`select current_setting('transaction_deferrable') as deferrable`,
        sql`select pg_current_xact_id_if_assigned()::text as id`,
      ],
      { isolationLevel: 'Serializable', readOnly: true, deferrable: true },
    )
    expect(first).toEqual([{ level: 'serializable', ro: 'on' }])
    expect(second).toEqual([{ deferrable: 'on' }])
    expect(ids).toHaveLength(1)
  })

  it('leaves no row of a batch that fails in its middle, and goes on serving', async () => {
    const sql = neon(postgres.ownerUrl)
    const error = await failure(
      sql.transaction([
        sql`insert into notes values (1, 'a')`,
        sql`insert into notes values (1, 'b')`,
        sql`insert into notes values (2, 'c')`,
      ]),
    )
    expect(error).toMatchObject({
      code: '23505',
      severity: 'ERROR',
      constraint: 'notes_pkey',
      table: 'notes',
      schema: 'public',
      detail: 'Key (id)=(1) already exists.',
    })
    expect(await countNotes()).toBe(0)
  })

  it('reports a constraint that fails only at COMMIT', async () => {
    await owner.query('create table late (id int unique deferrable initially deferred)')
    const sql = neon(postgres.ownerUrl)
    const error = await failure(
      sql.transaction([sql`insert into late values (1)`, sql`insert into late values (1)`]),
    )
    expect(error.code).toBe('23505')
    expect(await sql`select * from late`).toEqual([])
  })

  it('never wedges a connection, however many batches fail at once', async () => {
    const sql = neon(postgres.ownerUrl)
    const attempts = Array.from({ length: 40 }, async (_, i) => {
      for (let tries = 0; ; tries++) {
        const batch = sql.transaction([
          sql`insert into notes values (${i}, 'x')`,
          sql`select 1 / ${i % 2}::int`,
        ])
        const outcome = await batch.then(
          () => 'ok',
          (error: NeonDbError) => error.code ?? 'busy',
        )
        if (outcome !== 'busy' || tries > 100) return outcome
      }
    })
    const outcomes = await Promise.all(attempts)
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(20)
    expect(outcomes.filter((outcome) => outcome === '22012')).toHaveLength(20)
    expect(await countNotes()).toBe(20)
  })

  it('gives nothing of one request’s session to the next', async () => {
    const sql = neon(postgres.ownerUrl)
    await sql`set my.secret = 'yours'`
    await sql`select set_config('my.secret', 'yours', false)`
    await sql`begin`
    const seen = await Promise.all(
      Array.from({ length: 4 }, async () => await sql`select current_setting('my.secret', true) as secret`),
    )
    expect(seen.flat().map((row) => row['secret'] as string | null)).toEqual([null, null, null, null])
  })

  it('goes on when a table changes under a prepared statement', async () => {
    const sql = neon(postgres.ownerUrl)
    await owner.query('create table changing (a int)')
    for (let i = 0; i < 8; i++) await sql`select * from changing`
    await owner.query('alter table changing add column b int; insert into changing values (1, 2)')
    expect(await sql.transaction([sql`select * from changing`])).toEqual([[{ a: 1, b: 2 }]])
  })

  it('gives JSON values where the caller wants no raw text', async () => {
    const response = await post(
      { 'neon-connection-string': postgres.ownerUrl },
      JSON.stringify({
        query: `select 1::int as n, true as yes, 9007199254740993::int8 as big, '{"a":[1]}'::jsonb as doc`,
      }),
    )
    const { rows } = (await response.json()) as { rows: unknown[] }
    expect(rows).toEqual([{ n: 1, yes: true, big: '9007199254740993', doc: { a: [1] } }])
  })
})

describe('what it refuses', () => {
  it.each([
    ['no connection string', {}, '{}', 400],
    [
      'another server',
      { 'neon-connection-string': 'postgresql://a:b@example.com/x' },
      '{"query":"select 1"}',
      403,
    ],
  ])('%s', async (_, headers, body, status) => {
    expect((await post(headers as Record<string, string>, body)).status).toBe(status)
  })

  it('a login without a password, and one with a wrong password', async () => {
    const without = new URL(postgres.ownerUrl)
    without.password = ''
    expect((await post({ 'neon-connection-string': without.href }, '{"query":"select 1"}')).status).toBe(401)
    const wrong = new URL(postgres.ownerUrl)
    wrong.password = 'wrong'
    expect((await failure(neon(wrong.href)`select 1`)).code).toBe('28P01')
  })

  it('a body over 8 MB, a body that is no JSON, and one that is no query', async () => {
    const headers = { 'neon-connection-string': postgres.ownerUrl }
    expect((await post(headers, JSON.stringify({ query: 'x'.repeat(9e6) }))).status).toBe(413)
    expect((await post(headers, 'no json')).status).toBe(400)
    expect((await post(headers, '{"queries":[{"sql":1}]}')).status).toBe(400)
  })

  it('more waiting requests than its bound, and serves again at once', async () => {
    const sql = neon(postgres.ownerUrl)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, async () => await sql`select pg_sleep(0.3)`),
    )
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(refused).toHaveLength(4)
    expect(String(refused[0]?.reason)).toContain('503')
    expect(await sql`select 1 as n`).toEqual([{ n: 1 }])
  })
})

describe('the WebSocket door', () => {
  it.each([['password' as const], [false as const]])(
    'holds an interactive transaction (pipelineConnect %s)',
    async (mode) => {
      neonConfig.pipelineConnect = mode
      const pool = new Pool({ connectionString: postgres.ownerUrl, max: 1 })
      const client = await pool.connect()
      await client.query('begin')
      await client.query(`insert into notes values (7, 'mine')`)
      expect(await countNotes()).toBe(0)
      const { rows } = await client.query<{ body: string }>('select body from notes where id = $1', [7])
      expect(rows).toEqual([{ body: 'mine' }])
      await client.query('commit')
      client.release()
      await pool.end()
      expect(await countNotes()).toBe(1)
    },
  )

  it('refuses a wrong password', async () => {
    neonConfig.pipelineConnect = false
    const wrong = new URL(postgres.ownerUrl)
    wrong.password = 'wrong'
    const pool = new Pool({ connectionString: wrong.href })
    pool.on('error', () => undefined)
    expect(String(await failure(pool.query('select 1')))).toContain('password authentication failed')
    await pool.end()
  })

  it('rolls back what a vanished client left open', async () => {
    const pool = new Pool({ connectionString: postgres.ownerUrl, max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query(`insert into notes values (9, 'gone')`)
    client.release(true)
    await pool.end()
    // The row's lock is free as soon as Postgres has noticed.
    await neon(postgres.ownerUrl)`insert into notes values (9, 'kept')`
    expect(await neon(postgres.ownerUrl)`select body from notes`).toEqual([{ body: 'kept' }])
  })
})

describe('when Postgres dies', () => {
  it('fails the request in flight, and serves the next one from the restarted server', async () => {
    const sql = neon(postgres.ownerUrl)
    const inFlight = failure(
      Promise.resolve(sql.transaction([sql`insert into notes values (1, 'x')`, sql`select pg_sleep(5)`])),
    )
    const before = postgres.pid
    await new Promise((resolve) => setTimeout(resolve, 100))
    signal(before, 'SIGKILL')
    expect((await inFlight).code).toBeUndefined()
    await expect.poll(async () => await countNotes().catch(() => 'down'), { timeout: 15_000 }).toBe(0)
    expect(postgres.pid).not.toBe(before)
    await endProcess(before)
  }, 20_000)
})
