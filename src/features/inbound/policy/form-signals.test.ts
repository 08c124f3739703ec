import { describe, expect, it } from 'vitest'
import { isSpam, mayPost, signalsOf } from './form-signals'

const now = new Date('2026-11-20T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)

describe('a form', () => {
  it.each([
    [undefined, null, []],
    ['', ago(60_000), []],
    ['  ', ago(2000), []],
    ['x', null, ['honeypot']],
    ['', ago(1999), ['too_fast']],
    ['http://spam.test', ago(0), ['honeypot', 'too_fast']],
    ['', ago(25 * 3600_000), []],
  ] as const)('with the trap %j and drawn at %s says %j', (trap, drawn, signals) => {
    expect(signalsOf(trap, drawn, now)).toEqual(signals)
  })

  it('is spam by the trap or by its speed, and not because Turnstile is down', () => {
    expect([['honeypot'], ['too_fast'], ['turnstile_unverified'], []].map((s) => isSpam(s as never))).toEqual(
      [true, true, false, false],
    )
  })

  it('may come from where the organization says, or from anywhere when it says nothing', () => {
    const list = ['https://shop.test']
    expect([
      mayPost('https://shop.test', list),
      mayPost('https://evil.test', list),
      mayPost(null, list),
      mayPost('null', list),
      mayPost(null, []),
    ]).toEqual([true, false, false, false, true])
  })
})
