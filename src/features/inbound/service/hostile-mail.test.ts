import { describe, expect, it } from 'vitest'
import { writeMail, writeParts } from '#test/mail-fixture'
import { parseMessage } from './parse-message'

function nest(depth: number): string {
  let body = 'Content-Type: text/plain\n\ndeep'
  for (let i = 0; i < depth; i++)
    body = `Content-Type: multipart/mixed; boundary=n${i}\n\n--n${i}\n${body}\n--n${i}--`
  return body
}

describe('a hostile mail still gives its sender and subject', () => {
  it.each<[string, () => Uint8Array, truncated: boolean]>([
    ['nested too deeply', () => writeParts('mixed', [nest(200)]), true],
    [
      'of a hundred thousand parts',
      () =>
        writeParts(
          'mixed',
          Array.from({ length: 100_000 }, () => '\nx'),
        ),
      true,
    ],
    ['with endless headers', () => writeMail({ 'X-A': `${'x'.repeat(900)}\r\n `.repeat(2000) }), true],
    [
      'with ten thousand recipients',
      () => writeMail({ Cc: Array.from({ length: 10_000 }, (_, i) => `u${i}@buyer.test`).join(',\r\n ') }),
      false,
    ],
    [
      'with a hundred thousand references',
      () => writeMail({ References: '<r@b.test> '.repeat(60_000) }),
      false,
    ],
    ['with an open comment in From', () => writeMail({ Cc: '('.repeat(200_000) }), false],
    ['of one megabyte of quotes', () => writeMail({}, '> quoted line\n'.repeat(80_000)), true],
    ['of nested HTML', () => writeMail({ 'Content-Type': 'text/html' }, '<div>'.repeat(200_000)), false],
    [
      'of forwards in forwards',
      () =>
        writeParts('mixed', [
          'Content-Type: text/plain\n\nx',
          `Content-Type: message/rfc822\n\n${'Content-Type: message/rfc822\n\n'.repeat(5000)}`,
        ]),
      false,
    ],
    ['of ten million empty lines', () => writeMail({}, `Hello${'\n'.repeat(10_000_000)}`), true],
    ['without an end of its headers', () => writeMail({}, '').subarray(0, -4), false],
    [
      'cut inside a part',
      () => writeParts('mixed', ['Content-Type: text/plain\n\nHello']).subarray(0, -12),
      false,
    ],
  ])('%s', async (_, write, truncated) => {
    const raw = write()
    const started = performance.now()
    const mail = await parseMessage(raw)
    expect(performance.now() - started).toBeLessThan(4000)
    expect(mail).toMatchObject({ from: { email: 'ada@buyer.test' }, subject: 'Ten seats', truncated })
    expect(mail.text.length).toBeLessThanOrEqual(262_144)
    expect(mail.cc.length).toBeLessThanOrEqual(500)
  })
})

describe('a mail with a large file', () => {
  it('is read with the size of the file, but without its bytes', async () => {
    const line = `${'QUJD'.repeat(19)}\n`
    const lines = 150_000
    const raw = writeParts('mixed', [
      'Content-Type: text/plain\n\nSee the file.',
      `Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n${line.repeat(lines)}`,
      'Content-Type: text/plain; name=b.txt\nContent-Disposition: attachment\n\nsmall',
    ])
    const mail = await parseMessage(raw)
    expect(mail.text).toBe('See the file.')
    const [zip, small] = mail.attachments
    expect(Math.abs((zip?.size ?? 0) - lines * 57) / (lines * 57)).toBeLessThan(0.05)
    expect(small).toMatchObject({ filename: 'b.txt', mime_type: 'text/plain' })
    expect(small?.size).toBeLessThan(10)
    expect(mail.truncated).toBe(false)
  })
})
