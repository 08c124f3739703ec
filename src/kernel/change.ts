import { canonicalJson } from './canonical-json'

/** The part of a change that is not so already. */
export function realChange<C extends object>(current: Record<keyof C, unknown>, change: C): Partial<C> {
  const entries = Object.entries(change).filter(
    ([field, value]) =>
      value !== undefined && canonicalJson(value) !== canonicalJson(current[field as keyof C]),
  )
  return Object.fromEntries(entries) as Partial<C>
}
