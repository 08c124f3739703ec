// Keyset pages: `?limit&cursor` → `{ data, next_cursor }`. The cursor is opaque to clients: base64url of "<instant>|<id>".
import * as z from 'zod'
import { isStorable } from './clock'

export interface Cursor {
  at: Date
  id: string
}

export interface Page<T> {
  data: T[]
  next_cursor: string | null
}

export const DEFAULT_LIMIT = 50
export const MAX_LIMIT = 200

const cursorParts = z.tuple([z.iso.datetime().refine(isStorable), z.uuid()])

function encodeCursor(cursor: Cursor): string {
  return btoa(`${cursor.at.toISOString()}|${cursor.id}`)
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

/** `null` when the text is no cursor of ours. */
export function decodeCursor(text: string): Cursor | null {
  let decoded: string
  try {
    decoded = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return null
  }
  const parsed = cursorParts.safeParse(decoded.split('|'))
  return parsed.success ? { at: new Date(parsed.data[0]), id: parsed.data[1] } : null
}

/** Call with `limit + 1` rows: the surplus one only tells that there is a next page. */
export function toPage<T extends { id: string }>(rows: T[], limit: number, at: (row: T) => Date): Page<T> {
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  return {
    data,
    next_cursor: rows.length > limit && last ? encodeCursor({ at: at(last), id: last.id }) : null,
  }
}
