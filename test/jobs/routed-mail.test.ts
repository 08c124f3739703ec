// Mail that Cloudflare Email Routing hands to `email()`: stored once, or kept where the operator sees it, or refused with a reason.
import { createExecutionContext } from 'cloudflare:test'
import { eq } from 'drizzle-orm'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { sends, suppressions } from '#db/schema/sending'
import { receiveEmail } from '#features/inbound'
import { writeMail, writeParts } from '#test/mail-fixture'
import { addressOf, deliver, DOMAIN, flushUnrouted, storedIn, streamOf, unrouted } from '#test/routed'
import { arrangeReply, insertMailbox } from '#test/sends'
import { createWorld, type TestOrganization, type World } from '#test/world'
import worker from '../../src/index'

const NOWHERE = { NEON_GATEWAY_URL: 'http://127.0.0.1:1' }
const settings = { INBOUND_EMAIL_DOMAIN: DOMAIN, FROM_EMAIL: 'inlet@inlet.test' }
const mine = (organization: TestOrganization) => `${organization.slug}@${DOMAIN}`
const unique = () => `<${crypto.randomUUID()}@buyer.test>`

async function stage(given: Parameters<World['organization']>[0] = { reply_mode: 'draft' }) {
  const world = createWorld(settings)
  return { world, organization: await world.organization(given) }
}

/** A mail of ours to Ada that has left, and the address that her answer comes to. */
async function written(world: World, organization: TestOrganization) {
  const reply = await arrangeReply(world, organization, { email: 'ada@buyer.test' })
  const [[send]] = await world.sql(
    q
      .update(sends)
      .set({ state: 'sent', sent_at: world.clock.now() })
      .where(eq(sends.id, reply.send_id))
      .returning({ message_id: sends.message_id }),
  )
  return { ...reply, message_id: send?.message_id ?? '', address: await addressOf(world, reply.send_id) }
}

