import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { events } from '#db/schema/platform'
import { sends } from '#db/schema/sending'
import { createWorld, read, type World } from '#test/world'

const lead = { email: 'Ada@Buyer.test', name: 'Ada', company: 'Buyer Ltd', message: 'What do 10 seats cost?' }

interface Received {
  leadId: string
  status: string
  timestamp: string
}

const post = async (
  world: World,
  slug: string,
  body: unknown = lead,
  headers: Record<string, string> = {},
) => {
  const response = await world.request('POST', `/lead/${slug}`, { body, headers })
  return { response, ...(await read<Received>(response.clone())) }
}

describe('POST /lead/{company_slug}', () => {
  it('stores contact, message, lead, events and audit in one round trip', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'draft' })
    const { response, status, body } = await post(world, org.slug)
    expect({ status, body, timing: response.headers.get('Server-Timing') }).toEqual({
      status: 201,
      body: {
        leadId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timestamp: expect.any(String),
        status: 'received',
      },
      timing: expect.stringContaining('desc="1"'),
    })
    const [people, said, found, facts, audit] = await world.sql(
      q
        .select({ email_norm: contacts.email_norm, name: contacts.name, company: contacts.company })
        .from(contacts)
        .where(eq(contacts.org_id, org.id)),
      q
        .select({ channel: messages.channel, text: messages.text })
        .from(messages)
        .where(eq(messages.org_id, org.id)),
      q
        .select({ id: leads.id, source: leads.source, status: leads.status })
        .from(leads)
        .where(eq(leads.org_id, org.id)),
      q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)).orderBy(events.type),
      q
        .select({ action: audit_logs.action, entity_id: audit_logs.entity_id })
        .from(audit_logs)
        .where(eq(audit_logs.org_id, org.id)),
    )
    expect({ people, said, found, facts, audit }).toEqual({
      people: [{ email_norm: 'ada@buyer.test', name: 'Ada', company: 'Buyer Ltd' }],
      said: [{ channel: 'form', text: 'What do 10 seats cost?' }],
      found: [{ id: body.leadId, source: 'form', status: 'received' }],
      facts: [{ type: 'draft.requested' }, { type: 'lead.created' }, { type: 'message.ingested' }],
      audit: [{ action: 'lead.created', entity_id: body.leadId }],
    })
  })

  it('takes a form as a browser posts it', async () => {
    const world = createWorld()
    const org = await world.organization()
    const form = new URLSearchParams({ email: 'bob@buyer.test', message: 'Hi' }).toString()
    const { status } = await post(world, org.slug, form, {
      'Content-Type': 'application/x-www-form-urlencoded',
    })
    expect(status).toBe(201)
  })

  it('is one lead however often it is posted: doubled, in parallel, or under one key', async () => {
    const world = createWorld()
    const org = await world.organization()
    const first = await post(world, org.slug)
    const again = await post(world, org.slug)
    expect({
      status: again.status,
      id: again.body.leadId,
      replayed: again.response.headers.get('Idempotent-Replayed'),
    }).toEqual({ status: 200, id: first.body.leadId, replayed: 'true' })
    const parallel = await Promise.all(
      Array.from({ length: 10 }, () =>
        post(world, org.slug, { ...lead, message: 'at once' }, { 'Idempotency-Key': 'k1' }),
      ),
    )
    expect(new Set(parallel.map(({ body }) => body.leadId)).size).toBe(1)
    expect(parallel.filter(({ status }) => status === 201)).toHaveLength(1)
    const [rows] = await world.sql(q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, org.id)))
    expect(rows).toHaveLength(2)
  })

  it('refuses the same key with another body', async () => {
    const world = createWorld()
    const org = await world.organization()
    await post(world, org.slug, lead, { 'Idempotency-Key': 'k' })
    expect(
      await post(world, org.slug, { ...lead, message: 'other' }, { 'Idempotency-Key': 'k' }),
    ).toMatchObject({ status: 422, body: { code: 'unprocessable' } })
  })

  it('names what is wrong', async () => {
    const world = createWorld()
    const org = await world.organization()
    expect(await post(world, 'no-such-company')).toMatchObject({ status: 404, body: { code: 'not_found' } })
    expect(await post(world, org.slug, { ...lead, email: 'not an address' })).toMatchObject({
      status: 400,
      body: { code: 'invalid', errors: [{ path: 'email' }] },
    })
    expect(await post(world, org.slug, { message: 'no address' })).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'email' }] },
    })
    expect(await post(world, org.slug, '{"email":')).toMatchObject({ status: 400, body: { code: 'invalid' } })
    expect(await post(world, org.slug, { ...lead, message: 'x'.repeat(5_000_000) })).toMatchObject({
      status: 413,
      body: { code: 'too_large' },
    })
    expect(await post(world, org.slug, 'email=a@b.test', { 'Content-Type': 'text/plain' })).toMatchObject({
      status: 415,
    })
  })

  it('stores hostile text as it is, without NUL', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { status } = await post(world, org.slug, {
      email: 'eve@buyer.test',
      name: "Robert'); drop table leads;--",
      message: 'a\u0000b \ud800 <script>',
    })
    expect(status).toBe(201)
    const [rows] = await world.sql(
      q.select({ text: messages.text }).from(messages).where(eq(messages.org_id, org.id)),
    )
    expect(rows).toEqual([{ text: 'ab  <script>' }])
  })

  it('limits by address with Retry-After, and stores nothing beyond', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_PER_MINUTE: '3' })
    const org = await world.organization()
    const ip = { 'CF-Connecting-IP': `203.0.113.${Math.floor(Math.random() * 250)}` }
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) {
      const { status, response } = await post(world, org.slug, { ...lead, message: `m${i}` }, ip)
      statuses.push(status)
      if (status === 429) expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0)
    }
    // A minute may turn in between.
    expect(statuses.filter((status) => status === 201).length).toBeLessThanOrEqual(4)
    expect(statuses.at(-1)).toBe(429)
  })

  it('is answered through the mailbox or the outbox, once per address in a day, with nothing of what was written', async () => {
    const world = createWorld()
    const org = await world.organization()
    await post(world, org.slug, { ...lead, message: 'Please send me your price list for widgets' })
    await world.drain()
    await post(world, org.slug, { ...lead, message: 'And another question about delivery' })
    await world.drain()
    const [sent, written] = await world.sql(
      q
        .select({
          state: sends.state,
          transport: sends.transport,
          text: sends.text,
          to: sends.to_email,
          subject: sends.subject,
        })
        .from(sends)
        .where(and(eq(sends.org_id, org.id), eq(sends.kind, 'reply'))),
      q
        .select({ decision: drafts.decision, gate: drafts.gate })
        .from(drafts)
        .where(eq(drafts.org_id, org.id))
        .orderBy(drafts.created_at),
    )
    expect(sent).toEqual([
      {
        state: 'sent',
        transport: 'outbox',
        to: 'ada@buyer.test',
        subject: 'Your inquiry',
        text: expect.not.stringContaining('widgets'),
      },
    ])
    expect(written.map(({ decision }) => decision)).toEqual(['auto_send', 'needs_review'])
    const [audit] = await world.sql(
      q
        .select({ action: audit_logs.action })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'send'))),
    )
    expect(audit.length).toBeGreaterThan(0)
  })

  it('takes two inquiries that differ only in a custom field for two', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const first = await post(world, org.slug, { ...lead, custom: { room: 'blue', guests: 2 } })
    const second = await post(world, org.slug, { ...lead, custom: { room: 'red', guests: 2 } })
    const again = await post(world, org.slug, { custom: { guests: 2, room: 'blue' }, ...lead })
    expect([first.status, second.status, again.status]).toEqual([201, 201, 200])
    expect([first.body.leadId === second.body.leadId, first.body.leadId === again.body.leadId]).toEqual([
      false,
      true,
    ])
    const keyed = { 'Idempotency-Key': 'one' }
    expect((await post(world, org.slug, { ...lead, custom: { room: 'blue' } }, keyed)).status).toBe(201)
    expect((await post(world, org.slug, { ...lead, custom: { room: 'red' } }, keyed)).status).toBe(422)
  })

  it.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['2001:db8::1', '2001:db8:0::/48'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['nonsense', null],
  ])('keeps of the address %s no more than %s', async (ip, kept) => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    await post(world, org.slug, lead, { 'CF-Connecting-IP': ip })
    const [rows] = await world.sql(
      q.select({ ip: audit_logs.ip }).from(audit_logs).where(eq(audit_logs.org_id, org.id)),
    )
    expect(rows).toEqual([{ ip: kept }])
  })

  it('counts a whole IPv6 network as one sender, and does not ask the database about one that is over', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_PER_MINUTE: '2' })
    const org = await world.organization({ reply_mode: 'off' })
    const network = `2001:db8:${Math.floor(Math.random() * 65_535).toString(16)}:1`
    const from = async (host: number) => {
      const headers = { 'CF-Connecting-IP': `${network}::${host}` }
      const { response } = await post(world, org.slug, { ...lead, message: `message ${host}` }, headers)
      return [response.status, /desc="(\d+)"/.exec(response.headers.get('Server-Timing') ?? '')?.[1]]
    }
    expect([await from(1), await from(2), await from(3), await from(4)]).toEqual([
      [201, '1'],
      [201, '1'],
      [429, '1'],
      [429, '0'],
    ])
  })

  it('writes nothing for a key that came with another body before', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const keyed = { 'Idempotency-Key': 'once' }
    await post(world, org.slug, lead, keyed)
    const eve = { ...lead, email: 'eve@other.test' }
    expect((await post(world, org.slug, eve, keyed)).status).toBe(422)
    const [people] = await world.sql(
      q.select({ email: contacts.email_norm }).from(contacts).where(eq(contacts.org_id, org.id)),
    )
    expect(people).toEqual([{ email: 'ada@buyer.test' }])
  })

  it('makes one lead of the same post ten times at once, and refuses another body under its key', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const keyed = { 'Idempotency-Key': 'storm' }
    const bodies = Array.from({ length: 10 }, (_, i) => (i % 2 ? lead : { ...lead, email: 'eve@other.test' }))
    const answers = await Promise.all(bodies.map((body) => post(world, org.slug, body, keyed)))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 200, 200, 200, 201, 422, 422, 422, 422, 422,
    ])
    const [found] = await world.sql(q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, org.id)))
    expect(found).toHaveLength(1)
  })
})
