import { expect, it } from 'vitest'
import { hasTooMany, MAX_CUSTOM_FIELDS, mergeCustom } from './policy'

it('sets named custom fields, removes those that are null, and keeps the others', () => {
  expect(mergeCustom({ a: 1, b: 'x', c: true }, { a: 2, b: null })).toEqual({ a: 2, c: true })
  expect(mergeCustom({ a: 1 })).toEqual({ a: 1 })
})

it('lets a lead have so many fields and no more, but keep what it came with', () => {
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i]))
  expect(hasTooMany({}, fields(MAX_CUSTOM_FIELDS))).toBe(false)
  expect(hasTooMany(fields(MAX_CUSTOM_FIELDS), fields(MAX_CUSTOM_FIELDS + 1))).toBe(true)
  expect(hasTooMany(fields(60), fields(60))).toBe(false)
})
