import { expect, it } from 'vitest'
import { mergeCustom } from './policy'

it('sets named custom fields, removes those that are null, and keeps the others', () => {
  expect(mergeCustom({ a: 1, b: 'x', c: true }, { a: 2, b: null })).toEqual({ a: 2, c: true })
})

it('answers the very same fields when nothing would change', () => {
  const current = { a: 1 }
  expect(mergeCustom(current, { a: 1, gone: null })).toBe(current)
  expect(mergeCustom(current, undefined)).toBe(current)
})
