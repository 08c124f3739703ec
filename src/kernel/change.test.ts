import { expect, it } from 'vitest'
import { realChange } from './change'

it('keeps only what differs, a cleared field too', () => {
  const current = { status: 'open', assignee_id: 'a', subject: 'x' }
  const change: { status?: string | undefined; assignee_id?: string | null } = {
    status: 'open',
    assignee_id: null,
  }
  expect(realChange(current, change)).toEqual({ assignee_id: null })
  expect(realChange<{ status?: string | undefined }>(current, { status: undefined })).toEqual({})
})

it('takes what is the same in another order of its keys for the same', () => {
  const current = { hours: { mon: [['09:00', '17:00']], fri: [] }, hosts: ['a', 'b'] }
  expect(realChange(current, { hours: { fri: [], mon: [['09:00', '17:00']] } })).toEqual({})
  expect(realChange(current, { hosts: ['b', 'a'] })).toEqual({ hosts: ['b', 'a'] })
})