describe('a mail to <slug>@', () => {
  it('makes contact, conversation, message, lead, events and audit in one round trip', async () => {
    const { world, organization } = await stage()
    const ctx = world.ctx({ actor: { type: 'system', name: 'email' } })
    const raw = writeMail({ 'Message-ID': unique() })
    await receiveEmail(ctx, {
      from: 'ada@buyer.test',
      to: mine(organization),
      raw: streamOf(raw),
      rawSize: raw.length,
      setReject: () => undefined,
    })
    expect(ctx.meter.round_trips).toBe(1)
    const { said, leads, conversations } = await storedIn(world, organization)
    expect(said).toMatchObject([
      {
        from: 'ada@buyer.test',
        text: 'How much are ten seats?',
        direction: 'inbound',
        classification: 'human',
      },
    ])
    expect(leads).toEqual([{ id: expect.any(String), source: 'email' }])
    expect(conversations).toMatchObject([{ status: 'open' }])
    const [facts, audit] = await world.sql(
      q
        .select({ type: events.type })
        .from(events)
        .where(eq(events.org_id, organization.id))
        .orderBy(events.type),
      q
        .select({ action: audit_logs.action, actor_id: audit_logs.actor_id })
        .from(audit_logs)
        .where(eq(audit_logs.org_id, organization.id)),
    )
    expect({ facts, audit }).toEqual({
      facts: [{ type: 'draft.requested' }, { type: 'lead.created' }, { type: 'message.ingested' }],
      audit: [{ action: 'lead.created', actor_id: 'email' }],
    })
  })

  it('comes in through the exported handler, in any case of letters', async () => {
    const { world, organization } = await stage()
    const raw = writeMail({ 'Message-ID': unique() })
    const message = {
      from: 'ada@buyer.test',
      to: `${organization.slug.toUpperCase()}@elsewhere.test`,
      headers: new Headers(),
      raw: streamOf(raw),
      rawSize: raw.length,
      setReject: (reason: string) => {
        throw new Error(reason)
      },
      canBeForwarded: false,
      forward: () => Promise.reject(new Error('not ours to forward')),
      reply: () => Promise.reject(new Error('not ours to answer')),
    }
    await worker.email(message, createWorld().env, createExecutionContext())
    expect((await storedIn(world, organization)).leads).toHaveLength(1)
  })

  it('is one message however often it comes, also at once and to two addresses of one organization', async () => {
    const { world, organization } = await stage()
    const { address } = await written(world, organization)
    const raw = writeMail({ 'Message-ID': unique() })
    await Promise.all(Array.from({ length: 5 }, () => deliver(world, { to: mine(organization), raw })))
    await deliver(world, { to: address, raw })
    expect(
      (await storedIn(world, organization)).said.filter(({ text }) => text.startsWith('How much')),
    ).toHaveLength(1)
  })

  it('is told from another mail under the same Message-ID, and without one by its bytes', async () => {
    const { world, organization } = await stage()
    const same = unique()
    const to = mine(organization)
    for (const Subject of ['One', 'Two'])
      await deliver(world, { to, raw: writeMail({ 'Message-ID': same, Subject }) })
    for (const body of ['three', 'four', 'four'])
      await deliver(world, { to, raw: writeMail({ 'Message-ID': '' }, body) })
    expect((await storedIn(world, organization)).said).toHaveLength(4)
  })

  it('begins something new, also of somebody whom we wrote to lately, unless it answers', async () => {
    const { world, organization } = await stage()
    const { conversation_id } = await written(world, organization)
    const to = mine(organization)
    await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), Subject: 'Another matter' }) })
    await deliver(world, {
      to,
      raw: writeMail({ 'Message-ID': unique(), Subject: 'Re: Pricing?' }, 'Yes, please do'),
    })
    const { said } = await storedIn(world, organization)
    const places = said.map((one) => [one.text, one.conversation_id === conversation_id])
    expect(places).toContainEqual(['How much are ten seats?', false])
    expect(places).toContainEqual(['Yes, please do', true])
  })

  it('is refused for a name that nobody has, once the database has said so, and for a domain that is not ours', async () => {
    const { world } = await stage()
    const raw = writeMail()
    expect(await deliver(world, { to: `no-such-company@${DOMAIN}`, raw })).toBe(
      'There is nobody of this name here',
    )
    expect(await deliver(world, { to: 'demo@elsewhere.test', raw })).toBe('This address takes no mail')
    expect(await unrouted(world)).toEqual([])
  })

  it('is refused above 25 MB, by what it says and by what it is', async () => {
    const { world, organization } = await stage()
    const to = mine(organization)
    const refusal = 'The message is larger than 25 MB'
    expect(await deliver(world, { to, raw: writeMail(), raw_size: 26_214_401 })).toBe(refusal)
    expect(await deliver(world, { to, raw: new Uint8Array(26_214_401), raw_size: 10 })).toBe(refusal)
    expect((await storedIn(world, organization)).said).toEqual([])
  })

  it('comes in with 24 MB of files, of which names and sizes are kept', async () => {
    const { world, organization } = await stage()
    const file = `${'QUJD'.repeat(19)}\n`.repeat(310_000)
    const raw = writeParts(
      'mixed',
      [
        'Content-Type: text/plain\n\nSee the plan',
        `Content-Type: application/pdf; name=plan.pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n${file}`,
      ],
      { 'Message-ID': unique() },
    )
    expect(raw.length).toBeGreaterThan(24_000_000)
    expect(await deliver(world, { to: mine(organization), raw })).toBeNull()
    const [rows] = await world.sql(
      q
        .select({ text: messages.text, attachments: messages.attachments })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([
      {
        text: 'See the plan',
        attachments: [
          {
            filename: 'plan.pdf',
            mime_type: 'application/pdf',
            size: expect.toSatisfy((size: number) => size > 17_000_000),
          },
        ],
      },
    ])
  })

  it('makes no lead and gets no draft when it is automatic, from a list, a bounce, or our own', async () => {
    const { world, organization } = await stage({ reply_mode: 'draft' })
    await insertMailbox(world, organization, { send_as: ['desk@shop.test'] })
    const to = mine(organization)
    const machines: [Record<string, string>, string][] = [
      [{ 'Auto-Submitted': 'auto-replied' }, 'automated'],
      [{ 'List-Id': '<news.buyer.test>' }, 'list'],
      [{ From: 'MAILER-DAEMON@buyer.test', Subject: 'Undelivered Mail Returned to Sender' }, 'bounce'],
      // The welcome mail of a lead who gave our own address: the loop ends here.
      [{ From: 'Inlet <inlet@inlet.test>' }, 'own'],
      [{ From: 'Sales@Shop.test' }, 'own'],
      [{ From: 'desk@shop.test' }, 'own'],
    ]
    for (const [headers, classification] of machines) {
      await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), ...headers }) })
      const { said } = await storedIn(world, organization)
      expect(said.at(-1)).toMatchObject({ classification })
    }
    const { leads, conversations } = await storedIn(world, organization)
    expect({ leads, open: conversations.filter(({ status }) => status === 'open') }).toEqual({
      leads: [],
      open: [],
    })
    const [drafted] = await world.sql(
      q.select({ id: drafts.id }).from(drafts).where(eq(drafts.org_id, organization.id)),
    )
    expect(drafted).toEqual([])
  })

  it('is its envelope’s when its From is nobody’s', async () => {
    const { world, organization } = await stage()
    const raw = writeMail({ 'Message-ID': unique(), From: 'undisclosed' })
    await deliver(world, { from: 'Carl@buyer.test', to: mine(organization), raw })
    const { said, leads } = await storedIn(world, organization)
    expect([said.map(({ from }) => from), leads.length]).toEqual([['carl@buyer.test'], 1])
  })

  it('is automatic when its envelope has no sender, whatever its headers say', async () => {
    const { world, organization } = await stage()
    await deliver(world, {
      from: '',
      to: mine(organization),
      raw: writeMail({ 'Message-ID': unique(), 'Return-Path': '' }),
    })
    expect((await storedIn(world, organization)).said).toMatchObject([{ classification: 'automated' }])
  })
})

