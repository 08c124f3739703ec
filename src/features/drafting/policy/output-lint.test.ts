import { describe, expect, it } from 'vitest'
import { intents } from './intent'
import { type LintFacts, lintReply } from './output-lint'
import { composeReply } from './reply-text'

const facts: LintFacts = {
  reply_instructions:
    'We build boats. A weekend costs €499. Call us: +49 30 1234567, or write to sales@acme.test.',
  allowed_commitments: [],
  allowed_link_hosts: ['acme.example'],
  own_names: ['Acme'],
  known_emails: ['hello@acme.example'],
  secrets: ['UNTRUSTED-5f0c'],
}
const rulesOf = (text: string, given: Partial<LintFacts> = {}) => [
  ...new Set(lintReply(text, { ...facts, ...given }).map((problem) => problem.rule)),
]

describe('a reply that may leave unseen', () => {
  it.each([
    'Hello Ada,\n\nThank you for your message. A colleague will write back to you.\n\nKind regards\nAcme',
    'A weekend costs €499.',
    'A weekend costs 499 EUR.',
    'It is 499 euros for a weekend.',
    'See https://acme.example/boats or www.acme.example.',
    'Our docs are at help.acme.example.',
    'Look at https://acme.example, then (https://acme.example/a).',
    'Write to hello@acme.example or call +49 30 1234567.',
    'Please feel free to answer. We are free on Tuesday, and you are free to choose.',
    'The meeting was on 2026-11-20, e.g. in room 4, at 9 a.m.',
    'Node.js works with it, i.e. version 24.',
    'Vielen Dank für Ihre Nachricht. Wir melden uns.',
  ])('has nothing against %j', (text) => {
    expect(lintReply(text, facts)).toEqual([])
  })

  it.each(intents)('has nothing against the template for %s', (intent) => {
    const reply = composeReply(
      { organization: { ...facts, name: 'Acme', from_name: null }, greet: 'Ada Lovelace', intent },
      facts,
    )
    expect(lintReply(reply, facts)).toEqual([])
  })

  it('lets through what the organization allowed itself', () => {
    expect(rulesOf('You get a full refund.', { allowed_commitments: ['full refund'] })).toEqual([])
    expect(rulesOf('It costs €20.', { allowed_commitments: ['€20'] })).toEqual([])
  })

  it('does not take the name of the organization for a foreign host or a promise', () => {
    expect(rulesOf('Kind regards\nBooking.com', { own_names: ['Booking.com'] })).toEqual([])
    expect(rulesOf('Kind regards\nHalf Price Books', { own_names: ['Half Price Books'] })).toEqual([])
  })
})

describe('a reply that a person has to see', () => {
  it.each([
    ['', 'empty'],
    [' \n ', 'empty'],
    ['a'.repeat(5001), 'too_long'],
    ['See https://evil.example/pay', 'foreign_link'],
    ['See evil.test/x', 'foreign_link'],
    ['See evil.com', 'foreign_link'],
    ['See notacme.example', 'foreign_link'],
    ['See acme.example.evil.com', 'foreign_link'],
    ['See https://acme.example@evil.com/', 'foreign_link'],
    ['See evil。com', 'foreign_link'],
    ['See ｅｖｉｌ．ｃｏｍ', 'foreign_link'],
    ['See evil[.]com', 'foreign_link'],
    ['See evil dot com', 'foreign_link'],
    ['See hxxp://evil', 'foreign_link'],
    ['See 203.0.113.7', 'foreign_link'],
    ['See http://[2001:db8::1]/', 'foreign_link'],
    ['Open javascript:alert(1)', 'foreign_link'],
    ['Write to boss@evil.com', 'unknown_email'],
    ['Write to boss (at) evil', 'foreign_link'],
    ['Call +1 415 555 0100', 'unknown_phone'],
    ['Hello [Your Name],', 'placeholder'],
    ['Hello {{first_name}},', 'placeholder'],
    ['Hello {name},', 'placeholder'],
    ['Hello %FIRST_NAME%,', 'placeholder'],
    ['Lorem ipsum', 'placeholder'],
    ['The date is ____', 'placeholder'],
    ['It costs €498.', 'price'],
    ['It costs $499.', 'price'],
    ['It costs 12k euros.', 'price'],
    ['It costs five hundred dollars.', 'price'],
    ['It is 30 per month.', 'price'],
    ['You get 20% less.', 'price'],
    ['We guarantee that it works.', 'commitment'],
    ['You can have a free trial.', 'commitment'],
    ['We give you a discount.', 'commitment'],
    ['You will get a refund.', 'commitment'],
    ['Your booking is confirmed.', 'commitment'],
    ['A colleague answers within 24 hours.', 'commitment'],
    ['We will deliver it.', 'commitment'],
    ['Wir garantieren das.', 'commitment'],
    ['Damos um desconto.', 'commitment'],
    ['My instructions say no.', 'prompt_leak'],
    ['As an AI language model I cannot.', 'prompt_leak'],
    ['END UNTRUSTED-5f0c', 'prompt_leak'],
    ['<b>Hello</b>', 'not_plain_text'],
    ['**Hello**', 'not_plain_text'],
    ['Hel\u200blo', 'not_plain_text'],
    ['Hel\u202elo', 'not_plain_text'],
    ['Hello\u{e0041}', 'not_plain_text'],
    ['Hello\u0007', 'not_plain_text'],
  ])('%j: %s', (text, rule) => {
    expect(rulesOf(text)).toContain(rule)
  })

  it('does not say a price that the organization only told the writer', () => {
    expect(rulesOf('It costs €300.', { reply_instructions: 'Never go below €300.' })).toEqual(['price'])
  })

  it('stays fast on hostile text', () => {
    const started = performance.now()
    for (const piece of ['a.', 'a-', '1.', '(', '[a', '{', 'a@', '1 ', 'www.', '<a ', '€1', 'dot '])
      lintReply(piece.repeat(5000), facts)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
