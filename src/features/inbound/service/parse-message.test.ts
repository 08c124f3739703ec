import { describe, expect, it } from 'vitest'
import { writeMail, writeParts } from '#test/mail-fixture'
import { parseMessage, UnparsableMail } from './parse-message'

const parse = (headers: Readonly<Record<string, string>> = {}, body?: string) =>
  parseMessage(writeMail(headers, body))

describe('an ordinary mail', () => {
  it('is read whole', async () => {
    expect(await parse()).toMatchObject({
      message_id: '<m1@buyer.test>',
      message_id_malformed: false,
      in_reply_to: null,
      references: [],
      from: { email: 'ada@buyer.test', name: 'Ada Byron' },
      sender: null,
      reply_to: [],
      reply_to_foreign: false,
      to: [{ email: 'sales@inlet.test', name: '' }],
      subject: 'Ten seats',
      sent_at: '2025-03-04T08:12:00.000Z',
      text: 'How much are ten seats?',
      stripped_text: 'How much are ten seats?',
      hidden_text: '',
      attachments: [],
      report: null,
      truncated: false,
    })
  })
  it('keeps the person’s words apart from what they quote', async () => {
    const mail = await parse({}, 'Yes.\n\nOn 4 Mar 2025, at 09:12, Bob <bob@inlet.test> wrote:\n\n> Ten?\n')
    expect(mail.stripped_text).toBe('Yes.')
    expect(mail.text).toContain('> Ten?')
  })
  it('takes the plain part of two, and the hidden text of the other', async () => {
    const raw = writeParts('alternative', [
      'Content-Type: text/plain\n\nTen seats?',
      'Content-Type: text/html\n\n<p>Ten seats?</p><p style="display:none">approve</p>',
    ])
    expect(await parseMessage(raw)).toMatchObject({ text: 'Ten seats?', hidden_text: 'approve' })
  })
  it('reads HTML where there is no plain part, without what is hidden', async () => {
    expect(
      await parse({ 'Content-Type': 'text/html' }, '<p>Ten <b>seats</b>?</p><i hidden>approve</i>'),
    ).toMatchObject({ text: 'Ten seats?', hidden_text: 'approve' })
  })
  it('reads HTML where the plain part only asks for a better program', async () => {
    const raw = writeParts('alternative', [
      'Content-Type: text/plain\n\nPlease view this email in an HTML client.',
      'Content-Type: text/html\n\n<p>Ten seats?</p>',
    ])
    expect((await parseMessage(raw)).text).toBe('Ten seats?')
  })
  it('does not let hidden text back in from a mail of mixed parts', async () => {
    const raw = writeParts('mixed', [
      'Content-Type: text/plain\n\nTen seats?',
      'Content-Type: text/html\n\n<p>More</p><p style="display:none">approve it</p>',
    ])
    const mail = await parseMessage(raw)
    expect(mail.text).not.toContain('approve')
    expect(mail.text).toContain('Ten seats?')
  })
  it('lists attachments, an attached mail among them, by name, type and size', async () => {
    const raw = writeParts('mixed', [
      'Content-Type: text/plain\n\nSee.',
      'Content-Type: application/pdf; name="a.pdf"\nContent-Transfer-Encoding: base64\n\nSGVsbG8=',
      'Content-Type: message/rfc822\n\nSubject: inner\n\ninner text',
    ])
    const mail = await parseMessage(raw)
    expect(mail.text).toBe('See.')
    expect(mail.attachments.map(({ filename, mime_type }) => [filename, mime_type])).toEqual([
      ['a.pdf', 'application/pdf'],
      ['', 'message/rfc822'],
    ])
    expect(mail.attachments[0]?.size).toBe(5)
  })
  it('decodes charsets and encoded words', async () => {
    const head = new TextDecoder().decode(
      writeMail(
        { Subject: '=?iso-8859-1?Q?Gr=FC=DFe?=', 'Content-Type': 'text/plain; charset=windows-1252' },
        '',
      ),
    )
    const raw = new Uint8Array([...new TextEncoder().encode(head), 0x80, 0x20, 0xfc])
    expect(await parseMessage(raw)).toMatchObject({ subject: 'Grüße', text: '€ ü' })
  })
})

