/** RFC 7396, one level deep: null removes a field, fields that are not named stay. */
export function mergeCustom(
  current: Record<string, unknown>,
  patch: Record<string, unknown> | undefined,
): Record<string, unknown> {
  if (patch === undefined || Object.keys(patch).every((key) => patch[key] === (current[key] ?? null)))
    return current
  return Object.fromEntries(Object.entries({ ...current, ...patch }).filter(([, value]) => value !== null))
}
