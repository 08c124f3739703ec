/** The part of a change that is not so already. Values are compared as JSON, in whatever order an object keeps its keys. */
export function realChange<C extends object>(current: Record<keyof C, unknown>, change: C): Partial<C> {
  const entries = Object.entries(change).filter(
    ([field, value]) => value !== undefined && stable(value) !== stable(current[field as keyof C]),
  )
  return Object.fromEntries(entries) as Partial<C>
}

// Postgres keeps the keys of a JSON object in an order of its own.
function stable(value: unknown): string {
  return JSON.stringify(value ?? null, (_, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
