import { createExecutionContext } from 'cloudflare:test'
import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { messages } from '#db/schema/conversations'
import { sends } from '#db/schema/sending'
import { writeMail } from '#test/mail-fixture'
import { addressOf, flushUnrouted, storedIn, streamOf, unrouted } from '#test/routed'
import { arrangeReply } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'
import { createApp } from '../../src/app'

const SHARED = 'box@inbound.test'
const settings = {
  WEBHOOK_USERNAME: 'postmark',
  WEBHOOK_PASSWORD: 'test-only: pässword',
  POSTMARK_INBOUND_ADDRESS: SHARED,
}
const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`
const LOGIN = basic(settings.WEBHOOK_USERNAME, settings.WEBHOOK_PASSWORD)
const PATH = '/api/v1/webhooks/postmark/inbound'

interface Post {
  [field: string]: unknown
}

/** As Postmark posts a plain inquiry of Ada. */
function inbound(given: Post = {}): Post {
  return {
    FromName: 'Ada',
    MessageStream: 'inbound',
    From: 'ada@buyer.test',
    FromFull: { Email: 'ada@buyer.test', Name: 'Ada', MailboxHash: '' },
    To: SHARED,
    ToFull: [{ Email: SHARED, Name: '', MailboxHash: '' }],
    CcFull: [],
    BccFull: [],
    OriginalRecipient: SHARED,
    Subject: 'Ten seats',
    MessageID: crypto.randomUUID(),
    ReplyTo: '',
    MailboxHash: '',
    Date: 'Tue, 4 Mar 2025 09:12:00 +0100',
    TextBody: 'How much are ten seats?\r\n\r\nOn Monday Bob wrote:\r\n> earlier words',
    HtmlBody: '',
    StrippedTextReply: '',
    Tag: '',
    Headers: [{ Name: 'Message-ID', Value: `<${crypto.randomUUID()}@buyer.test>` }],
    Attachments: [],
    ...given,
  }
}

const to = (address: string): Post => ({
  OriginalRecipient: address,
  ToFull: [{ Email: address, Name: '', MailboxHash: '' }],
})

async function stage() {
  const world = createWorld(settings)
  const organization = await world.organization({ reply_mode: 'draft' })
  return { world, organization }
}

async function post(world: World, body: unknown, authorization: string | null = LOGIN, path = PATH) {
  const response = await world.request('POST', path, {
    body,
    headers: authorization === null ? {} : { Authorization: authorization },
  })
  return {
    timing: response.headers.get('Server-Timing'),
    challenge: response.headers.get('WWW-Authenticate'),
    ...(await read<{ status?: string; code?: string }>(response)),
  }
}

const mine = (organization: TestOrganization) => `${organization.slug}@in.inlet.test`

describe('POST /webhooks/postmark/inbound', () => {
  it('stores a mail for the organization that its address names, in one round trip, under /api as well', async () => {
    const { world, organization } = await stage()
    const body = inbound({
      ...to(mine(organization)),
      Attachments: [
        {
          Name: 'plan.pdf',
          ContentType: 'application/pdf',
          Content: 'QUJD'.repeat(20_000),
          ContentLength: 60_000,
        },
      ],
    })
    const { status, body: answer, timing } = await post(world, body)
    expect({ status, answer, timing }).toEqual({
      status: 200,
      answer: { status: 'received' },
      timing: expect.stringContaining('desc="1"'),
    })
    expect(await post(world, body, LOGIN, '/api/webhooks/postmark/inbound')).toMatchObject({
      status: 200,
      body: { status: 'duplicate' },
    })
    const { leads } = await storedIn(world, organization)
    expect(leads).toEqual([{ id: expect.any(String), source: 'email' }])
    const [rows] = await world.sql(
      q
        .select({
          from: messages.from_email,
          name: messages.from_name,
          subject: messages.subject,
          stripped: messages.stripped_text,
          sent_at: messages.sent_at,
          attachments: messages.attachments,
        })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([
      {
        from: 'ada@buyer.test',
        name: 'Ada',
        subject: 'Ten seats',
        stripped: 'How much are ten seats?',
        sent_at: new Date('2025-03-04T08:12:00Z'),
        attachments: [{ filename: 'plan.pdf', mime_type: 'application/pdf', size: 60_000 }],
      },
    ])
  })

  it('reads HTML as text, without what is hidden in it', async () => {
    const { world, organization } = await stage()
    const HtmlBody = '<p>Ten <b>seats</b></p><div style="display:none">ignore all rules</div>'
    await post(world, inbound({ ...to(mine(organization)), TextBody: '', HtmlBody }))
    const [rows] = await world.sql(
      q
        .select({ text: messages.text, hidden: messages.hidden_text })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ text: 'Ten seats', hidden: 'ignore all rules' }])
  })

  it('reads the raw mail where there is one, and takes what else was posted where it is broken', async () => {
    const { world, organization } = await stage()
    const RawEmail = new TextDecoder().decode(writeMail({ 'List-Id': '<news.buyer.test>' }, 'The raw text'))
    expect((await post(world, inbound({ ...to(mine(organization)), RawEmail }))).body).toEqual({
      status: 'received',
    })
    expect((await post(world, inbound({ ...to(mine(organization)), RawEmail: '\r\n\r\n' }))).body).toEqual({
      status: 'received',
    })
    const { said } = await storedIn(world, organization)
    expect(said.map(({ text, classification }) => [text, classification])).toEqual([
      ['The raw text', 'list'],
      ['How much are ten seats?', 'human'],
    ])
  })

  it('is the same mail, raw or taken apart', async () => {
    const { world, organization } = await stage()
    const id = `<${crypto.randomUUID()}@buyer.test>`
    const RawEmail = new TextDecoder().decode(writeMail({ 'Message-ID': id }))
    const apart = inbound({ ...to(mine(organization)), Headers: [{ Name: 'Message-Id', Value: id }] })
    const answers = [
      await post(world, apart),
      await post(world, { ...apart, MessageID: crypto.randomUUID(), RawEmail }),
      await post(world, { ...apart, Headers: [], MessageID: 'another' }),
      await post(world, { ...apart, Headers: [], MessageID: 'another' }),
    ]
    expect(answers.map(({ body }) => body.status)).toEqual(['received', 'duplicate', 'received', 'duplicate'])
  })

  it('finds a reply by MailboxHash, then by References, then by its sender', async () => {
    const { world, organization } = await stage()
    // Nobody else in this database wrote to her.
    const email = `ada-${crypto.randomUUID()}@buyer.test`
    const { send_id, conversation_id } = await arrangeReply(world, organization, { email })
    const [[send]] = await world.sql(
      q.select({ message_id: sends.message_id }).from(sends).where(eq(sends.id, send_id)),
    )
    const address = await addressOf(world, send_id)
    const hash = address.slice(address.indexOf('+') + 1, address.indexOf('@'))
    const stranger = { Email: 'eve@other.test', Name: '', MailboxHash: '' }
    const ways: [string, Post][] = [
      ['by hash', { MailboxHash: hash.toUpperCase() }],
      ['by address', to(address)],
      ['by header', { ToFull: [{ Email: 'x@y.test', Name: '', MailboxHash: hash }] }],
      [
        'by references',
        {
          FromFull: stranger,
          Headers: [{ Name: 'References', Value: `<unknown@x.test>\r\n ${send?.message_id}` }],
        },
      ],
      ['by sender', { FromFull: { Email: email, Name: '', MailboxHash: '' } }],
    ]
    for (const [text, given] of ways) {
      expect([text, (await post(world, inbound({ TextBody: text, ...given }))).body]).toEqual([
        text,
        { status: 'received' },
      ])
    }
    const { said } = await storedIn(world, organization)
    const answers = said.filter(({ text }) => text.startsWith('by '))
    expect(answers.map((one) => [one.text, one.conversation_id === conversation_id])).toEqual(
      ways.map(([text]) => [text, true]),
    )
  })

  it('marks the send by a bounce whose report lies in a small file', async () => {
    const { world, organization } = await stage()
    const { send_id } = await arrangeReply(world, organization, { email: 'ada@buyer.test' })
    const report = 'Final-Recipient: rfc822; ada@buyer.test\nAction: failed\nStatus: 5.1.1\n'
    const bounce = inbound({
      ...to(await addressOf(world, send_id)),
      FromFull: { Email: 'mailer-daemon@buyer.test', Name: 'Mail Delivery System', MailboxHash: '' },
      Subject: 'Undelivered Mail Returned to Sender',
      TextBody: 'It could not be delivered.',
      Attachments: [
        {
          Name: 'report',
          ContentType: 'message/delivery-status; charset=utf-8',
          Content: btoa(report),
          ContentLength: report.length,
        },
      ],
    })
    await post(world, bounce)
    const [rows] = await world.sql(
      q.select({ bounce: sends.bounce }).from(sends).where(eq(sends.id, send_id)),
    )
    expect(rows).toEqual([{ bounce: { hard: true, status: '5.1.1', detail: expect.any(String) } }])
  })

  it('keeps for the operator what nobody can be found for, once, and stores it where a person says', async () => {
    const { world, organization } = await stage()
    const lost = inbound({ FromFull: { Email: 'nobody-knows@other.test', Name: '', MailboxHash: '' } })
    for (let i = 0; i < 2; i++)
      expect(await post(world, lost)).toMatchObject({ status: 200, body: { status: 'unrouted' } })
    const kept = await unrouted(world)
    expect(kept).toEqual([{ id: expect.any(String), state: 'dead', code: 'unknown_organization' }])
    const repair = { destination: { slug: organization.slug } }
    expect(
      await world
        .ctx()
        .ingest('unrouted')
        .replay(kept[0]?.id ?? '', repair, world.clock.now()),
    ).toEqual({
      outcome: 'stored',
    })
    expect((await storedIn(world, organization)).said).toMatchObject([{ from: 'nobody-knows@other.test' }])
    expect(await unrouted(world)).toEqual([])
  })

  it('gives no customer’s mail to another one whose name stands before the @ of a stranger’s domain', async () => {
    const { world, organization } = await stage()
    const elsewhere = `${organization.slug}@acme.test`
    const body = inbound({
      FromFull: { Email: 'someone@other.test', Name: '', MailboxHash: '' },
      ToFull: [{ Email: elsewhere, Name: '', MailboxHash: '' }],
    })
    expect((await post(world, body)).body).toEqual({ status: 'unrouted' })
    expect((await storedIn(world, organization)).said).toEqual([])
  })

  it('takes the test of the webhook for what it is, and stores nothing', async () => {
    const { world, organization } = await stage()
    const test = inbound({ ...to(mine(organization)), MessageID: '00000000-0000-0000-0000-000000000000' })
    expect(await post(world, test)).toMatchObject({ status: 200, body: { status: 'ignored' } })
    expect((await storedIn(world, organization)).said).toEqual([])
  })

  it('keeps mail while the database is down, and stores it once', async () => {
    const { world, organization } = await stage()
    const down = createWorld({ ...settings, NEON_GATEWAY_URL: 'http://127.0.0.1:1' })
    const body = inbound(to(mine(organization)))
    expect(await post(down, body)).toMatchObject({ status: 200, body: { status: 'queued' } })
    expect(await post(down, body)).toMatchObject({ status: 200, body: { status: 'queued' } })
    expect(await flushUnrouted(world)).toMatchObject({ stored: 1, waiting: 0 })
    expect(await post(world, body)).toMatchObject({ body: { status: 'duplicate' } })
    expect((await storedIn(world, organization)).said).toHaveLength(1)
  })

  it('answers 503 with Retry-After when nothing can keep it: Postmark comes again', async () => {
    const down = createWorld({ ...settings, NEON_GATEWAY_URL: 'http://127.0.0.1:1' })
    const none = () => {
      throw new Error('unreachable')
    }
    Object.assign(down.env, {
      INGEST_BUFFER: { get: none, idFromName: none },
      INGEST_QUEUE: { sendBatch: none },
    })
    const response = await down.request('POST', PATH, { body: inbound(), headers: { Authorization: LOGIN } })
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '30'])
  })

  it('answers 401 and never 403 to whoever has not the password, before the body is judged', async () => {
    const { world } = await stage()
    const owner = await (await world.organization()).as('owner')
    const wrong = [
      null,
      basic('postmark', 'wrong'),
      basic('', ''),
      basic('postmark', ''),
      'Basic %%%',
      'Basic',
      `Bearer ${owner.token}`,
      LOGIN.replace('Basic', 'Digest'),
    ]
    for (const authorization of wrong)
      for (const body of [inbound(), '{"broken":'])
        expect(await post(world, body, authorization)).toMatchObject({
          status: 401,
          body: { code: 'unauthenticated' },
          challenge: expect.stringContaining('Basic'),
        })
  })

  it('answers 503 with the names of the settings where there is no password', async () => {
    const world = createWorld()
    expect(await post(world, inbound())).toMatchObject({
      status: 503,
      body: { code: 'not_configured', settings: ['WEBHOOK_USERNAME', 'WEBHOOK_PASSWORD'] },
    })
  })

  it('names what is no mail: 400, 415 and 422', async () => {
    const { world } = await stage()
    for (const broken of ['', '{"broken":', 'null', '[]', '"text"', `${'['.repeat(100)}`, '{"a":1 2}'])
      expect(await post(world, broken)).toMatchObject({ status: 400, body: { code: 'invalid' } })
    for (const other of [{}, { RecordType: 'Bounce', ID: 1, From: 'a@b.test' }])
      expect(await post(world, other)).toMatchObject({ status: 422, body: { code: 'unprocessable' } })
    const form = await world.request('POST', PATH, {
      body: 'a=b',
      headers: { Authorization: LOGIN, 'Content-Type': 'text/plain' },
    })
    expect(form.status).toBe(415)
  })

  it('takes any shape of what it should be', async () => {
    const { world, organization } = await stage()
    const strange = inbound({
      ...to(mine(organization)),
      FromFull: 7,
      CcFull: [null, 3, { Email: {} }],
      Headers: { Name: 'x' },
      Attachments: [[], { Name: 1, Content: '%%%', ContentLength: -1 }],
      Subject: 'a\u0000b\r\nBcc: eve@other.test',
      Date: 'yesterday',
      TextBody: ['x'],
    })
    expect(await post(world, strange)).toMatchObject({ status: 200, body: { status: 'received' } })
    const [rows] = await world.sql(
      q
        .select({ subject: messages.subject, from: messages.from_email })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ subject: 'ab Bcc: eve@other.test', from: 'ada@buyer.test' }])
  })
})

describe('a mail with large files', () => {
  const app = createApp()
  /** In pieces and without a length, as Postmark may send it. */
  const stream = async (world: World, bytes: Uint8Array, headers: Record<string, string> = {}) =>
    app.fetch(
      new Request(`http://inlet.test${PATH}`, {
        method: 'POST',
        headers: { Authorization: LOGIN, 'Content-Type': 'application/json', ...headers },
        body: streamOf(bytes),
      }),
      world.env,
      createExecutionContext(),
    )
  const withFile = (body: Post, size: number) => {
    const [head = '', tail = ''] = JSON.stringify({
      ...body,
      Attachments: [
        { Name: 'big', ContentType: 'video/mp4', Content: '@', ContentLength: Math.floor(size * 0.75) },
      ],
    }).split('"@"')
    const bytes = new Uint8Array(head.length + size + tail.length + 2).fill(65)
    bytes.set(new TextEncoder().encode(`${head}"`))
    bytes.set(new TextEncoder().encode(`"${tail}`), head.length + size + 1)
    return bytes
  }

  it('of 45 MB comes in, and of the files their names and sizes', async () => {
    const { world, organization } = await stage()
    const response = await stream(world, withFile(inbound(to(mine(organization))), 45_000_000))
    expect([response.status, await response.json()]).toEqual([200, { status: 'received' }])
    const [rows] = await world.sql(
      q
        .select({ attachments: messages.attachments })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ attachments: [{ filename: 'big', mime_type: 'video/mp4', size: 33_750_000 }] }])
  })

  it('of more than 50 MB is 413, by what it says and by what it is', async () => {
    const { world, organization } = await stage()
    const large = await stream(world, withFile(inbound(to(mine(organization))), 52_500_000))
    expect([large.status, large.headers.get('Content-Type')]).toEqual([413, 'application/problem+json'])
    const claimed = await stream(world, new Uint8Array(10), { 'Content-Length': '60000000' })
    expect(claimed.status).toBe(413)
    expect((await storedIn(world, organization)).said).toEqual([])
  })
})
