import { expect, it } from 'vitest'
import { isReservedSlug, isSlug, slugFrom, slugWithSuffix } from './slug'

it.each([
  ['Ada Ltd.', 'ada-ltd'],
  ['Café Zürich & Söhne', 'cafe-zurich-sohne'],
  ['  --  ', 'organization'],
  ['日本語', 'organization'],
  ['A', 'organization'],
  ['Support', 'support-team'],
  ['x'.repeat(200), 'x'.repeat(50)],
])('makes of the name %j the slug %j', (name, slug) => {
  expect(slugFrom(name)).toBe(slug)
  expect(isSlug(slug)).toBe(true)
  expect(isReservedSlug(slug)).toBe(false)
})

it('keeps a suffixed slug in shape', () => {
  const slug = slugWithSuffix('x'.repeat(50), '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11')
  expect(slug).toBe(`${'x'.repeat(50)}-2f6c1a11`)
  expect(isSlug(slug)).toBe(true)
})

it.each(['a', '-ab', 'ab-', 'Ab', 'a b', 'a_b', 'x'.repeat(61), ''])('refuses %j as a slug', (text) => {
  expect(isSlug(text)).toBe(false)
})
