import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contact_handles, contacts, conversations, messages } from '#db/schema/conversations'
import { site_tokens } from '#db/schema/inbound'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { organizations } from '#db/schema/organizations'
import { dead_letters, events } from '#db/schema/platform'
import { sends } from '#db/schema/sending'
import { operatorToken } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const said = { message_id: 'm1', from: '+44 20 7946 0000', from_name: 'Ada', body: 'What do 10 seats cost?' }

interface Answer {
  status: string
  message_id?: string
  lead_id?: string
  code?: string
}

async function siteToken(
  world: World,
  organization: TestOrganization,
): Promise<{ id: string; token: string }> {
  const owner = await organization.as('owner')
  const response = await world.request('POST', '/api/v1/site-tokens', {
    token: owner.token,
    body: { name: `Site ${crypto.randomUUID()}` },
  })
  return (await read<{ id: string; token: string }>(response)).body
}

async function stage() {
  const world = createWorld()
  const organization = await world.organization({ reply_mode: 'off' })
  const site = await siteToken(world, organization)
  const post = async (
    channel: string,
    body: unknown,
    token: string | null = site.token,
    base = '/api/v1',
  ) => {
    const response = await world.request('POST', `${base}/webhooks/${channel}`, {
      body,
      ...(token === null ? {} : { token }),
    })
    return { timing: response.headers.get('Server-Timing'), ...(await read<Answer>(response)) }
  }
  const count = async (table: typeof messages | typeof leads | typeof contacts | typeof conversations) =>
    (await world.sql(q.select({ id: table.id }).from(table).where(eq(table.org_id, organization.id))))[0]
      .length
  return { world, organization, site, post, count }
}

