// A change that has to happen, or nothing of its batch may: no audit entry, event or send tells of what did not come to pass.
import { type SQLWrapper, sql } from 'drizzle-orm'
import { DatabaseError, raw } from './client'

/** Makes of an update that returns its rows a statement that fails the whole batch when there are none (see `isLostRace`). */
export function mustChange(update: SQLWrapper) {
  return raw<{ held: number }>(sql`with changed as ${update} select 1 / count(*) as held from changed`)
}

/** Division by zero: the row was gone, or no longer as it was read. */
export function isLostRace(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '22012'
}