describe('a mail to reply+<token>@', () => {
  it('lands in the conversation of its send, with no header of ours left', async () => {
    const { world, organization } = await stage()
    const { address, conversation_id, contact_id, lead_id } = await written(world, organization)
    const raw = writeMail({ 'Message-ID': unique(), Subject: 'something else' }, 'Agreed')
    expect(await deliver(world, { to: address.toUpperCase(), raw })).toBeNull()
    const { said, leads, conversations } = await storedIn(world, organization)
    expect(said.at(-1)).toMatchObject({ text: 'Agreed', conversation_id, classification: 'human' })
    expect(said.at(-1)?.verdicts).not.toContainEqual(expect.objectContaining({ rule: 'reply_sender' }))
    expect(leads.map(({ id }) => id)).toEqual([lead_id])
    expect(conversations).toEqual([{ id: conversation_id, status: 'open', contact_id }])
  })

  it.each([
    ['another person of the same company', 'bob@buyer.test', true],
    ['a stranger', 'eve@other.test', false],
  ])('of %s is stored, and its verdicts say whether it counts as the contact’s', async (_, from, counts) => {
    const { world, organization } = await stage({ reply_mode: 'draft' })
    const { address, conversation_id, contact_id } = await written(world, organization)
    await deliver(world, {
      from,
      to: address,
      raw: writeMail({ 'Message-ID': unique(), From: from }, 'I take over'),
    })
    const { said, conversations } = await storedIn(world, organization)
    const last = said.at(-1)
    expect(last).toMatchObject({ from, conversation_id })
    const doubt = { rule: 'reply_sender', passed: false, detail: expect.any(String) }
    for (const list of [last?.verdicts, last?.no_auto_reply])
      expect(list?.some(({ rule }) => rule === doubt.rule)).toBe(!counts)
    // The conversation stays with whom it was, and the stranger is a contact of their own.
    expect(conversations.find(({ id }) => id === conversation_id)?.contact_id).toBe(contact_id)
    const [facts] = await world.sql(
      q
        .select({ type: events.type, payload: events.payload })
        .from(events)
        .where(eq(events.org_id, organization.id)),
    )
    const [people] = await world.sql(
      q
        .select({ id: contacts.id, email: contacts.email_norm })
        .from(contacts)
        .where(eq(contacts.org_id, organization.id)),
    )
    const writer = people.find(({ email }) => email === from)?.id
    expect(
      facts.filter(({ type }) => type === 'message.ingested').map(({ payload }) => payload['contact_id']),
    ).toContain(writer)
  })

  it('of another address at a public provider is a stranger’s', async () => {
    const { world, organization } = await stage()
    const reply = await arrangeReply(world, organization, { email: 'ada@gmail.com' })
    const to = await addressOf(world, reply.send_id)
    await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), From: 'eve@gmail.com' }) })
    expect((await storedIn(world, organization)).said.at(-1)?.verdicts).toContainEqual(
      expect.objectContaining({ rule: 'reply_sender', passed: false }),
    )
  })

  it('that is a bounce marks the send, though it quotes nothing of ours, and suppresses the address', async () => {
    const { world, organization } = await stage()
    const { address, send_id } = await written(world, organization)
    const raw = writeParts(
      'report; report-type=delivery-status',
      [
        'Content-Type: text/plain\n\nYour message could not be delivered.',
        'Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.buyer.test\n\nFinal-Recipient: rfc822; ada@buyer.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user',
      ],
      { From: 'MAILER-DAEMON@buyer.test', Subject: 'Undelivered Mail', 'Message-ID': unique() },
    )
    await deliver(world, { from: '', to: address, raw })
    const [[send], suppressed] = await world.sql(
      q
        .select({ bounce: sends.bounce, bounced_at: sends.bounced_at })
        .from(sends)
        .where(eq(sends.id, send_id)),
      q
        .select({ value: suppressions.value_norm, reason: suppressions.reason })
        .from(suppressions)
        .where(eq(suppressions.org_id, organization.id)),
    )
    expect(send).toEqual({
      bounce: { hard: true, status: '5.1.1', detail: expect.any(String) },
      bounced_at: expect.any(Date),
    })
    expect(suppressed).toEqual([{ value: 'ada@buyer.test', reason: 'hard_bounce' }])
  })

  it('whose token is spoilt is found by what it answers, then by its sender, else refused', async () => {
    const { world, organization } = await stage()
    const { message_id, conversation_id } = await written(world, organization)
    const to = `reply+spoilt@${DOMAIN}`
    const by = (headers: Record<string, string>, text: string) =>
      deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), ...headers }, text) })
    expect(
      await by({ From: 'stranger@other.test', References: `<x@y.test> ${message_id}` }, 'By reference'),
    ).toBeNull()
    expect(await by({ From: 'nobody-knows@other.test' }, 'Lost')).toBe('There is nobody of this name here')
    const { said } = await storedIn(world, organization)
    expect(said.at(-1)).toMatchObject({ text: 'By reference', conversation_id })
  })

  it('whose send is gone is kept for the operator, who sends it where it belongs', async () => {
    const { world, organization } = await stage()
    const to = await addressOf(world, crypto.randomUUID())
    const raw = writeMail({ 'Message-ID': unique(), From: 'late@other.test' }, 'Years later')
    expect(await deliver(world, { to, raw })).toBeNull()
    const kept = (await unrouted(world)).filter(({ code }) => code === 'unknown_organization')
    expect(kept).toHaveLength(1)
    const buffer = world.ctx().ingest('unrouted')
    expect(
      await buffer.replay(kept[0]?.id ?? '', { destination: { org_id: organization.id } }, world.clock.now()),
    ).toEqual({ outcome: 'stored' })
    expect((await storedIn(world, organization)).said).toMatchObject([
      { text: 'Years later', from: 'late@other.test' },
    ])
  })
})

