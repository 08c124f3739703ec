import { describe, expect, it } from 'vitest'
import { parseUrlencoded, toFormFields, utmOf } from './form-fields'

describe('the fields of a posted form', () => {
  it('are what the JSON has, with utm, consent and whatever else the page asks', () => {
    expect(
      toFormFields([
        ['email', 'ada@buyer.test'],
        ['name', ''],
        ['message', 'Hi'],
        ['_t', 'token'],
        ['_comments', ''],
        ['cf-turnstile-response', 'answer'],
        ['utm_source', 'ad'],
        ['utm[medium]', 'cpc'],
        ['consent[news]', '0'],
        ['consent[news]', 'on'],
        ['consent[calls]', 'Nein'],
        ['custom[budget]', '5'],
        ['Farbe', 'rot'],
        ['size[]', 'S'],
        ['size[]', 'M'],
        ['_wpnonce', 'abc'],
        ['g-recaptcha-response', 'abc'],
      ]),
    ).toEqual({
      email: 'ada@buyer.test',
      message: 'Hi',
      _t: 'token',
      'cf-turnstile-response': 'answer',
      utm: { source: 'ad', medium: 'cpc' },
      consent: { news: true, calls: false },
      custom: { budget: '5', Farbe: 'rot', size: 'S, M' },
    })
  })

  it.each(['maybe', 'I agree?', 'later'])('take %j for no consent, and keep the word', (word) => {
    expect(toFormFields([['consent[news]', word]])).toEqual({
      consent: { news: false },
      custom: { 'consent.news': word },
    })
  })

  it('take the first of a name that comes twice', () => {
    expect(
      toFormFields([
        ['email', 'ada@buyer.test'],
        ['email', 'other@buyer.test'],
      ]),
    ).toEqual({ email: 'ada@buyer.test' })
  })

  it('lose nothing that is too long or too much: it goes below the message', () => {
    const many = Array.from({ length: 52 }, (_, i): [string, string] => [`f${i}`, `v${i}`])
    const read = toFormFields([['email', 'a@b.test'], ['message', 'Hi'], ['long', 'x'.repeat(2001)], ...many])
    expect(Object.keys(read['custom'] as object)).toHaveLength(50)
    expect(read['message']).toBe(`Hi\n\nlong: ${'x'.repeat(2001)}\n\nf50: v50\n\nf51: v51`)
    expect(toFormFields([['service', 'y'.repeat(201)]])).toEqual({ custom: { service: 'y'.repeat(201) } })
  })

  it('name a file that nobody keeps, and forget an input without one', () => {
    expect(
      toFormFields([
        ['plan', { file: 'plan.pdf', size: 9 }],
        ['none', { file: '', size: 0 }],
      ]),
    ).toEqual({ custom: { plan: 'plan.pdf (not kept)' } })
  })

  it('are never prototypes', () => {
    const read = toFormFields([
      ['__proto__[role]', 'owner'],
      ['custom[__proto__]', 'x'],
      ['constructor', 'y'],
    ])
    expect(Object.entries(read['custom'] as object)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ])
    expect(({} as { role?: string }).role).toBeUndefined()
  })
})

describe('an urlencoded body', () => {
  it('is UTF-8, or windows-1252 where it is not', () => {
    expect(parseUrlencoded('name=J%C3%B6rg+M&x=%E2%82%AC')).toEqual([
      ['name', 'Jörg M'],
      ['x', '€'],
    ])
    expect(parseUrlencoded('name=J%F6rg+M&x=%80&&y')).toEqual([
      ['name', 'Jörg M'],
      ['x', '€'],
      ['y', ''],
    ])
    expect(parseUrlencoded('x=%EF%BF%BD')).toEqual([['x', '\ufffd']])
  })
})

describe('the campaign', () => {
  it('is read from the address of the page', () => {
    expect(utmOf('https://shop.test/?utm_source=ad&utm_campaign=autumn&utm_=x&q=1')).toEqual({
      source: 'ad',
      campaign: 'autumn',
    })
    expect([utmOf('https://shop.test/'), utmOf('no address'), utmOf(undefined)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})
