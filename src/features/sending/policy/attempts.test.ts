import { expect, it } from 'vitest'
import type { Failure } from '#kernel/failure'
import { LEASE_SECONDS } from '../repo/claim'
import { smtpLimits } from '../transports/smtp-client'
import { afterRefusal, attemptsOf, DELIVER_WITHIN_MS, retryDelay } from './attempts'

const failure = (kind: Failure['kind'], more: Partial<Failure> = {}): Failure => ({
  kind,
  code: 'x',
  message: 'x',
  ...more,
})

it('waits for a dead grant without burning an attempt, however often', () => {
  expect(afterRefusal(failure('auth'), 99, 0.5)).toEqual({
    state: 'scheduled',
    delay_seconds: 300,
    waits_because: 'mailbox_reconnect_required',
    burns_attempt: false,
  })
})

it('honours Retry-After without burning an attempt', () => {
  expect(afterRefusal(failure('rate_limited', { retry_after_seconds: 17 }), 99, 0.5)).toEqual({
    state: 'scheduled',
    delay_seconds: 17,
    waits_because: 'rate_limited',
    burns_attempt: false,
  })
})

it('waits a day at most, whatever the provider asks for', () => {
  expect(afterRefusal(failure('rate_limited', { retry_after_seconds: 1e9 }), 1, 0.5)).toMatchObject({
    delay_seconds: 86_400,
  })
})

it('gives up at the eighth attempt', () => {
  expect(afterRefusal(failure('transient'), 7, 0.5)).toEqual({
    state: 'scheduled',
    delay_seconds: 3600,
    waits_because: 'provider_unavailable',
    burns_attempt: true,
  })
  expect(afterRefusal(failure('transient'), 8, 0.5)).toEqual({ state: 'failed', bad_recipient: false })
})

it('fails at once for good, and suppresses a bad recipient', () => {
  expect(afterRefusal(failure('permanent'), 1, 0.5)).toEqual({ state: 'failed', bad_recipient: false })
  expect(afterRefusal(failure('permanent', { code: 'bad_recipient' }), 1, 0.5)).toEqual({
    state: 'failed',
    bad_recipient: true,
  })
})

it('outlasts an outage of two hours', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7].map((attempts) => retryDelay(attempts, 0.5))
  expect(waits).toEqual([60, 120, 240, 480, 960, 1920, 3600])
  expect(retryDelay(1, 0)).toBe(48)
  expect(retryDelay(1, 0.999)).toBe(72)
})

it('gives a notice three attempts, spread wider, and a mail between people eight', () => {
  expect(
    ['reply', 'sequence', 'welcome', 'admin_alert', 'operator_notice', 'magic_link'].map((kind) =>
      attemptsOf(kind as 'reply'),
    ),
  ).toEqual([8, 8, 3, 3, 3, 3])
  expect([1, 2].map((attempts) => retryDelay(attempts, 0.5, 3))).toEqual([60, 900])
  expect(afterRefusal(failure('transient'), 2, 0.5, 3)).toMatchObject({
    state: 'scheduled',
    burns_attempt: true,
  })
  expect(afterRefusal(failure('transient'), 3, 0.5, 3)).toEqual({ state: 'failed', bad_recipient: false })
  expect(afterRefusal(failure('rate_limited'), 99, 0.5, 3)).toMatchObject({
    state: 'scheduled',
    burns_attempt: false,
  })
})

it('ends every delivery within the lease, by which an erasure tells what is on its way', () => {
  const { session_ms, dot_ms } = smtpLimits
  expect(DELIVER_WITHIN_MS + session_ms + dot_ms).toBeLessThan(LEASE_SECONDS * 1000)
})
