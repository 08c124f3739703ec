import { AppError } from '#kernel/errors'

/** The ETag of a row is its version. */
export function entityTag(version: number): string {
  return `"${version}"`
}

/** Throws `precondition_failed` when If-Match names none of the present versions (RFC 9110 §13.1.1). */
export function refuseStale(if_match: string | undefined, version: number): void {
  if (if_match === undefined || if_match.trim() === '*') return
  const tags = if_match.split(',').map((tag) => tag.trim())
  if (!tags.includes(entityTag(version)))
    throw new AppError('precondition_failed', 'It has changed since you read it. Read it again.')
}

/** The part of a change that is not so already. */
export function realChange<C extends object>(current: Record<keyof C, unknown>, change: C): Partial<C> {
  const entries = Object.entries(change).filter(
    ([field, value]) => value !== undefined && value !== current[field as keyof C],
  )
  return Object.fromEntries(entries) as Partial<C>
}
