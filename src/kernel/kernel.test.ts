import { describe, expect, it } from 'vitest'
import { laterOf } from './clock'
import { normalizeEmail } from './email-address'
import { judgeFailure } from './failure'
import { decodeCursor, toPage } from './page'

describe('the retry table', () => {
  const failure = (
    kind: 'auth' | 'rate_limited' | 'transient' | 'permanent',
    retry_after_seconds?: number,
  ) => ({
    kind,
    code: 'x',
    message: 'x',
    ...(retry_after_seconds === undefined ? {} : { retry_after_seconds }),
  })
  it.each([
    ['a dead grant is left alone', failure('auth'), 1, { action: 'drop' }],
    ['a permanent failure is a dead letter at once', failure('permanent'), 1, { action: 'dead_letter' }],
    [
      'a transient one waits longer each time',
      failure('transient'),
      1,
      { action: 'retry', delay_seconds: 2 },
    ],
    ['… and longer', failure('transient'), 6, { action: 'retry', delay_seconds: 64 }],
    ['… and gives up in the end', failure('transient'), 10, { action: 'dead_letter' }],
    ['Retry-After is honoured', failure('rate_limited', 77), 3, { action: 'retry', delay_seconds: 77 }],
    [
      'being throttled never makes a dead letter',
      failure('rate_limited', 5),
      500,
      { action: 'retry', delay_seconds: 5 },
    ],
    [
      'a wait is never longer than a queue takes',
      failure('rate_limited', 10 ** 9),
      1,
      { action: 'retry', delay_seconds: 43_200 },
    ],
  ])('%s', (_, given, attempts, verdict) => {
    expect(judgeFailure(given, attempts, 0.5)).toEqual(verdict)
  })
})

describe('an address', () => {
  it.each([
    [' Ada@Buyer.TEST ', 'ada@buyer.test'],
    ['o’brien+tag@sub.example.co.uk', 'o’brien+tag@sub.example.co.uk'],
    ['zoë@bücher.example', 'zoë@xn--bcher-kva.example'],
    ['a@b', null],
    ['@example.com', null],
    ['a@example.com\r\nBcc: x@y.test', null],
    ['a b@example.com', null],
    ['<a@example.com>', null],
    ['a@example.com,b@example.com', null],
    ['a@[127.0.0.1]', null],
    ['a@exa_mple.com', null],
    ['a..b@example.com', null],
    ['a\ud83d@example.com', null],
    [`${'a'.repeat(65)}@example.com`, null],
    [`a@${'b'.repeat(250)}.com`, null],
    ['', null],
  ])('%j is compared as %j', (given, normalized) => {
    expect(normalizeEmail(given)).toBe(normalized)
  })
})

describe('a page', () => {
  it('takes no cursor of a year that Postgres does not have', () => {
    const id = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
    expect(decodeCursor(btoa(`0000-12-31T23:59:59Z|${id}`))).toBeNull()
    expect(decodeCursor(btoa(`0001-01-01T00:00:00Z|${id}`))?.id).toBe(id)
    expect(decodeCursor(btoa(`9999-12-31T23:59:59Z|${id}`))?.id).toBe(id)
  })

  const row = (i: number) => ({ id: `0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a1${i}`, at: new Date(1000 * i) })
  it('hands out a cursor only when there is more, and reads it back', () => {
    const rows = [row(3), row(2), row(1)]
    expect(toPage(rows, 3, ({ at }) => at).next_cursor).toBeNull()
    const page = toPage(rows, 2, ({ at }) => at)
    expect(page.data).toEqual([row(3), row(2)])
    expect(decodeCursor(page.next_cursor ?? '')).toEqual(row(2))
  })
  it.each(['', 'x', '!!!', btoa('2026-01-01|x'), btoa('yesterday|0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11')])(
    '%j is no cursor',
    (text) => {
      expect(decodeCursor(text)).toBeNull()
    },
  )
})

describe('a clock that follows a tick', () => {
  it('is the later of the tick and the real time', () => {
    const real = { now: () => new Date(5000) }
    expect(laterOf(undefined, real).now()).toEqual(new Date(5000))
    expect(laterOf(new Date(1000), real).now()).toEqual(new Date(5000))
    expect(laterOf(new Date(9000), real).now()).toEqual(new Date(9000))
  })
})
