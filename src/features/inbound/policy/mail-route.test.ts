import { describe, expect, it } from 'vitest'
import { isSharedDomain, looksLikeAnswer, slugsOf, tokensOf } from './mail-route'

const none = { INBOUND_EMAIL_DOMAIN: undefined, POSTMARK_INBOUND_ADDRESS: undefined }
const to = (...envelope: string[]) => ({ envelope, headers: [] })

describe('the address of a routed mail', () => {
  it("names an organization by its local part; what stands behind its plus is that organization's own affair", () => {
    expect(slugsOf(to('Demo@in.inlet.test'), none)).toEqual(['demo'])
    expect(slugsOf({ ...to('demo+autumn@in.inlet.test'), hash: 'autumn' }, none)).toEqual(['demo'])
    expect(
      slugsOf(to('reply+abc@in.inlet.test', 'postmaster@in.inlet.test', 'a@x.test', 'no address'), none),
    ).toEqual([])
  })

  it("names by what is behind the plus of Postmark's own address, and never by that address", () => {
    const settings = { ...none, POSTMARK_INBOUND_ADDRESS: 'c0ffee@inbound.test' }
    expect(slugsOf({ ...to('c0ffee+Demo@inbound.test'), hash: 'Demo' }, settings)).toEqual(['demo'])
    expect(slugsOf(to('c0ffee@inbound.test'), settings)).toEqual([])
    expect(slugsOf({ ...to('0a1b2c@inbound.postmarkapp.com'), hash: 'demo' }, none)).toEqual(['demo'])
    expect(slugsOf({ ...to(), hash: 'demo' }, none)).toEqual(['demo'])
  })

  it('names nobody by a header that says what it likes: a customer of another house may be called as one of ours', () => {
    const mail = { envelope: [], headers: ['sales@acme.test', 'demo@in.inlet.test'] }
    expect(slugsOf(mail, none)).toEqual([])
    expect(slugsOf(mail, { ...none, INBOUND_EMAIL_DOMAIN: 'IN.inlet.test' })).toEqual(['demo'])
  })

  it('yields the tokens behind its pluses, the hash first, and not more than a few', () => {
    expect(
      tokensOf({ envelope: ['reply+one@x.test'], headers: ['a+b+two@y.test', 'plain@y.test'], hash: 'zero' }),
    ).toEqual(['zero', 'one', 'two'])
    expect(
      tokensOf({ envelope: [], headers: Array.from({ length: 10_000 }, (_, i) => `a+${i}@x.test`) }),
    ).toHaveLength(20)
  })
})

it.each([
  [{ in_reply_to: '<a@b>', references: [], subject: 'Hello' }, true],
  [{ in_reply_to: null, references: ['<a@b>'], subject: 'Hello' }, true],
  [{ in_reply_to: null, references: [], subject: 'RE: Hello' }, true],
  [{ in_reply_to: null, references: [], subject: 'AW[2]: Hello' }, true],
  [{ in_reply_to: null, references: [], subject: 'Regarding seats' }, false],
  [{ in_reply_to: null, references: [], subject: '' }, false],
])('tells an answer from a new mail: %j', (mail, answer) => {
  expect(looksLikeAnswer(mail)).toBe(answer)
})

it('takes two at a public provider for strangers', () => {
  expect(
    ['gmail.com', 'yahoo.co.uk', 'hotmail.fr', 'buyer.test', 'notgmail.com'].map(isSharedDomain),
  ).toEqual([true, true, true, false, false])
})
