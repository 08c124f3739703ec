import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { domainOf, normalizeEmail } from './email-address'

const label = fc.stringMatching(/^[a-z0-9-]{1,66}$/)
const host = fc.array(fc.oneof(label, fc.constantFrom('xn--', 'xn--bcher-kva', '0x1f', '127', 'com', '')), {
  minLength: 1,
  maxLength: 4,
})

it('leaves of a plain domain what a URL leaves of it, and takes no other', () => {
  fc.assert(
    fc.property(host, (labels) => {
      const domain = labels.join('.')
      const email_norm = normalizeEmail(`ada@${domain}`)
      if (email_norm !== null) expect(domainOf(email_norm)).toBe(new URL(`http://${domain}`).hostname)
    }),
    { numRuns: 2000 },
  )
})

it.each(['buyer.test', 'BUYER.test', 'a.b-c.example', 'bücher.example', 'xn--bcher-kva.example'])(
  'takes an address at %s',
  (domain) => {
    expect(normalizeEmail(`ada@${domain}`)).toBe(`ada@${new URL(`http://${domain}`).hostname}`)
  },
)

it.each([
  'test',
  '127.0.0.1',
  '1.2',
  '-a.test',
  'a-.test',
  'a..test',
  'a.test.',
  `${'a'.repeat(64)}.test`,
  'a_b.test',
])('takes none at %s', (domain) => {
  expect(normalizeEmail(`ada@${domain}`)).toBeNull()
})