describe('while the database is down, a mail', () => {
  it('is kept, whomever it is for, and stored once with its time when the database is back', async () => {
    const { world, organization } = await stage()
    const reply = await written(world, organization)
    const down = createWorld({ ...settings, ...NOWHERE })
    const at = new Date(world.clock.now().getTime() - 3600_000)
    down.clock.set(at)
    const first = writeMail({ 'Message-ID': unique() }, 'First')
    expect(await deliver(down, { to: mine(organization), raw: first })).toBeNull()
    expect(await deliver(down, { to: mine(organization), raw: first })).toBeNull()
    expect(
      await deliver(down, { to: reply.address, raw: writeMail({ 'Message-ID': unique() }, 'Second') }),
    ).toBeNull()
    expect(await deliver(down, { to: `no-such-company@${DOMAIN}`, raw: first })).toBeNull()
    expect(await flushUnrouted(world)).toMatchObject({ stored: 2, dead: 1, waiting: 0, reached: true })
    const { said } = await storedIn(world, organization)
    expect(
      said
        .filter(({ text }) => ['First', 'Second'].includes(text))
        .map((one) => [
          one.text,
          one.conversation_id === reply.conversation_id,
          Math.abs(one.received_at.getTime() - at.getTime()) < 60_000,
        ]),
    ).toEqual([
      ['First', false, true],
      ['Second', true, true],
    ])
    // The sender's server did not hear our answer and comes again.
    expect(await deliver(world, { to: mine(organization), raw: first })).toBeNull()
    expect((await storedIn(world, organization)).said.filter(({ text }) => text === 'First')).toHaveLength(1)
  })

  it('is the sender’s server’s to bring again when nothing can keep it', async () => {
    const { organization } = await stage()
    const down = createWorld({ ...settings, ...NOWHERE })
    const broken = {
      get: () => {
        throw new Error('unreachable')
      },
      idFromName: () => 'x',
    }
    Object.assign(down.env, {
      INGEST_BUFFER: broken,
      INGEST_QUEUE: { sendBatch: async () => Promise.reject(new Error('full')) },
    })
    await expect(deliver(down, { to: mine(organization), raw: writeMail() })).rejects.toThrow(
      'Please try again',
    )
  })
})

