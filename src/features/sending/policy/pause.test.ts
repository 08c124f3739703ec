import { expect, it } from 'vitest'
import type { FailureKind } from '#kernel/failure'
import { pauseSeconds, pausesTransport } from './pause'

it('leaves a refused account alone for longer each time, up to a quarter of an hour', () => {
  expect([null, 60, 180, 299, 300, 5000].map(pauseSeconds)).toEqual([60, 300, 300, 300, 900, 900])
})

it('pauses what all organizations share, and for its account only', () => {
  const failure = (kind: FailureKind) => ({ kind, code: 'c', message: 'm' })
  expect(pausesTransport('postmark', failure('auth'))).toBe(true)
  expect(pausesTransport('smtp', failure('auth'))).toBe(true)
  expect(pausesTransport('mailbox', failure('auth'))).toBe(false)
  expect(pausesTransport('outbox', failure('auth'))).toBe(false)
  for (const kind of ['transient', 'permanent', 'rate_limited'] as const)
    expect(pausesTransport('smtp', failure(kind))).toBe(false)
})
