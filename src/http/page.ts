import { invalidField } from '#kernel/errors'
import { type Cursor, decodeCursor } from '#kernel/page'

/** Throws `invalid` for a cursor that is not ours. */
export function readCursor(cursor: string | undefined): Cursor | null {
  if (cursor === undefined) return null
  const decoded = decodeCursor(cursor)
  if (!decoded) throw invalidField('cursor', 'is not a cursor of this API')
  return decoded
}
