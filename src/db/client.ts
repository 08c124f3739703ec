// The only file that names a driver. Two doors to Postgres: `batch` (one HTTP round trip, one transaction) and
// `transaction` (interactive, over WebSocket, 7× slower: only where a decision needs a lock across statements).
import { type NeonDbError, type NeonQueryPromise, neon, neonConfig, Pool } from '@neondatabase/serverless'
import type { SQL } from 'drizzle-orm'
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch'
import { drizzle } from 'drizzle-orm/neon-http'
import type { Scope } from '#kernel/actor'
import { AppError } from '#kernel/errors'

/** Builds statements and runs none: a repo exports statements, a door executes them. */
export const q = drizzle.mock()

export type Statement = BatchItem<'pg'>

/** A raw statement with the type of its rows. Instants arrive as Postgres text: select them as ISO or as JSON. */
export function raw<T extends Record<string, unknown>>(query: SQL) {
  return q.execute<T>(query)
}

export interface Door {
  batch<U extends Statement, T extends Readonly<[U, ...U[]]>>(statements: T): Promise<BatchResponse<T>>
  /** Held to an allow-list by a test. Opened and closed within the call. */
  transaction<R>(
    work: (run: <S extends Statement>(statement: S) => Promise<S['_']['result']>) => Promise<R>,
  ): Promise<R>
}

export const SYSTEM_DOOR: unique symbol = Symbol('system door')

export interface Database {
  /** The door of one organization; the database itself shows nothing else. */
  org(scope: Scope): Door
  /** As `org`, for a public slug: resolved inside the same round trip, an unknown one sees 0 rows. */
  bySlug(slug: string): Door
  /** As `bySlug`, for what names only the send that it answers. */
  bySend(send_id: string): Door
  /** Sees no row at all: for definer functions that look an organization up. */
  nobody(): Door
  readonly [SYSTEM_DOOR]: Door
  /** The same doors for a caller who waits no longer than this. */
  within(timeout_ms: number): Database
}

/** What the Server-Timing header reports. */
export interface Meter {
  round_trips: number
  milliseconds: number
}

/**
 * A statement that Postgres refused. `code` is the SQLSTATE. Postgres' own words are left where they are: they quote the values,
 * and whatever throws an error does not know where it will be written.
 */
export class DatabaseError extends Error {
  readonly code: string
  readonly constraint: string | undefined
  /** `message` is what the driver said, and is not kept. */
  constructor(source: { code?: string | undefined; message?: string; constraint?: string | undefined }) {
    const where = source.constraint === undefined ? '' : ` by ${source.constraint}`
    super(`Postgres refused a statement: ${source.code ?? 'no code'}${where}`)
    this.name = 'DatabaseError'
    this.code = source.code ?? ''
    this.constraint = source.constraint
  }
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  return error instanceof DatabaseError && error.code === '23505' && error.constraint === constraint
}

// Neon may need seconds to wake; a request that waits longer helps nobody.
const TIMEOUT_MS = 10_000

/** The first statement of every transaction, as text: no builder for what is the same each time. */
interface Setting {
  text: string
  params: string[]
}
const AS_ORGANIZATION = `select set_config('role', 'inlet_app', true), set_config('app.org_id', $1, true),
  set_config('app.user_id', $2, true), set_config('app.visibility', $3, true)`
const AS_SLUG = `select set_config('role', 'inlet_app', true), set_config('app.org_id', coalesce(org_by_slug($1)::text, ''), true),
  set_config('app.visibility', 'all', true)`
const AS_SEND = `select set_config('role', 'inlet_app', true), set_config('app.org_id', coalesce(org_by_send($1)::text, ''), true),
  set_config('app.visibility', 'all', true)`
const AS_NOBODY = `select set_config('role', 'inlet_app', true), set_config('app.org_id', '', true)`
const AS_SYSTEM = `select set_config('role', 'inlet_system', true)`

export function openDatabase(options: {
  url: string
  gateway_url: string
  meter: Meter
  timeout_ms?: number
}): Database {
  const door = (text: string, ...params: string[]): Door => ({
    batch: (statements) => runBatch(options, { text, params }, statements),
    transaction: (work) => runTransaction(options, { text, params }, work),
  })
  return {
    org: (scope) => door(AS_ORGANIZATION, scope.org_id, scope.user_id ?? '', scope.visibility),
    bySlug: (slug) => door(AS_SLUG, slug),
    bySend: (send_id) => door(AS_SEND, send_id),
    nobody: () => door(AS_NOBODY),
    [SYSTEM_DOOR]: door(AS_SYSTEM),
    within: (timeout_ms) => openDatabase({ ...options, timeout_ms }),
  }
}

type Options = Parameters<typeof openDatabase>[0]

