// Parts that every list needs.
import { type Column, type SQL, sql } from 'drizzle-orm'
import type { Cursor } from '#kernel/page'

/** The order of our indexes; plain `desc` puts nulls first and would sort every row of the organization. */
export function newestFirst(column: Column): SQL {
  return sql`${column} desc nulls last`
}

/** What comes after the cursor in a list with the newest first: one row comparison, which Postgres answers from the index. */
export function isBefore(at: Column, id: Column, cursor: Cursor | null): SQL | undefined {
  return cursor === null ? undefined : sql`(${at}, ${id}) < ${rowOf(cursor)}`
}

/** The same for a list with the oldest first. */
export function isAfter(at: Column, id: Column, cursor: Cursor | null): SQL | undefined {
  return cursor === null ? undefined : sql`(${at}, ${id}) > ${rowOf(cursor)}`
}

function rowOf(cursor: Cursor): SQL {
  return sql`(${cursor.at.toISOString()}::timestamptz, ${cursor.id}::uuid)`
}

/** A plain filter over the organization's rows, whatever `%` or `_` the text has. */
export function contains(column: Column, text: string): SQL {
  return sql`strpos(lower(${column}), lower(${text})) > 0`
}
