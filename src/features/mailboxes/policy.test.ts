import { describe, expect, it } from 'vitest'
import { cooldownMs, gapStart, isRenewalDue, nextWake, type WakeState } from './policy'

const now = new Date('2026-11-20T10:00:00Z')
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000)
const state: WakeState = {
  push: 'on',
  watch_expires_at: at(86_400).toISOString(),
  cooldown_until: null,
  last_synced_at: now.toISOString(),
  sync_failures: 0,
  renew_failures: 0,
  poked: false,
}

describe('the next wake', () => {
  it.each([
    ['five minutes after a sync, with push as the first to tell', state, at(300)],
    ['ninety seconds after a sync, without push', { ...state, push: 'off' as const }, at(90)],
    ['now, when something was pushed', { ...state, poked: true }, now],
    ['now, when it never synced', { ...state, last_synced_at: null }, now],
    [
      'after the cooldown, whatever was pushed',
      { ...state, poked: true, cooldown_until: at(60).toISOString() },
      at(60),
    ],
    ['soon, when the poll is overdue', { ...state, last_synced_at: at(-9999).toISOString() }, at(1)],
  ])('is %s', (_, given, expected) => {
    expect(nextWake(given, now)).toEqual(expected)
  })
})

describe('a watch', () => {
  it('is renewed daily: when less than six of its seven days are left, or there is none', () => {
    expect(isRenewalDue(null, now)).toBe(true)
    expect(isRenewalDue(at(6.5 * 86_400).toISOString(), now)).toBe(false)
    expect(isRenewalDue(at(5.9 * 86_400).toISOString(), now)).toBe(true)
  })
})

describe('after a failure', () => {
  it('the provider’s own wait wins, else the waits grow to half an hour', () => {
    const failure = { kind: 'transient' as const, code: 'x', message: 'x' }
    expect(cooldownMs({ ...failure, retry_after_seconds: 7 }, 3)).toBe(7000)
    expect(cooldownMs({ ...failure, code: 'sync_failed' }, 20)).toBe(15_000)
    expect([1, 2, 3, 20].map((failures) => cooldownMs(failure, failures))).toEqual([
      30_000, 60_000, 120_000, 1_800_000,
    ])
  })
})

describe('a gap', () => {
  it('is searched from an hour before the last good sync, a month back at most', () => {
    expect(gapStart(at(-7200), now)).toEqual(at(-10_800))
    expect(gapStart(null, now)).toEqual(at(-3600))
    expect(gapStart(at(9999), now)).toEqual(at(-3600))
    expect(gapStart(at(-90 * 86_400), now)).toEqual(at(-30 * 86_400))
  })
})