async function runBatch<U extends Statement, T extends Readonly<[U, ...U[]]>>(
  options: Options,
  setting: Setting,
  statements: T,
): Promise<BatchResponse<T>> {
  const client = httpClient(options)
  const prepared = statements.map(prepare)
  const started = performance.now()
  try {
    const [, ...results] = await client.transaction(
      [
        client.query(setting.text, setting.params),
        ...prepared.map((statement) => {
          const { sql: text, params } = statement.getQuery()
          return client.query(text, params, {
            fullResults: true,
            arrayMode: statement.isResponseInArrayMode(),
          })
        }),
        // The driver's types know one row shape a batch; its code knows one a query.
      ] as NeonQueryPromise<false, true>[],
      { fullResults: true, fetchOptions: { signal: AbortSignal.timeout(options.timeout_ms ?? TIMEOUT_MS) } },
    )
    return prepared.map((statement, i) => statement.mapResult(results[i], true)) as BatchResponse<T>
  } catch (error) {
    throw asOurs(error)
  } finally {
    options.meter.round_trips += 1
    options.meter.milliseconds += performance.now() - started
  }
}

async function runTransaction<R>(
  options: Options,
  setting: Setting,
  work: (run: <S extends Statement>(statement: S) => Promise<S['_']['result']>) => Promise<R>,
): Promise<R> {
  configure(options.gateway_url)
  const started = performance.now()
  const pool = new Pool({ connectionString: options.url, max: 1, connectionTimeoutMillis: TIMEOUT_MS })
  // The socket that `end` closes reports its own end as an error; a query that fails rejects by itself.
  pool.on('error', () => undefined)
  const run = async <S extends Statement>(statement: S): Promise<S['_']['result']> => {
    const prepared = prepare(statement)
    const { sql: text, params } = prepared.getQuery()
    options.meter.round_trips += 1
    const config = {
      text,
      values: params,
      ...(prepared.isResponseInArrayMode() ? { rowMode: 'array' as const } : {}),
    }
    return prepared.mapResult(await connection.query(config), false)
  }
  const connection = await pool.connect().catch((error: unknown) => {
    throw asOurs(error)
  })
  connection.on('error', () => undefined)
  let broken = false
  try {
    await connection.query('begin')
    await connection.query({ text: setting.text, values: setting.params })
    const result = await work(run)
    await connection.query('commit')
    return result
  } catch (error) {
    await connection.query('rollback').catch(() => {
      broken = true
    })
    throw asOurs(error)
  } finally {
    // The pool waits for its connection before it ends.
    connection.release(broken)
    await pool.end()
    options.meter.milliseconds += performance.now() - started
  }
}

interface Prepared {
  getQuery(): { sql: string; params: unknown[] }
  isResponseInArrayMode(): boolean
  mapResult(result: unknown, isFromBatch: boolean): never
}

/** Drizzle marks `_prepare` internal, though its own batch is made of nothing else. */
function prepare(statement: Statement): Prepared {
  if ('_prepare' in statement && typeof statement._prepare === 'function')
    return statement._prepare() as Prepared
  throw new TypeError('A statement is made with `q` or `raw`')
}

// The HTTP client holds no connection, so one per isolate is safe (0.08 ms less per request than a fresh one).
const clients = new Map<string, ReturnType<typeof neon<false, true>>>()
function httpClient(options: Options) {
  configure(options.gateway_url)
  let client = clients.get(options.url)
  if (!client) {
    client = neon(options.url, { fullResults: true })
    clients.set(options.url, client)
  }
  return client
}

function configure(gateway_url: string): void {
  if (gateway_url === '') return
  const gateway = new URL(gateway_url)
  neonConfig.fetchEndpoint = `${gateway.origin}/sql`
  neonConfig.wsProxy = () => `${gateway.host}/v2`
  neonConfig.useSecureWebSocket = gateway.protocol === 'https:'
  neonConfig.pipelineConnect = false
}

function asOurs(error: unknown): unknown {
  if (error instanceof AppError || error instanceof DatabaseError) return error
  const neonError = error as Partial<NeonDbError>
  // NUL, or half a surrogate pair inside JSON: bad input, wherever it came in.
  if (neonError.code === '22021' || neonError.code === '22P05') {
    return new AppError('invalid', 'The text holds a character that cannot be stored, such as NUL.')
  }
  // A SQLSTATE means that Postgres answered. 08/53/57 are its own outages, like no answer at all; 40 is a transaction that it
  // gave up for another one (a deadlock): nothing of it was kept, and the next attempt finds the way free.
  if (
    typeof neonError.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(neonError.code) &&
    !/^(08|40|53|57)/.test(neonError.code)
  ) {
    return new DatabaseError({
      code: neonError.code,
      constraint: neonError.constraint,
    })
  }
  return new AppError('unavailable', 'The database did not answer. Please try again.', {
    retry_after_seconds: 5,
  })
}
