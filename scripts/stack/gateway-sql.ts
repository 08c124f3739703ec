// Runs what the Neon driver posts: one statement, or a batch as one transaction. A batch is written to the socket
// at once (BEGIN … COMMIT, pipelined), so it costs one round trip whatever its length.
import type pg from 'pg'
import pgTypes from 'pg'
import { GatewayError } from './gateway-pools.ts'

export interface Query {
  query: string
  params?: unknown[]
  arrayMode?: boolean
}

export interface Modes {
  raw: boolean
  array: boolean
  isolationLevel: string | undefined
  readOnly: string | undefined
  deferrable: string | undefined
}

const LEVELS: Record<string, string> = {
  readuncommitted: 'read uncommitted',
  readcommitted: 'read committed',
  repeatableread: 'repeatable read',
  serializable: 'serializable',
}

// A statement that is not one of these may have changed the session (SET, PREPARE, LISTEN …): the connection is
// closed after it, so that no other request inherits it.
const HARMLESS = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE', 'BEGIN', 'COMMIT', 'ROLLBACK'])

const asText = { getTypeParser: () => (value: string) => value }

/** Without raw text, Neon gives what JSON can hold exactly, and text for the rest. */
const JSON_TYPES = new Set([
  16, 21, 23, 700, 701, 114, 3802, 1000, 1005, 1007, 1009, 1015, 1021, 1022, 199, 3807,
])
const asJson = {
  getTypeParser: (oid: number) =>
    JSON_TYPES.has(oid) ? pgTypes.types.getTypeParser(oid as 16) : (value: string) => value,
}

// Parsed once per connection and statement, the fastest way there is. Text that never repeats (a list written into
// the SQL) must not fill the server's memory, so their number is bounded.
const names = new Map<string, string>()
const MAX_NAMES = 1000

function nameOf(text: string): string | undefined {
  let name = names.get(text)
  if (name === undefined) {
    if (names.size >= MAX_NAMES) return undefined
    name = `g${names.size}`
    names.set(text, name)
  }
  return name
}

interface Answer {
  command: string
  rowCount: number | null
  rows: unknown[]
  fields: pg.FieldDef[]
  rowAsArray: boolean
}

function run(client: pg.PoolClient, { query, params, arrayMode }: Query, modes: Modes): Promise<Answer> {
  const array = arrayMode ?? modes.array
  return client
    .query({
      name: nameOf(query),
      text: query,
      values: params ?? [],
      types: modes.raw ? asText : asJson,
      queryMode: 'extended',
      ...(array ? { rowMode: 'array' } : {}),
    } as pg.QueryConfig)
    .then(({ command, rowCount, rows, fields }) => ({ command, rowCount, rows, fields, rowAsArray: array }))
}

export interface Outcome<T> {
  answer: T
  /** The connection must not be used again. */
  tainted: boolean
}

export async function runOne(client: pg.PoolClient, query: Query, modes: Modes): Promise<Outcome<Answer>> {
  const answer = await run(client, query, modes)
  const inTransaction =
    (client as unknown as { getTransactionStatus(): string | null }).getTransactionStatus() !== 'I'
  const tainted = inTransaction || !HARMLESS.has(answer.command) || query.query.includes('set_config')
  return { answer, tainted }
}

export async function runBatch(
  client: pg.PoolClient,
  queries: Query[],
  modes: Modes,
): Promise<Outcome<{ results: Answer[] }>> {
  const { stream } = (client as unknown as { connection: { stream: { cork(): void; uncork(): void } } })
    .connection
  stream.cork()
  let sent: Promise<unknown>[]
  let answers: Promise<Answer>[]
  try {
    const begin = client.query(beginOf(modes))
    answers = queries.map((query) => run(client, query, modes))
    // After a failed statement Postgres answers this COMMIT with a ROLLBACK: all of the batch, or nothing.
    sent = [begin, ...answers, client.query('commit')]
  } finally {
    stream.uncork()
  }
  // Every answer is awaited, also behind a failure: then the connection is clean again.
  const settled = await Promise.allSettled(sent)
  const failed = settled.find((one) => one.status === 'rejected')
  if (failed) throw failed.reason
  const results = await Promise.all(answers)
  return { answer: { results }, tainted: results.some(({ command }) => !HARMLESS.has(command)) }
}

function beginOf({ isolationLevel, readOnly, deferrable }: Modes): string {
  const words = ['begin']
  if (isolationLevel !== undefined) {
    const level = LEVELS[isolationLevel.toLowerCase().replaceAll(/[^a-z]/g, '')]
    if (!level) throw new GatewayError(400, `Unknown isolation level: ${isolationLevel}`)
    words.push(`isolation level ${level}`)
  }
  if (readOnly !== undefined) words.push(readOnly === 'true' ? 'read only' : 'read write')
  if (deferrable !== undefined) words.push(deferrable === 'true' ? 'deferrable' : 'not deferrable')
  return words.join(' ')
}

/** Its plan or its name is gone (after a migration, say); Postgres did nothing, so it may be asked again. */
export function isStale(error: { code?: string | undefined; routine?: string | undefined }): boolean {
  return (error.code === '0A000' && error.routine === 'RevalidateCachedQuery') || error.code === '26000'
}