describe('a mail that cannot be read', () => {
  it.each([
    ['nothing', new Uint8Array(), 'mail_empty'],
    ['no header', new TextEncoder().encode('\r\n\r\njust words'), 'mail_no_headers'],
  ])('is kept as it is: %s', async (_, raw, code) => {
    const { world, organization } = await stage()
    expect(await deliver(world, { to: mine(organization), raw })).toBeNull()
    expect((await unrouted(world)).filter((item) => item.code === code)).toEqual([
      { id: expect.any(String), state: 'dead', code },
    ])
    expect((await storedIn(world, organization)).said).toEqual([])
  })

  it('is tried again in full when it is replayed, and refused for the same reason', async () => {
    const { world, organization } = await stage()
    await deliver(world, {
      to: mine(organization),
      raw: new TextEncoder().encode(`\r\n\r\n${crypto.randomUUID()}`),
    })
    const [item] = (await unrouted(world)).filter(({ code }) => code === 'mail_no_headers')
    const buffer = world.ctx().ingest('unrouted')
    expect(await buffer.replay(item?.id ?? '', {}, world.clock.now())).toEqual({
      outcome: 'dead',
      error: { code: 'mail_no_headers', where: null },
    })
    const raw = Buffer.from(writeMail({ 'Message-ID': unique() })).toString('base64url')
    expect(await buffer.replay(item?.id ?? '', { patch: { raw } }, world.clock.now())).toEqual({
      outcome: 'stored',
    })
    expect((await storedIn(world, organization)).said).toMatchObject([{ text: 'How much are ten seats?' }])
  })
})

