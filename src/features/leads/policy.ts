export const MAX_CUSTOM_FIELDS = 50

/** RFC 7396, one level deep: null removes a field, fields that are not named stay. */
export function mergeCustom(
  current: Record<string, unknown>,
  patch: Record<string, unknown> = {},
): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...current, ...patch }).filter(([, value]) => value !== null))
}

/** Whether fields were added beyond what a lead may have; one that came with more keeps them. */
export function hasTooMany(before: Record<string, unknown>, after: Record<string, unknown>): boolean {
  const count = Object.keys(after).length
  return count > MAX_CUSTOM_FIELDS && count > Object.keys(before).length
}
