// Connections to Postgres for the gateway's HTTP door: one bounded pool for each login, and only for logins of the
// server that the gateway was started for.
import pg from 'pg'

export class GatewayError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface PoolLimits {
  /** Connections of one login. */
  connections: number
  /** Requests that may wait for one of them; the next is told to come back. */
  waiting: number
  waitMs: number
  statementMs: number
  idleInTransactionMs: number
}

export const DEFAULT_LIMITS: PoolLimits = {
  connections: 16,
  waiting: 256,
  waitMs: 10_000,
  statementMs: 30_000,
  idleInTransactionMs: 5_000,
}

const MAX_POOLS = 12

export interface Login {
  user: string
  password: string
  database: string
}

export class GatewayPools {
  readonly #server: URL
  readonly #limits: PoolLimits
  readonly #pools = new Map<string, pg.Pool>()

  constructor(databaseUrl: string, limits: PoolLimits) {
    this.#server = new URL(databaseUrl)
    this.#limits = limits
  }

  /** What a connection needs beside the login: it always leads to our server, whatever the caller wrote. */
  connectionOf(login: Login): pg.ClientConfig {
    const target = new URL(this.#server.href)
    target.username = encodeURIComponent(login.user)
    target.password = encodeURIComponent(login.password)
    target.pathname = `/${encodeURIComponent(login.database)}`
    return {
      connectionString: target.href,
      keepAlive: true,
      connectionTimeoutMillis: this.#limits.waitMs,
      statement_timeout: this.#limits.statementMs,
      idle_in_transaction_session_timeout: this.#limits.idleInTransactionMs,
    }
  }

  async connect(connectionString: string): Promise<pg.PoolClient> {
    let pool = this.#pools.get(connectionString)
    if (!pool) {
      const login = this.#loginOf(connectionString)
      this.#makeRoom()
      pool = new pg.Pool({
        ...this.connectionOf(login),
        pipeline: true,
        max: this.#limits.connections,
        idleTimeoutMillis: 60_000,
      } as pg.PoolConfig)
      // An idle connection that Postgres closed: the pool has dropped it already.
      pool.on('error', () => undefined)
      this.#pools.set(connectionString, pool)
    }
    if (pool.waitingCount >= this.#limits.waiting) {
      throw new GatewayError(503, 'Too many requests are waiting for a database connection')
    }
    try {
      return await pool.connect()
    } catch (error) {
      // A wrong password must not keep a pool's place.
      if (pool.totalCount === 0 && this.#pools.get(connectionString) === pool) {
        this.#pools.delete(connectionString)
        void pool.end()
      }
      if (isSqlError(error)) throw error
      throw new GatewayError(503, 'The database cannot be reached')
    }
  }

  async close(): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map(async (pool) => await pool.end()))
  }

  #loginOf(connectionString: string): Login {
    const url = URL.canParse(connectionString) ? new URL(connectionString) : undefined
    if (!url || !/^postgres(ql)?:$/.test(url.protocol)) {
      throw new GatewayError(400, 'Neon-Connection-String must be a postgresql:// URL')
    }
    const login = {
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database: decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username),
    }
    if (!login.user || !login.password) throw new GatewayError(401, 'A user and a password are required')
    if (hostOf(url) !== hostOf(this.#server)) {
      throw new GatewayError(403, 'This gateway leads to another server')
    }
    return login
  }

  #makeRoom(): void {
    if (this.#pools.size < MAX_POOLS) return
    for (const [key, pool] of this.#pools) {
      if (pool.totalCount > pool.idleCount || pool.waitingCount > 0) continue
      this.#pools.delete(key)
      void pool.end()
      return
    }
    throw new GatewayError(503, 'Too many different logins are in use')
  }
}

const hostOf = (url: URL) =>
  `${url.hostname === 'localhost' ? '127.0.0.1' : url.hostname}:${url.port || '5432'}`

/** Did Postgres itself refuse? Then the error carries a SQLSTATE. */
export function isSqlError(error: unknown): error is pg.DatabaseError {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && error instanceof pg.DatabaseError
}
