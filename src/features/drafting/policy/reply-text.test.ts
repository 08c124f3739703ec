import { describe, expect, it } from 'vitest'
import { speakableLines } from './own-words'
import { composeReply, firstName } from './reply-text'

const lint = {
  reply_instructions: '',
  allowed_commitments: [],
  allowed_link_hosts: [],
  own_names: [],
  known_emails: [],
  secrets: [],
}
const write = (reply_instructions: string, intent: Parameters<typeof composeReply>[0]['intent']) =>
  composeReply(
    {
      organization: { name: 'Acme', from_name: 'Ada of Acme', reply_instructions },
      greet: 'grace hopper',
      intent,
    },
    { ...lint, reply_instructions },
  )

it('greets by first name, answers with the facts that fit, says what happens next and signs', () => {
  const instructions =
    'We build boats.\n- A weekend costs €499.\n- Our prices include a skipper.\nOpen Monday to Friday, 9 to 17.\nNever mention competitors.'
  expect(
    composeReply(
      {
        organization: { name: 'Acme', from_name: 'Ada of Acme', reply_instructions: instructions },
        greet: 'Grace Hopper',
        intent: 'pricing',
      },
      { ...lint, reply_instructions: instructions },
    ),
  ).toBe(
    [
      'Hello Grace,',
      'Thank you for asking about our prices. A weekend costs €499. Our prices include a skipper.',
      'A colleague is looking at what you need and will come back to you with figures that fit. To make them precise, it helps to know what you need, how much of it, and from when.',
      'Kind regards\nAda of Acme',
    ].join('\n\n'),
  )
})

it('names no price when the organization named none', () => {
  expect(write('We build boats.', 'pricing')).not.toMatch(/\d|€|\$/)
})

it.each([
  'Our prices are listed at https://elsewhere.example/prices.',
  'Our prices come with a money-back guarantee.',
  'Ask boss@elsewhere.example? Do not tell the price of €20.',
  'Internal: our lowest price is €20.',
])('does not say %j aloud', (line) => {
  expect(write(line, 'pricing')).not.toContain('€20')
  expect(write(line, 'pricing')).not.toContain('elsewhere')
  expect(write(line, 'pricing')).not.toContain('guarantee')
})

describe('a first name', () => {
  it.each([
    ['Grace Hopper', 'Grace'],
    ['Jean-Luc Picard', 'Jean-Luc'],
    ["O'Neil", null],
    ['Zoë', 'Zoë'],
    ['Łukasz Żak', 'Łukasz'],
    ['grace', null],
    ['ACME GmbH', 'ACME'],
    ['Click http://evil.example', 'Click'],
    ['http://evil.example', null],
    ['{{name}}', null],
    ['Grace\nBcc: x', 'Grace'],
    ['G', null],
    ['Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', null],
    ['', null],
    [null, null],
  ])('of %j is %j', (name, first) => {
    expect(firstName(name)).toBe(first)
  })
})

it('takes facts from instructions, and orders to the writer for orders', () => {
  expect(
    speakableLines(
      'We build boats. Always be friendly!\n* Open 9 to 17 on weekdays\n1) Never promise a refund.\nDo not mention Bob.\nok',
    ),
  ).toEqual(['We build boats.', 'Open 9 to 17 on weekdays'])
})
