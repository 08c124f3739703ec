import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonSieve, type SieveRules } from './json-sieve'

const RULES: SieveRules = {
  'Files.Content': { max: 8, longer: 'drop' },
  Text: { max: 8, longer: 'cut' },
  Raw: { max: 0, longer: 'aside' },
}

/** In pieces of that size, as a stream brings them. */
function sift(text: string, size = 7, rules = RULES): { value: unknown; aside: string | null } {
  const sieve = new JsonSieve(rules)
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; at += size) sieve.push(bytes.subarray(at, at + size))
  const { text: left, aside } = sieve.end()
  return { value: JSON.parse(left), aside: aside === null ? null : new TextDecoder().decode(aside) }
}

describe('the sieve', () => {
  it('lets everything through that is short enough, however it is cut into pieces', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.integer({ min: 1, max: 9 }), (text, size) => {
        expect(sift(text, size, {})).toEqual({ value: JSON.parse(text), aside: null })
      }),
      { examples: [['{"toString":"  ","constructor":"a\\nb"}', 1]] },
    )
  })

  it('drops what is too long under one name, at any depth of arrays, and keeps the same under another', () => {
    const value = {
      Files: [{ Name: 'a', Content: 'x'.repeat(50) }, { Content: 'short' }],
      Content: 'y'.repeat(50),
    }
    expect(sift(JSON.stringify(value)).value).toEqual({
      Files: [{ Name: 'a', Content: '' }, { Content: 'short' }],
      Content: 'y'.repeat(50),
    })
  })

  it('cuts a long text, and never inside an escape', () => {
    for (const text of ['123456789', '12345678"', '1234567"9', '123456\u0001x', 'äöüßäöü', '1234567\\x'])
      for (const size of [1, 2, 3, 100]) {
        const { Text } = sift(JSON.stringify({ Text: text }), size).value as { Text: string }
        expect(text.startsWith(Text.replace(/\ufffd$/, ''))).toBe(true)
        expect(Text.length).toBeLessThanOrEqual(8)
      }
  })

  it('puts one string aside, decoded', () => {
    const raw = 'Subject: Grüße 😀\r\n\r\n"quoted" \\ / \t\b\f\u0001 end'
    const escaped = JSON.stringify({ Raw: raw }).replace('😀', '\\ud83d\\ude00').replace('/', '\\/')
    for (const size of [1, 2, 5, 1000])
      expect(sift(escaped, size)).toEqual({ value: { Raw: '' }, aside: raw })
  })

  it('refuses what is nested too deeply or closed more often than opened', () => {
    expect(() => sift('['.repeat(33))).toThrow('cannot be read')
    expect(() => sift(']')).toThrow('cannot be read')
    expect(() => sift('{"a":1}}')).toThrow('cannot be read')
  })

  it('refuses more values and more text than it takes, before they are parsed', () => {
    expect(() => sift(`[${'[],'.repeat(150_000)}[]]`, 65_536)).toThrow('too many values')
    expect(() => sift(`[${`"${'x'.repeat(60_000)}",`.repeat(150)}""]`, 65_536)).toThrow(
      'more than is taken in',
    )
  })

  it('goes through 30 MB of files quickly and keeps nothing of them', () => {
    const sieve = new JsonSieve(RULES)
    const push = (text: string) => sieve.push(new TextEncoder().encode(text))
    push('{"Files":[{"Name":"big","Content":"')
    const piece = new Uint8Array(65_536).fill(65)
    for (let i = 0; i < 480; i++) sieve.push(piece)
    push('"}]}')
    expect(JSON.parse(sieve.end().text)).toEqual({ Files: [{ Name: 'big', Content: '' }] })
  })

  it.each([
    ['aside', 'Raw', '\\n', '\n'],
    ['aside', 'Raw', '\\u4f60', '你'],
    ['cut', 'Text', '\\"', null],
    ['dropped', 'Content', '\\u003c', null],
  ])('goes as quickly through millions of escapes: %s', (_, name, escape, letter) => {
    const sieve = new JsonSieve(RULES)
    const push = (text: string) => sieve.push(new TextEncoder().encode(text))
    const started = performance.now()
    push(`{"${name}":"`)
    // Not a whole number of escapes.
    const all = escape.repeat(4_000_000)
    for (let at = 0; at < all.length; at += 65_537) push(all.slice(at, at + 65_537))
    push('"}')
    const { text, aside } = sieve.end()
    expect(performance.now() - started).toBeLessThan(1000)
    expect(JSON.parse(text)).toHaveProperty(name)
    const half = new TextDecoder().decode(aside?.subarray(0, 9_000_000))
    expect(half).toBe(letter === null ? '' : letter.repeat(half.length))
  })

  it('puts aside what JSON.parse would have read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 9 }), (text, size) => {
        const escaped = Array.from(JSON.stringify(text), (char) =>
          char > '~' && char.length === 1 ? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}` : char,
        ).join('')
        expect(sift(`{"Raw":${escaped}}`, size).aside ?? '').toBe(text)
      }),
    )
  })

  it('says of a broken text what JSON.parse says', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[[\]{}",:a1\\ ]{0,30}$/), (text) => {
        const parse = (read: () => unknown) => {
          try {
            return { value: read() }
          } catch {
            return 'refused'
          }
        }
        expect(parse(() => sift(text, 3, {}).value)).toEqual(parse(() => JSON.parse(text) as unknown))
      }),
      { examples: [['[1 1]'], [' {"a" : 1 } '], ['1 1']], numRuns: 1000 },
    )
  })
})
