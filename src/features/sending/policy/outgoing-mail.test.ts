import fc from 'fast-check'
import PostalMime from 'postal-mime'
import { expect, it } from 'vitest'
import { composeMail, type OutgoingMail, senderOf } from './outgoing-mail'

const DATE = new Date('2026-11-20T09:30:00.000Z')

const mail: OutgoingMail = {
  id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11',
  kind: 'reply',
  automatic: false,
  from_name: 'Zoë "Q" Quinn',
  from_email: 'sales@shop.test',
  to_email: 'ada@client.test',
  to_name: 'Ada Lovelace',
  subject: 'Re: Angebot für 20 Stühle — bitte bis Dienstag, mit Lieferung in das dritte Obergeschoß',
  text: 'Hello Ada,\n\nTuesday suits us – see you then.\n\n.\nZoë\n',
  message_id: '<0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11@shop.test>',
  in_reply_to: '<q1@client.test>',
  references: ['<q0@client.test>', '<q1@client.test>'],
  reply_to: null,
  unsubscribe_url: null,
}

async function compose(change: Partial<OutgoingMail> = {}) {
  const text = new TextDecoder().decode(
    await composeMail({ ...mail, ...change }, 'no-reply@inlet.test', DATE),
  )
  const head = text.slice(0, text.indexOf('\r\n\r\n'))
  const unfolded = head.replace(/\r\n[ \t]/g, ' ').split('\r\n')
  return {
    text,
    names: unfolded.map((line) => line.slice(0, line.indexOf(':')).toLowerCase()).sort(),
    header: (name: string) =>
      unfolded
        .find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
        ?.slice(name.length + 2),
    parsed: await PostalMime.parse(text),
  }
}

const ordinary = [
  'content-transfer-encoding',
  'content-type',
  'date',
  'from',
  'in-reply-to',
  'message-id',
  'mime-version',
  'references',
  'subject',
  'to',
  'x-inlet-send-id',
]

it('writes a reply that mail programs thread, and that comes back as it was written', async () => {
  const { names, header, parsed, text } = await compose()
  expect(names).toEqual(ordinary)
  expect(header('Message-ID')).toBe(mail.message_id)
  expect(header('In-Reply-To')).toBe('<q1@client.test>')
  expect(header('References')).toBe('<q0@client.test> <q1@client.test>')
  // Also in this spelling: it is looked for as text.
  expect(text).toContain(`X-Inlet-Send-Id: ${mail.id}\r\n`)
  expect(header('Date')).toBe('Fri, 20 Nov 2026 09:30:00 +0000')
  expect({ from: parsed.from, to: parsed.to, subject: parsed.subject, text: parsed.text }).toEqual({
    from: { name: 'Zoë "Q" Quinn', address: 'sales@shop.test' },
    to: [{ name: 'Ada Lovelace', address: 'ada@client.test' }],
    subject: mail.subject,
    text: mail.text,
  })
  expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/)
  expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998)
  // RFC 2047 §2: an encoded word has at most 75 characters.
  for (const word of text.match(/=\?[^?]+\?[^?]+\?[^?]*\?=/g) ?? [])
    expect(word.length).toBeLessThanOrEqual(75)
})

it('says of an automatic reply that nobody looked at it, and of an approved one nothing', async () => {
  const automatic = await compose({ automatic: true })
  expect(automatic.header('Auto-Submitted')).toBe('auto-replied')
  expect(automatic.header('X-Auto-Response-Suppress')).toBe('All')
  expect((await compose({ automatic: true, kind: 'sla_breach' })).header('Auto-Submitted')).toBe(
    'auto-generated',
  )
  expect((await compose()).names).toEqual(ordinary)
})

it('says of every mail that our machinery writes, also again for a person, that nobody need answer it', async () => {
  const resent = await compose({ kind: 'welcome', automatic: false })
  expect(resent.header('Auto-Submitted')).toBe('auto-generated')
  expect(resent.header('X-Auto-Response-Suppress')).toBe('All')
  expect((await compose({ kind: 'sequence', automatic: true })).names).toEqual(ordinary)
})

it('offers the link that ends it as RFC 8058 has it, each header on one line', async () => {
  const unsubscribe_url = `https://inlet-of-a-long-name.example.com/u/${'A'.repeat(67)}`
  const { text, names } = await compose({ kind: 'welcome', unsubscribe_url })
  expect(text).toContain(`\r\nList-Unsubscribe: <${unsubscribe_url}>\r\n`)
  expect(text).toContain('\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n')
  expect(names.filter((name) => name.startsWith('list-'))).toEqual([
    'list-unsubscribe',
    'list-unsubscribe-post',
  ])
})

it('asks for the answer at another address than it is from, where there is one', async () => {
  const { parsed } = await compose({ reply_to: 'reply+abc@in.shop.test' })
  expect(parsed.replyTo).toEqual([{ name: '', address: 'reply+abc@in.shop.test' }])
})

it('leaves from the installation when there is no mailbox', async () => {
  expect((await compose({ from_email: null, from_name: null })).parsed.from).toEqual({
    name: '',
    address: 'no-reply@inlet.test',
  })
  expect(senderOf({ BASE_URL: 'https://inlet.test:8787' })).toBe('no-reply@inlet.test')
  expect(senderOf({ BASE_URL: 'https://inlet.test', FROM_EMAIL: 'hi@shop.test' })).toBe('hi@shop.test')
})

const EVIL = 'x\r\nBcc: evil@evil.test\r\n\r\n<script>'

it.each<[string, Partial<OutgoingMail>]>([
  ['subject', { subject: EVIL }],
  ['name of the recipient', { to_name: EVIL }],
  ['name of the sender', { from_name: EVIL }],
  ['In-Reply-To', { in_reply_to: `<a@b.test>${EVIL}` }],
  ['References', { references: [`<a@b.test>${EVIL}`] }],
  ['Message-ID', { message_id: `<a@b.test>${EVIL}` }],
  ['name with a bare CR', { to_name: 'x\rBcc: evil@evil.test' }],
  ['subject with a line separator', { subject: 'x\u2028Bcc: evil@evil.test\u0085Cc: evil@evil.test' }],
])('lets no header in through a hostile %s', async (_, change) => {
  const { names, parsed } = await compose(change)
  expect(names).toEqual(ordinary)
  expect({ to: parsed.to?.length, cc: parsed.cc, bcc: parsed.bcc }).toEqual({
    to: 1,
    cc: undefined,
    bcc: undefined,
  })
})

it('has one recipient and its own headers, whatever strangers put into every field', async () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({
      unit: fc.constantFrom('\r', '\n', ':', ' ', '<', '>', '"', ',', '@', 'B', 'c', '=', '?', ';'),
    }),
  )
  await fc.assert(
    fc.asyncProperty(hostile, hostile, hostile, hostile, async (subject, to_name, from_name, text) => {
      const { names, parsed } = await compose({ subject, to_name, from_name, text: `x${text}` })
      // An empty subject leaves no header.
      const expected = names.includes('subject') ? ordinary : ordinary.filter((name) => name !== 'subject')
      expect(names).toEqual(expected)
      expect(parsed.to?.map((to) => to.address)).toEqual(['ada@client.test'])
    }),
    { numRuns: 300 },
  )
})

it('keeps every line within what servers take, however long a stranger’s name is', async () => {
  const { text } = await compose({ to_name: 'x'.repeat(2000), from_name: 'ö'.repeat(2000) })
  const longest = Math.max(...text.split('\r\n').map((line) => line.length))
  expect(longest).toBeLessThan(999)
})
