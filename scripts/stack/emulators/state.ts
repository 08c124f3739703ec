// Keeps an emulated provider across restarts. Every change is in the file before the request that made it is
// answered, so a kill -9 of everything loses nothing that the Worker was told was done.
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Collection, Row, Store } from './host.ts'

const DATA = 'data'

export class EmulatorState {
  readonly #db: DatabaseSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #list: StatementSync
  readonly #saved = new Map<string, string>()

  constructor(file: string) {
    this.#db = new DatabaseSync(file)
    // A killed process loses nothing in this mode; only a power cut could, and then the last moments of a toy.
    this.#db.exec(`pragma journal_mode = wal; pragma synchronous = normal;
      create table if not exists entries (kind text, key text, value text, primary key (kind, key)) without rowid`)
    this.#put = this.#db.prepare(
      'insert into entries values (?, ?, ?) on conflict (kind, key) do update set value = excluded.value',
    )
    this.#remove = this.#db.prepare('delete from entries where kind = ? and key = ?')
    this.#list = this.#db.prepare('select key, value from entries where kind = ?')
  }

  put(kind: string, key: string, value: unknown): void {
    this.#begin()
    this.#put.run(kind, key, encode(value))
  }

  remove(kind: string, key: string): void {
    this.#begin()
    this.#remove.run(kind, key)
  }

  list(kind: string): [key: string, value: unknown][] {
    return this.#list.all(kind).map((row) => [String(row['key']), decode(String(row['value']))])
  }

  /** A Map that survives: for what our shims know and the emulator does not. */
  map<T>(kind: string): PersistedMap<T> {
    return new PersistedMap<T>(this, kind)
  }

  restore(store: Store, transient: string[]): void {
    for (const [name, collection] of store.collections) {
      if (transient.includes(name)) continue
      const items = this.list(collectionKind(name)).map(([, row]) => row as Row)
      if (items.length === 0) continue
      items.sort((a, b) => a.id - b.id)
      collection.restore({ items, autoId: (items.at(-1)?.id ?? 0) + 1 })
    }
    for (const [key, value] of this.list(DATA)) store.setData(key, value)
  }

  /** Saves what is there and from now on every change. */
  follow(store: Store, transient: string[]): void {
    for (const [name, collection] of store.collections) {
      if (transient.includes(name)) continue
      const kind = collectionKind(name)
      for (const row of collection.all()) this.put(kind, String(row.id), row)
      this.#wrap(kind, collection)
    }
    this.saveData(store)
  }

  /** The loose values change in place, so they are compared; they are few and small. */
  saveData(store: Store): void {
    for (const [key, value] of store._data) {
      const text = encode(value)
      if (this.#saved.get(key) === text) continue
      this.#begin()
      this.#put.run(DATA, key, text)
      this.#saved.set(key, text)
    }
  }

  close(): void {
    this.#commit()
    this.#db.close()
  }

  /**
   * What one request changes without a pause is one transaction, or a kill could leave a mail without the history that
   * tells of it. Its commit comes before anything that waits for the change, so also before the answer.
   */
  #begin(): void {
    if (this.#db.isTransaction) return
    this.#db.exec('begin')
    queueMicrotask(() => this.#commit())
  }

  #commit(): void {
    if (this.#db.isOpen && this.#db.isTransaction) this.#db.exec('commit')
  }

  #wrap(kind: string, collection: Collection): void {
    const insert = collection.insert.bind(collection)
    const update = collection.update.bind(collection)
    const remove = collection.delete.bind(collection)
    const clear = collection.clear.bind(collection)
    collection.insert = (row) => this.#kept(kind, insert(row))
    collection.update = (id, change) => {
      const row = update(id, change)
      return row && this.#kept(kind, row)
    }
    collection.delete = (id) => {
      this.remove(kind, String(id))
      return remove(id)
    }
    collection.clear = () => {
      for (const row of collection.all()) this.remove(kind, String(row.id))
      clear()
    }
  }

  #kept(kind: string, row: Row): Row {
    this.put(kind, String(row.id), row)
    return row
  }
}

export class PersistedMap<T> {
  readonly #state: EmulatorState
  readonly #kind: string
  readonly #entries: Map<string, T>

  constructor(state: EmulatorState, kind: string) {
    this.#state = state
    this.#kind = kind
    this.#entries = new Map(state.list(kind) as [string, T][])
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)
  }

  set(key: string, value: T): void {
    this.#entries.set(key, value)
    this.#state.put(this.#kind, key, value)
  }

  delete(key: string): boolean {
    this.#state.remove(this.#kind, key)
    return this.#entries.delete(key)
  }

  entries(): [string, T][] {
    return [...this.#entries]
  }
}

const collectionKind = (name: string) => `collection:${name}`

const encode = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Map) return { $map: [...(inner as Map<unknown, unknown>)] }
    if (inner instanceof Set) return { $set: [...(inner as Set<unknown>)] }
    return inner
  })

const decode = (text: string): unknown =>
  JSON.parse(text, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null) return inner
    if ('$map' in inner) return new Map(inner.$map as [unknown, unknown][])
    if ('$set' in inner) return new Set(inner.$set as unknown[])
    return inner
  })
