// The rows of one buffer. Every function is one synchronous step of the object's SQLite: nothing comes in between.
import type { BufferState, Destination } from '#kernel/intake'
import type { Cursor } from '#kernel/page'
import type { BufferedItem, BufferStats, Refusal, SealedItem } from '#platform/ingest-buffer'
import { BATCH_BYTES, BATCH_ITEMS, DEAD_KEPT_MS, PART_CHARS, WAITS_MS } from './policy'

interface Row extends Record<string, SqlStorageValue> {
  id: string
  kind: string
  destination: string
  request_hash: string
  state: BufferState
  received_at: number
  attempts: number
  next_at: number
  last_error: string | null
  dead_at: number | null
  bytes: number
}

export function createStore(storage: DurableObjectStorage) {
  const { sql } = storage
  sql.exec(`create table if not exists items (id text primary key, kind text not null, destination text not null,
    request_hash text not null, state text not null, received_at integer not null, attempts integer not null default 0,
    next_at integer not null, last_error text, dead_at integer, notified_at integer, bytes integer not null)`)
  sql.exec('create index if not exists items_due on items (state, received_at, id)')
  sql.exec(
    `create table if not exists parts (id text not null, n integer not null, text text not null, primary key (id, n))`,
  )
  sql.exec('create table if not exists meta (key text primary key, value text not null)')

  const rows = <T extends Record<string, SqlStorageValue>>(
    query: string,
    ...values: (string | number | null)[]
  ) => sql.exec<T>(query, ...values).toArray()

  const writeParts = (id: string, sealed: string): void => {
    sql.exec('delete from parts where id = ?', id)
    for (let n = 0; n * PART_CHARS < sealed.length; n++)
      sql.exec(
        'insert into parts (id, n, text) values (?, ?, ?)',
        id,
        n,
        sealed.slice(n * PART_CHARS, (n + 1) * PART_CHARS),
      )
  }
  const remove = (id: string): void => {
    sql.exec('delete from parts where id = ?', id)
    sql.exec('delete from items where id = ?', id)
  }

  return {
    get size(): number {
      return sql.databaseSize
    },
    atOnce: <T>(work: () => T): T => storage.transactionSync(work),

    meta: (key: string): string | null =>
      rows<{ value: string }>('select value from meta where key = ?', key)[0]?.value ?? null,
    setMeta: (key: string, value: string): void => {
      sql.exec('insert or replace into meta (key, value) values (?, ?)', key, value)
    },

    known: (id: string) =>
      rows<Pick<Row, 'request_hash' | 'state'>>(
        'select request_hash, state from items where id = ?',
        id,
      )[0] ?? null,
    insert: (item: SealedItem, now: number): void => {
      sql.exec(
        `insert into items (id, kind, destination, request_hash, state, received_at, next_at, last_error, dead_at, bytes)
          values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        item.id,
        item.kind,
        JSON.stringify(item.destination),
        item.request_hash,
        item.refused ? 'dead' : 'waiting',
        Date.parse(item.received_at),
        now,
        item.refused ? JSON.stringify(item.refused) : null,
        item.refused ? now : null,
        item.sealed.length,
      )
      writeParts(item.id, item.sealed)
    },
    find: (id: string): BufferedItem | null => {
      const [row] = rows<Row>('select * from items where id = ?', id)
      return row ? toItem(row) : null
    },
    sealedOf: (id: string): string =>
      rows<{ text: string }>('select text from parts where id = ? order by n', id)
        .map(({ text }) => text)
        .join(''),
    list: (state: BufferState | null, limit: number, after: Cursor | null): BufferedItem[] =>
      rows<Row>(
        `select * from items where (?1 is null or state = ?1)
          and (?2 is null or received_at < ?2 or (received_at = ?2 and id < ?3)) order by received_at desc, id desc limit ?4`,
        state,
        after?.at.getTime() ?? null,
        after?.id ?? null,
        limit,
      ).map(toItem),
    stats: (): BufferStats => {
      const [row] = rows<Record<'depth' | 'dead' | 'attempts' | 'bytes', number> & { oldest: number | null }>(
        `select count(*) filter (where state = 'waiting') as depth, count(*) filter (where state = 'dead') as dead,
          min(received_at) filter (where state = 'waiting') as oldest,
          coalesce(max(attempts) filter (where state = 'waiting'), 0) as attempts, coalesce(sum(bytes), 0) as bytes from items`,
      )
      const { depth = 0, dead = 0, attempts = 0, bytes = 0, oldest = null } = row ?? {}
      return { depth, dead, attempts, bytes, oldest_received_at: oldest === null ? null : new Date(oldest) }
    },

    /**
     * The oldest that are due, of one kind and destination; one alone when it is asked for. Who wants no more mail comes before
     * the leads, which make mail; what has failed for itself comes after all others.
     */
    nextBatch: (now: number, only: string | null): BufferedItem[] => {
      const due = "state = 'waiting' and next_at <= ?1 and (?2 is null or id = ?2)"
      const [first] = rows<Row>(
        `select * from items where ${due} order by last_error is not null, kind <> 'unsubscribe', received_at, id limit 1`,
        now,
        only,
      )
      if (!first) return []
      const found = rows<Row>(
        `select * from items where ${due} and kind = ?3 and destination = ?4 and (last_error is null) = ?5
          order by received_at, id limit ${BATCH_ITEMS}`,
        now,
        only,
        first.kind,
        first.destination,
        first.last_error === null ? 1 : 0,
      )
      let bytes = 0
      return found.filter((row, i) => (bytes += row.bytes) <= BATCH_BYTES || i === 0).map(toItem)
    },
    makeAllDue: (now: number): void => {
      sql.exec("update items set next_at = ? where state = 'waiting'", now)
    },
    /** When the first of those that wait is due. */
    nextDue: (): number | null =>
      rows<{ at: number | null }>("select min(next_at) as at from items where state = 'waiting'")[0]?.at ??
      null,

    remove,
    bury: (id: string, error: Refusal, now: number): void => {
      sql.exec(
        "update items set state = 'dead', dead_at = ?, last_error = ?, attempts = attempts + 1 where id = ?",
        now,
        JSON.stringify(error),
        id,
      )
    },
    postpone: (id: string, error: Refusal | null, next_at: number): void => {
      sql.exec(
        'update items set next_at = ?, last_error = coalesce(?, last_error), attempts = attempts + 1 where id = ?',
        next_at,
        error && JSON.stringify(error),
        id,
      )
    },
    /** A batch that got no answer: its items come again when all do. */
    countTried: (ids: readonly string[]): void => {
      for (const id of ids) sql.exec('update items set attempts = attempts + 1 where id = ?', id)
    },
    repair: (id: string, destination: Destination, sealed: string, now: number): void => {
      sql.exec(
        `update items set state = 'waiting', next_at = ?, destination = ?, bytes = ?, last_error = null, dead_at = null,
          notified_at = null where id = ?`,
        now,
        JSON.stringify(destination),
        sealed.length,
        id,
      )
      writeParts(id, sealed)
    },
    /** Returns how many have died of age. */
    expire: (now: number): number => {
      for (const { id } of rows<{ id: string }>(
        "select id from items where state = 'dead' and dead_at < ?",
        now - DEAD_KEPT_MS,
      ))
        remove(id)
      return sql
        .exec(
          `update items set state = 'dead', dead_at = ?, last_error = '{"code":"expired","where":null}'
          where state = 'waiting' and received_at < ? returning id`,
          now,
          now - WAITS_MS,
        )
        .toArray().length
    },

    untold: (): { id: string; destination: Destination; code: string }[] =>
      rows<Row>("select * from items where state = 'dead' and notified_at is null order by dead_at, id")
        .map(toItem)
        .map(({ id, destination, last_error }) => ({ id, destination, code: last_error?.code ?? 'unknown' })),
    markTold: (ids: readonly string[], now: number): void => {
      for (const id of ids) sql.exec('update items set notified_at = ? where id = ?', now, id)
    },
    /** Returns the first of them. */
    clear: (state: BufferState, listed: number): BufferedItem[] => {
      const gone = rows<Row>(
        'select * from items where state = ? order by received_at, id limit ?',
        state,
        listed,
      )
      sql.exec('delete from parts where id in (select id from items where state = ?)', state)
      sql.exec('delete from items where state = ?', state)
      return gone.map(toItem)
    },
  }
}

export type Store = ReturnType<typeof createStore>

function toItem(row: Row): BufferedItem {
  return {
    id: row.id,
    kind: row.kind,
    destination: JSON.parse(row.destination) as Destination,
    state: row.state,
    received_at: new Date(row.received_at),
    attempts: row.attempts,
    next_at: new Date(row.next_at),
    last_error: row.last_error === null ? null : (JSON.parse(row.last_error) as Refusal),
    dead_at: row.dead_at === null ? null : new Date(row.dead_at),
    bytes: row.bytes,
  }
}
