import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  judgeBreak,
  judgeReply,
  readCapabilities,
  readReply,
  readReplyLine,
  type SmtpPhase,
  stuffDots,
} from './smtp-replies'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (given: Uint8Array) => new TextDecoder().decode(given)

describe('the body of DATA', () => {
  it.each([
    ['', ''],
    ['one line', 'one line\r\n'],
    ['.', '..\r\n'],
    ['a\r\n.\r\nb\r\n', 'a\r\n..\r\nb\r\n'],
    ['a\n.\nb', 'a\r\n..\r\nb\r\n'],
    ['a\r.\rb', 'a\r\n..\r\nb\r\n'],
    ['a\r\n..two\r\n', 'a\r\n...two\r\n'],
    ['a.b', 'a.b\r\n'],
  ])('of %j is %j', (given, expected) => {
    expect(text(stuffDots(bytes(given)))).toBe(expected)
  })

  it('never holds the end of a mail, whatever the mail holds, and gives it back line by line', () => {
    const pieces = fc.array(fc.constantFrom('.', '\r', '\n', '\r\n', '.\r\n', 'a', 'QUIT\r\n', 'ä'), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(pieces, (parts) => {
        const given = parts.join('')
        const sent = `\r\n${text(stuffDots(bytes(given)))}`
        expect(sent).not.toContain('\r\n.\r\n')
        expect(sent.endsWith('\r\n')).toBe(true)
        expect(sent.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
        const lines = sent.slice(2).replace(/\r\n$/, '').split('\r\n')
        const original = given.replace(/\r\n$|[\r\n]$/, '').split(/\r\n|[\r\n]/)
        expect(lines.map((line) => line.replace(/^\./, ''))).toEqual(original)
      }),
    )
  })
})

it.each([
  ['250 ok', { code: 250, last: true, text: 'ok' }],
  ['250-more', { code: 250, last: false, text: 'more' }],
  ['250', { code: 250, last: true, text: '' }],
  ['250ok', null],
  ['25 ok', null],
  ['150 early', null],
  ['650 late', null],
  ['HTTP/1.1 400', null],
  ['', null],
] as const)('reads the line %j', (line, expected) => {
  expect(readReplyLine(line)).toEqual(expected)
})

it('takes lines of two codes for no reply', () => {
  const [a, b] = [
    { code: 250, text: 'ok' },
    { code: 550, text: 'no' },
  ]
  expect(readReply([a, b])).toBeNull()
  expect(readReply([])).toBeNull()
  expect(readReply([{ code: 550, text: '5.1.1 no such user' }])).toEqual({
    code: 550,
    enhanced: '5.1.1',
    lines: ['5.1.1 no such user'],
  })
})

it('knows what a server offers, in the old spelling too', () => {
  const lines = [
    'mail.test greets',
    'size 1000',
    'AUTH=LOGIN',
    'AUTH plain CRAM-MD5',
    'StartTLS',
    '8BITMIME',
    'DSN',
    'X-STARTTLSX',
  ]
  expect(readCapabilities({ code: 250, enhanced: null, lines })).toEqual({
    starttls: true,
    auth: ['LOGIN', 'PLAIN', 'CRAM-MD5'],
    size: 1000,
    size_known: true,
    eight_bit: true,
    utf8: false,
    dsn: true,
  })
  // The first line is the server's name, whatever it says.
  expect(readCapabilities({ code: 250, enhanced: null, lines: ['STARTTLS'] }).starttls).toBe(false)
})

const phases: SmtpPhase[] = [
  'connect',
  'greeting',
  'ehlo',
  'starttls',
  'tls',
  'auth',
  'mail',
  'rcpt',
  'data',
  'body',
  'dot',
]

it.each(phases)(
  'blames no mail for what breaks before MAIL, and keeps addresses out of what it says (%s)',
  (phase) => {
    const early = phases.indexOf(phase) < phases.indexOf('mail')
    for (const cause of ['closed', 'timeout', 'garbage'] as const)
      expect(judgeBreak(phase, cause).kind).toBe(early ? 'auth' : 'transient')
    const reply = { code: 550, enhanced: '5.1.1', lines: ['5.1.1 <ada@buyer.test> no such user'] }
    expect(judgeReply(phase, reply).message).not.toContain('@')
    const later = judgeReply(phase, { ...reply, code: 451, enhanced: null })
    expect(later.kind).toBe(early ? 'rate_limited' : 'transient')
  },
)
