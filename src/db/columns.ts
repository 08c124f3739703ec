// Building blocks of the tables. A property is the column is the JSON key, so no layer renames anything.
import { type SQL, sql } from 'drizzle-orm'
import { type AnyPgColumn, check, jsonb, timestamp, uuid } from 'drizzle-orm/pg-core'

export const instant = () => timestamp({ withTimezone: true, precision: 3 })
export const createdAt = () => instant().notNull().default(sql`now()`)
export const orgId = () => uuid().notNull()
export const rowId = () => uuid().notNull()
export const json = <T>() => jsonb().$type<T>()

/** Text with a CHECK instead of a Postgres enum: `enum_eq` is not leakproof, so RLS would keep it from any index. */
export function oneOf(name: string, column: AnyPgColumn, values: readonly string[]) {
  const list: SQL[] = values.map((value) => sql`${sql.raw(`'${value}'`)}`)
  return check(name, sql`${column} in (${sql.join(list, sql`, `)})`)
}

/** An instant as it leaves, made by Postgres: a Date for each only to be written as text again costs a list dearly. */
export function iso(column: `${string}.${string}`): SQL {
  return sql`to_char(${sql.raw(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}
