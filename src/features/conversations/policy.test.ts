import { expect, it } from 'vitest'
import { realChange } from './policy'

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
