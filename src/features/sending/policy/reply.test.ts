import fc from 'fast-check'
import { expect, it } from 'vitest'
import { messageIdOrNull, replyReferences, replySubject } from './reply'

it.each([
  ['Offer for 20 chairs', 'Re: Offer for 20 chairs'],
  ['Re: Offer', 'Re: Offer'],
  ['RE: re:Re[2]: Offer', 'Re: Offer'],
  ['  re : Offer ', 'Re: Offer'],
  ['Regarding the offer', 'Re: Regarding the offer'],
  ['', 'Re:'],
  ['Offer\r\nBcc: evil@evil.test', 'Re: Offer Bcc: evil@evil.test'],
  ['Offer\u2028X-Injected: yes', 'Re: Offer X-Injected: yes'],
])('answers the subject %j as %j', (subject, expected) => {
  expect(replySubject(subject)).toBe(expected)
})

it('stays quick for a subject of nothing but prefixes', () => {
  expect(replySubject('re:'.repeat(300_000))).toBe('Re:')
})

it.each([
  '<a@b.test>\r\nBcc: evil@evil.test',
  '<a@b.test> <c@d.test>',
  'a@b.test',
  '<a b@c.test>',
  '<=?utf-8?q?x?=@b.test>',
  `<${'a'.repeat(1000)}@b.test>`,
  '<a@b@c.test>',
  '',
  null,
])('takes %j for no Message-ID', (id) => {
  expect(messageIdOrNull(id)).toBeNull()
})

it('puts the parent last and names nobody twice', () => {
  expect(replyReferences(['<1@a>', '<3@a>', 'broken', '<2@a>'], '<3@a>')).toEqual(['<1@a>', '<2@a>', '<3@a>'])
})

it('keeps the first and the last 20 of a long chain', () => {
  const chain = Array.from({ length: 100 }, (_, i) => `<${i}@a>`)
  expect(replyReferences(chain, '<parent@a>')).toEqual([
    ...chain.slice(0, 20),
    ...chain.slice(-19),
    '<parent@a>',
  ])
})

it('never lets a control character through, whatever the other side writes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' })), (subject, ids) => {
      const headers = [replySubject(subject), ...replyReferences(ids, subject)]
      return headers.every((value) => !/[\p{Cc}\u2028\u2029]/u.test(value))
    }),
  )
})