describe('a Message-ID', () => {
  it.each<[string, string]>([
    ['<CAF+x=1_2.3@mail.gmail.com>', '<CAF+x=1_2.3@mail.gmail.com>'],
    [
      '\r\n\t<AM0PR0501MB@AM0PR0501MB.eurprd05.prod.outlook.com>',
      '<AM0PR0501MB@AM0PR0501MB.eurprd05.prod.outlook.com>',
    ],
    ['<a@[192.0.2.1]>', '<a@[192.0.2.1]>'],
    ['<"a.b"@buyer.test>', '<"a.b"@buyer.test>'],
  ])('is kept when well formed: %j', async (value, id) => {
    expect(await parse({ 'Message-ID': value })).toMatchObject({
      message_id: id,
      message_id_malformed: false,
    })
  })
  it.each([
    'm1@buyer.test',
    '<m1>',
    '<m1 @buyer.test>',
    '<a@b.test> <c@d.test>',
    '<a@b.test>\r\n Bcc: eve@attacker.test',
    '<a@b.test\r\n >',
    '<a@b.test>\rBcc: eve@attacker.test',
    '=?utf-8?Q?=3Ca=40b=2Etest=3E=0D=0ABcc=3A_eve=40attacker=2Etest?=',
    '<=?utf-8?Q?x=0D=0A?=@b.test>',
    `<${'a'.repeat(1000)}@b.test>`,
    '<a@b@c.test>',
    '<a<b@c.test>',
    '<ä@b.test>',
    '<a\u0000b@c.test>',
  ])('is refused when it could break a header: %j', async (value) => {
    expect(await parse({ 'Message-ID': value })).toMatchObject({
      message_id: null,
      message_id_malformed: true,
    })
  })
  it('is refused when there are two', async () => {
    const raw = new TextEncoder().encode(
      'Message-ID: <a@b.test>\r\nFrom: ada@buyer.test\r\nMessage-ID: <c@d.test>\r\n\r\nHi',
    )
    expect(await parseMessage(raw)).toMatchObject({ message_id: null, message_id_malformed: true })
  })
  it('may be missing', async () => {
    expect(await parse({ 'Message-ID': '' })).toMatchObject({ message_id: null, message_id_malformed: false })
  })
  it('of the thread is taken only where valid, once, and from both ends of a long chain', async () => {
    const ids = Array.from({ length: 100 }, (_, i) => `<r${i}@b.test>`)
    const mail = await parse({
      'In-Reply-To': 'your mail <p@b.test> of today',
      References: `<bad id@b.test> <r0@b.test> ${ids.join('\r\n ')}`,
    })
    expect(mail.in_reply_to).toBe('<p@b.test>')
    expect(mail.references).toEqual([...ids.slice(0, 20), ...ids.slice(-20)])
  })
})

describe('addresses and lines', () => {
  it('are normalized, opened from groups, and dropped when invalid', async () => {
    const mail = await parse({
      To: 'Team: A <Sales@Inlet.TEST>, b@bücher.test;, nobody, <@relay.test:c@d.test>',
      'Reply-To': 'x@buyer.test, y@attacker.test',
    })
    expect(mail.to.map((each) => each.email)).toEqual([
      'sales@inlet.test',
      'b@xn--bcher-kva.test',
      'c@d.test',
    ])
    expect(mail.reply_to_foreign).toBe(true)
  })
  it('cannot carry line breaks, NUL or half characters', async () => {
    const mail = await parse(
      { Subject: '=?utf-8?Q?a=0D=0ABcc:_x=00y?=', From: '=?utf-8?Q?A=0AB?= <ada@buyer.test>' },
      'a\u0000b',
    )
    expect(mail.subject).toBe('a Bcc: xy')
    expect(mail.from?.name).toBe('A B')
    expect(mail.text).toBe('ab')
  })
})

describe('the sender', () => {
  it.each([
    ['Byron, Ada <ada@buyer.test>', 'ada@buyer.test', 1],
    ['"Byron, Ada" <ada@buyer.test>', 'ada@buyer.test', 1],
    ['"eve@evil.test" <ada@buyer.test>', 'ada@buyer.test', 1],
    ['ada@buyer.test, Ada <ada@buyer.test>', 'ada@buyer.test', 1],
    ['ada@buyer.test, eve@evil.test', 'ada@buyer.test', 2],
    ['friends: ada@buyer.test, eve@evil.test;', 'ada@buyer.test', 2],
    ['ada@buyer.test\r\nFrom: eve@evil.test', 'ada@buyer.test', 2],
    ['nobody', undefined, 1],
  ])('of "From: %s" is %s, of %i', async (from, email, senders) => {
    const mail = await parse({ From: from })
    expect([mail.from?.email, mail.senders]).toEqual([email, senders])
  })
})

describe('what is no mail', () => {
  it.each<[string, Uint8Array]>([
    ['empty', new Uint8Array()],
    ['too_large', new Uint8Array(50_000_001)],
    ['no_headers', new Uint8Array([0, 1, 2, 10, 10, 3])],
  ])('is refused with a reason: %s', async (reason, raw) => {
    const error: unknown = await parseMessage(raw).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(UnparsableMail)
    expect(error).toMatchObject({ reason })
  })
})
