import { expect, it } from 'vitest'
import { entityTag, realChange, refuseStale } from './policy'

it('accepts If-Match that names the present version, alone, in a list, or as any', () => {
  for (const header of [undefined, '*', '"3"', '"2", "3"']) expect(() => refuseStale(header, 3)).not.toThrow()
})

it('refuses If-Match of another version, and a weak or bare tag', () => {
  for (const header of ['"2"', '"33"', 'W/"3"', '3', ''])
    expect(() => refuseStale(header, 3)).toThrow(expect.objectContaining({ code: 'precondition_failed' }))
})

it('quotes the version as entity tag', () => {
  expect(entityTag(12)).toBe('"12"')
})

it('keeps only what differs, a cleared field too', () => {
  const current = { status: 'open', assignee_id: 'a', subject: 'x' }
  expect(
    realChange<{ status?: string | undefined; assignee_id?: string | null }>(current, {
      status: 'open',
      assignee_id: null,
    }),
  ).toEqual({
    assignee_id: null,
  })
  expect(realChange<{ status?: string | undefined }>(current, { status: undefined })).toEqual({})
})