describe('POST /webhooks/{channel}', () => {
  it('stores contact, handle, conversation, message, lead, events and audit in one round trip', async () => {
    const { world, organization, site, post } = await stage()
    const { status, body, timing } = await post('whatsapp', { ...said, sent_at: '2026-11-20T10:30:00+01:00' })
    expect({ status, body, timing }).toEqual({
      status: 202,
      body: { status: 'received', message_id: expect.any(String), lead_id: expect.any(String) },
      timing: expect.stringContaining('desc="1"'),
    })
    const org = organization.id
    const [people, handles, written, found, facts, audit] = await world.sql(
      q
        .select({ email: contacts.email, name: contacts.name, phone: contacts.phone })
        .from(contacts)
        .where(eq(contacts.org_id, org)),
      q
        .select({ channel: contact_handles.channel, handle: contact_handles.handle })
        .from(contact_handles)
        .where(eq(contact_handles.org_id, org)),
      q
        .select({
          id: messages.id,
          channel: messages.channel,
          from_email: messages.from_email,
          from_name: messages.from_name,
          text: messages.text,
          sent_at: messages.sent_at,
        })
        .from(messages)
        .where(eq(messages.org_id, org)),
      q
        .select({ id: leads.id, source: leads.source, status: leads.status })
        .from(leads)
        .where(eq(leads.org_id, org)),
      q.select({ type: events.type }).from(events).where(eq(events.org_id, org)).orderBy(events.type),
      q
        .select({ action: audit_logs.action, actor_id: audit_logs.actor_id, entity_id: audit_logs.entity_id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org), eq(audit_logs.entity, 'lead'))),
    )
    expect({ people, handles, written, found, facts, audit }).toEqual({
      people: [{ email: null, name: 'Ada', phone: '+442079460000' }],
      handles: [{ channel: 'whatsapp', handle: '+442079460000' }],
      written: [
        {
          id: body.message_id,
          channel: 'whatsapp',
          from_email: null,
          from_name: 'Ada',
          text: said.body,
          sent_at: new Date('2026-11-20T09:30:00Z'),
        },
      ],
      found: [{ id: body.lead_id, source: 'whatsapp', status: 'received' }],
      facts: [{ type: 'lead.created' }, { type: 'message.ingested' }],
      audit: [{ action: 'lead.created', actor_id: `site-token:${site.id}`, entity_id: body.lead_id }],
    })
  })

  it('is served under /api as well', async () => {
    const { post, site } = await stage()
    expect(await post('sms', said, site.token, '/api')).toMatchObject({
      status: 202,
      body: { status: 'received' },
    })
  })

  it.each(['owner', 'admin', 'manager', 'agent'] as const)('lets in a user of the role %s', async (role) => {
    const { organization, post } = await stage()
    const { token } = await organization.as(role)
    expect(await post('sms', said, token)).toMatchObject({ status: 202, body: { status: 'received' } })
  })

  it('is one message however often it comes, also at once, and another one on another channel', async () => {
    const { post, count } = await stage()
    const first = await post('whatsapp', said)
    const again = await post('whatsapp', { ...said, body: 'Changed on the way' })
    expect(again).toMatchObject({
      status: 202,
      body: { status: 'duplicate', message_id: first.body.message_id },
    })
    const storm = await Promise.all(Array.from({ length: 10 }, () => post('sms', said)))
    expect(storm.map(({ status, body }) => `${status} ${body.status}`).toSorted()).toEqual([
      ...Array.from({ length: 9 }, () => '202 duplicate'),
      '202 received',
    ])
    expect(await count(messages)).toBe(2)
  })

  it('keeps the messages of one person together, whatever the spelling, and opens a new conversation after one that was closed', async () => {
    const { world, organization, post, count } = await stage()
    await post('telegram', { ...said, from: '@AdaByron' })
    await post('telegram', { ...said, message_id: 'm2', from: 'adabyron' })
    expect([
      await count(contacts),
      await count(conversations),
      await count(leads),
      await count(messages),
    ]).toEqual([1, 1, 1, 2])
    await world.sql(
      q.update(conversations).set({ status: 'closed' }).where(eq(conversations.org_id, organization.id)),
    )
    await post('telegram', { ...said, message_id: 'm3', from: 'adabyron' })
    expect([await count(contacts), await count(conversations), await count(leads)]).toEqual([1, 2, 2])
  })

  it('finds the contact of an e-mail by the address that the form knew', async () => {
    const { world, organization, post, count } = await stage()
    await world.request('POST', `/lead/${organization.slug}`, {
      body: { email: 'ada@buyer.test', message: 'Hi' },
    })
    await post('email', {
      ...said,
      from: 'Ada Byron <Ada@Buyer.test>',
      body: 'And delivery?\n\n> earlier words',
    })
    expect([await count(contacts), await count(messages)]).toEqual([1, 2])
    const [rows] = await world.sql(
      q
        .select({ from: messages.from_email, stripped: messages.stripped_text })
        .from(messages)
        .where(and(eq(messages.org_id, organization.id), eq(messages.channel, 'email'))),
    )
    expect(rows).toEqual([{ from: 'ada@buyer.test', stripped: 'And delivery?' }])
  })

  it.each(['1970-01-01T00:00:00Z', '1000-01-01T00:00:00Z', '9998-12-31T23:59:59+14:00'])(
    'keeps %s as what its sender says, and counts from when it came',
    async (sent_at) => {
      const { world, organization, post } = await stage()
      const before = world.clock.now().getTime()
      expect((await post('generic', { ...said, sent_at })).status).toBe(202)
      const [[row]] = await world.sql(
        q
          .select({
            sent_at: messages.sent_at,
            received_at: messages.received_at,
            of_lead: leads.received_at,
          })
          .from(messages)
          .innerJoin(leads, eq(leads.conversation_id, messages.conversation_id))
          .where(eq(messages.org_id, organization.id)),
      )
      expect(row?.sent_at).toEqual(new Date(sent_at))
      expect(row?.received_at).toEqual(row?.of_lead)
      expect(Math.abs((row?.received_at.getTime() ?? 0) - before)).toBeLessThan(10_000)
    },
  )

  it('leaves the answer to a person where there is no address to answer to', async () => {
    const { world, organization, post } = await stage()
    await world.sql(
      q.update(organizations).set({ reply_mode: 'auto' }).where(eq(organizations.id, organization.id)),
    )
    await post('whatsapp', said)
    await world.drain()
    const [drafted, sent, dead] = await world.sql(
      q
        .select({ status: drafts.status, decision: drafts.decision })
        .from(drafts)
        .where(eq(drafts.org_id, organization.id)),
      q
        .select({ id: sends.id })
        .from(sends)
        .where(and(eq(sends.org_id, organization.id), eq(sends.kind, 'reply'))),
      q.select({ id: dead_letters.id }).from(dead_letters).where(eq(dead_letters.org_id, organization.id)),
    )
    expect({ drafted, sent, dead }).toEqual({
      drafted: [{ status: 'ready', decision: 'needs_review' }],
      sent: [],
      dead: [],
    })
  })

  it('names what is wrong: 400, 404, 413, 415', async () => {
    const { world, post, site } = await stage()
    expect(await post('fax', said)).toMatchObject({ status: 404, body: { code: 'not_found' } })
    expect(await post('form', said)).toMatchObject({ status: 404 })
    expect(await post('sms', { ...said, from: 'AMAZON' })).toMatchObject({
      status: 400,
      body: {
        code: 'invalid',
        errors: [{ path: 'from', message: expect.stringContaining('international form') }],
      },
    })
    for (const wrong of [
      { ...said, extra: 1 },
      { ...said, message_id: '' },
      { ...said, message_id: 'a\nb' },
      { ...said, body: undefined },
      { ...said, sent_at: 'yesterday' },
      { ...said, sent_at: '0000-01-01T00:00:00Z' },
      { ...said, sent_at: '9999-12-31T23:59:59-23:59' },
      { ...said, message_id: 'half \ud83d' },
      [],
      null,
    ])
      expect(await post('sms', wrong)).toMatchObject({ status: 400, body: { code: 'invalid' } })
    expect(await post('sms', { ...said, body: 'x'.repeat(1_100_000) })).toMatchObject({ status: 413 })
    const form = await world.request('POST', '/api/v1/webhooks/sms', {
      token: site.token,
      body: 'a=b',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    })
    expect(form.status).toBe(415)
  })

  it('takes an instant with any offset, also one that Postgres would not read', async () => {
    const { world, organization, post } = await stage()
    expect(await post('sms', { ...said, sent_at: '2026-11-20T10:30:00+23:59' })).toMatchObject({
      body: { status: 'received' },
    })
    const [rows] = await world.sql(
      q.select({ at: messages.sent_at }).from(messages).where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ at: new Date('2026-11-19T10:31:00Z') }])
  })

  it('takes hostile text as it is, without NUL', async () => {
    const { world, organization, post } = await stage()
    const body = "a\u0000b \ud800 '); drop table leads;-- <script>"
    expect(
      (await post('webchat', { ...said, from: 'v1', from_name: 'x\u0000\r\nBcc: y', body })).status,
    ).toBe(202)
    const [rows] = await world.sql(
      q
        .select({ text: messages.text, name: messages.from_name })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ text: "ab  '); drop table leads;-- <script>", name: 'x Bcc: y' }])
  })

  it('answers 401 to nobody, to nonsense, to the operator, to a forged and to a revoked token, and stores nothing', async () => {
    const { world, organization, post, site, count } = await stage()
    const forged = `${site.token.slice(0, -1)}${site.token.endsWith('A') ? 'B' : 'A'}`
    await world.sql(
      q
        .update(site_tokens)
        .set({ revoked_at: new Date(Date.now() - 60_000) })
        .where(eq(site_tokens.org_id, organization.id)),
    )
    for (const token of [null, 'nonsense', 'a.b.c', await operatorToken(world), forged, site.token])
      expect(await post('sms', said, token)).toMatchObject({ status: 401, body: { code: 'unauthenticated' } })
    expect(await post('sms', '{"broken":', 'nonsense')).toMatchObject({ status: 401 })
    expect(await count(messages)).toBe(0)
  })

  it('lets a token that nothing proves be tried so often from one address, and then costs the database nothing', async () => {
    const other = createWorld({ ENCRYPTION_KEY: 'ee'.repeat(32) })
    const { token } = await siteToken(other, await other.organization({ reply_mode: 'off' }))
    const world = createWorld({ RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: '2' })
    const headers = { 'CF-Connecting-IP': `2001:db8:${crypto.randomUUID().slice(0, 4)}:8::1` }
    const answers = []
    for (const message_id of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const body = { ...said, message_id }
      const response = await world.request('POST', '/api/v1/webhooks/sms', { token, body, headers })
      answers.push([response.status, response.headers.get('Server-Timing')?.includes('desc="0"')])
    }
    // A minute may turn in between.
    expect(answers.slice(0, 2)).toEqual([
      [202, false],
      [202, false],
    ])
    expect(answers.at(-1)).toEqual([429, true])
  })

  it('keeps a message while the database is down, once, and stores it with its time', async () => {
    const { world, organization, site, post, count } = await stage()
    const down = createWorld({ NEON_GATEWAY_URL: 'http://127.0.0.1:1' })
    const at = new Date(world.clock.now().getTime() - 3600_000)
    down.clock.set(at)
    for (const text of ['What do 10 seats cost?', 'Changed on the way']) {
      const body = { ...said, body: text }
      const response = await down.request('POST', '/api/v1/webhooks/sms', { token: site.token, body })
      expect(await read(response)).toEqual({ status: 202, body: { status: 'queued' } })
    }
    const flushed = await world.ctx().ingest(organization.id).flush(world.clock.now())
    expect(flushed).toMatchObject({ stored: 1, dead: 0, waiting: 0 })
    expect((await post('sms', said)).body.status).toBe('duplicate')
    expect([await count(messages), await count(leads)]).toEqual([1, 1])
    const [[row]] = await world.sql(
      q
        .select({ text: messages.text, received_at: messages.received_at })
        .from(messages)
        .where(eq(messages.org_id, organization.id)),
    )
    expect(row?.text).toBe(said.body)
    expect(Math.abs((row?.received_at.getTime() ?? 0) - at.getTime())).toBeLessThan(60_000)
  })

  it("writes into its caller's organization alone", async () => {
    const { world, post, count } = await stage()
    const other = await world.organization({ reply_mode: 'off' })
    const { token } = await siteToken(world, other)
    await post('sms', said, token)
    expect(await count(messages)).toBe(0)
    expect((await post('sms', said)).body.status).toBe('received')
  })
})
