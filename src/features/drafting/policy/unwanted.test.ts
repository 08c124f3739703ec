import { describe, expect, it } from 'vitest'
import { judgeUnwanted } from './unwanted'

describe('advertising', () => {
  it.each([
    ['Guest post', 'I would like to publish a guest post with a do-follow link on your blog.'],
    ['SEO', 'We can get you on the first page of Google with our SEO services.'],
    ['Backlinks', 'High domain authority backlinks for your site, only today.'],
    ['Bitcoin', 'A new crypto investment opportunity with guaranteed returns!'],
    ['Casino', 'Our online casino gives you a no deposit welcome bonus and free spins.'],
    ['Inheritance', 'Dear beneficiary, your inheritance of 4 million dollars is waiting.'],
    ['Meds', 'Buy viagra from our online pharmacy.'],
    ['Leads', 'We sell a verified email list of 10,000 contacts.'],
    [
      'Website',
      'We are a leading web development company. I came across your website and noticed errors. We can redesign your website.',
    ],
  ])('%s: %s', (subject, text) => {
    expect(judgeUnwanted(subject, text)?.kind).toBe('spam')
  })
})

describe('what a person has to see', () => {
  it.each([
    'I will find you and I will kill you.',
    'I do not want to live any more, I think of suicide.',
    'My lawyer will take legal action against you.',
    'This is a GDPR request: right to erasure of all my data.',
    'Your account has been suspended. Verify your password below.',
    'Please send me your password and the 2FA code.',
    'We have new bank details, please make the wire transfer today.',
    'My card number is 4111 1111 1111 1111, charge it.',
  ])('%s', (text) => {
    expect(judgeUnwanted('', text)?.kind).toBe('unsafe')
  })

  it('calls a threat that advertises a threat', () => {
    expect(judgeUnwanted('SEO services', 'We are an SEO agency. Pay or I will destroy you.')?.kind).toBe(
      'unsafe',
    )
  })
})

describe('mail like any other', () => {
  it.each([
    ['Prices', 'How much does your software cost for a casino with 40 tables?'],
    ['Login', 'I forgot my password, how can I reset it?'],
    ['Crypto', 'Do you accept bitcoin?'],
    ['SEO', 'Does your website builder support SEO?'],
    ['Order', 'My order number is 1234567890123456.'],
    ['Links', 'See https://a.example, https://b.example and https://c.example for what we would like.'],
    ['', ''],
  ])('%s: %s', (subject, text) => {
    expect(judgeUnwanted(subject, text)).toBeNull()
  })

  it('stays fast on hostile text', () => {
    const started = performance.now()
    for (const piece of [
      'we are ',
      '1 ',
      'send me your ',
      'update ',
      'we offer web ',
      'gift card ',
      'http://',
    ])
      judgeUnwanted('', piece.repeat(10_000))
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