describe('a hostile mail', () => {
  const header = fc.constantFrom(
    'From',
    'To',
    'Subject',
    'Date',
    'Message-ID',
    'References',
    'In-Reply-To',
    'Content-Type',
    'Reply-To',
    'Auto-Submitted',
    'X-Inlet-Send-Id',
    'Return-Path',
  )
  const value = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom(
      '=?utf-8?B?8J+YgA==?=',
      '=?utf-7?Q?=00?=',
      '<a@b>\r\n <c@d>',
      '"a\r\nBcc: eve@other.test" <ada@buyer.test>',
      'multipart/mixed; boundary=""',
      'multipart/mixed; boundary=b',
      'message/rfc822',
      'text/html; charset=x-unknown',
      'Thu, 99 Foo 0000',
      '<>',
      'Group: a@b.test, c@d.test;',
      '\u0000',
    ),
  )
  const nasty = fc.tuple(
    fc.array(fc.tuple(header, value), { maxLength: 12 }),
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2000 }),
      fc.constantFrom(
        '--b\r\n\r\n'.repeat(500),
        '<div>'.repeat(5000),
        '>'.repeat(20_000),
        `=${'=\n'.repeat(3000)}`,
        '\u0000'.repeat(100),
      ),
    ),
  )

  it('never ends in an error, and is a message or an item that the operator sees', {
    timeout: 60_000,
  }, async () => {
    const { world, organization } = await stage()
    const before = (await unrouted(world)).length
    let mails = 0
    await fc.assert(
      fc.asyncProperty(nasty, async ([headers, body]) => {
        // Told apart by its bytes where it has no usable Message-ID.
        const text = `${headers.map(([name, held]) => `${name}: ${held}`).join('\r\n')}\r\nX-Run: ${++mails}\r\n\r\n${body}`
        expect(
          await deliver(world, { to: mine(organization), raw: new TextEncoder().encode(text) }),
        ).toBeNull()
        const { said } = await storedIn(world, organization)
        const dead = (await unrouted(world)).length - before
        expect(said.length + dead).toBe(mails)
      }),
      { numRuns: 60 },
    )
  })

  it('to ten thousand people is stored without their list, and one nested 500 deep by its head', async () => {
    const { world, organization } = await stage()
    const many = Array.from({ length: 10_000 }, (_, i) => `p${i}@buyer.test`).join(',\r\n ')
    const to = mine(organization)
    expect(await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), To: many }) })).toBeNull()
    const deep = Array.from(
      { length: 500 },
      (_, i) => `Content-Type: multipart/mixed; boundary=n${i}\r\n\r\n--n${i}\r\n`,
    ).join('')
    const raw = writeMail(
      { 'Message-ID': unique(), 'MIME-Version': '1.0', 'Content-Type': 'multipart/mixed; boundary=top' },
      `--top\r\n${deep}\r\n\r\nx`,
    )
    expect(await deliver(world, { to, raw })).toBeNull()
    const [rows] = await world.sql(
      q.select({ to: messages.to }).from(messages).where(eq(messages.org_id, organization.id)),
    )
    expect(rows.map((row) => row.to.length).toSorted((a, b) => a - b)).toEqual([1, 200])
  })
})

it('keeps two organizations apart: their names, their references, and one that both wrote to', async () => {
  const { world, organization } = await stage()
  const other = await world.organization({ reply_mode: 'draft' })
  const [ours, theirs] = [await written(world, organization), await written(world, other)]
  const to = `reply+spoilt@${DOMAIN}`
  const refused = 'There is nobody of this name here'
  const both = `${ours.message_id} ${theirs.message_id}`
  expect(await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), References: both }) })).toBe(
    refused,
  )
  expect(
    await deliver(world, { to, raw: writeMail({ 'Message-ID': unique(), From: 'ada@buyer.test' }) }),
  ).toBe(refused)
  const count = async (one: TestOrganization) => (await storedIn(world, one)).said.length
  expect([await count(organization), await count(other)]).toEqual([1, 1])
  await deliver(world, {
    to: mine(other),
    raw: writeMail({ 'Message-ID': unique(), References: ours.message_id }),
  })
  expect([await count(organization), await count(other)]).toEqual([1, 2])
  await world.sql(q.delete(organizations).where(eq(organizations.id, other.id)))
  expect(await deliver(world, { to: mine(other), raw: writeMail() })).toBe(refused)
})
