import { and, eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { comments, contact_handles, contacts, messages } from '#db/schema/conversations'
import { sends, suppressions } from '#db/schema/sending'
import { arrive } from '#test/arrivals'
import { describeSecurity } from '#test/security'
import { arrangeReply } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const world = createWorld()
let organization: TestOrganization
let token: string
let stranger: string

beforeAll(async () => {
  organization = await world.organization()
  token = (await organization.as('agent')).token
  stranger = (await (await world.organization()).as('owner')).token
})

describe('contacts', () => {
  it('are listed newest first, page by page, and found by address, name or company', async () => {
    const own = await world.organization()
    const member = (await own.as('agent')).token
    const ada = await arrive(world, own, { email: 'ada@buyer.test', name: 'Ada', company: '100% Wool' })
    const bob = await arrive(world, own, { email: 'bob@buyer.test', name: 'Bob' })
    const ids = async (query: string) => {
      const { body } = await read<{ data: { id: string }[]; next_cursor: string | null }>(
        await world.request('GET', `/api/v1/contacts${query}`, { token: member }),
      )
      return { ids: body.data.map((contact) => contact.id), next: body.next_cursor }
    }
    expect(await ids('')).toEqual({ ids: [bob.contact_id, ada.contact_id], next: null })
    const first = await ids('?limit=1')
    expect(first).toEqual({ ids: [bob.contact_id], next: expect.any(String) })
    expect(await ids(`?limit=1&cursor=${first.next}`)).toEqual({ ids: [ada.contact_id], next: null })
    expect(await ids('?q=BOB@')).toEqual({ ids: [bob.contact_id], next: null })
    expect(await ids(`?q=${encodeURIComponent('0% w')}`)).toEqual({ ids: [ada.contact_id], next: null })
    expect(await ids(`?q=${encodeURIComponent('%')}`)).toEqual({ ids: [ada.contact_id], next: null })
  })

  it('are shown one by one with an ETag', async () => {
    const { contact_id } = await arrive(world, organization, { email: 'eve@buyer.test', name: 'Eve' })
    const response = await world.request('GET', `/api/v1/contacts/${contact_id}`, { token })
    expect(response.headers.get('ETag')).toMatch(/^"\w+"$/)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        id: contact_id,
        email: 'eve@buyer.test',
        name: 'Eve',
        company: null,
        phone: null,
        last_inbound_at: expect.any(String),
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
  })

  it('are nobody else’s', async () => {
    const { contact_id } = await arrive(world, organization)
    expect((await world.request('GET', `/api/v1/contacts/${contact_id}`, { token: stranger })).status).toBe(
      404,
    )
    expect(await read(await world.request('GET', '/api/v1/contacts', { token: stranger }))).toEqual({
      status: 200,
      body: { data: [], next_cursor: null },
    })
    expect((await world.request('GET', `/api/v1/contacts/${contact_id}`)).status).toBe(401)
    expect((await world.request('GET', '/api/v1/contacts')).status).toBe(401)
  })

  it('refuse a limit out of range, a foreign cursor and an id that is none', async () => {
    for (const path of ['?limit=0', '?limit=201', '?limit=x', '?cursor=nonsense', '/not-an-id'])
      expect((await world.request('GET', `/api/v1/contacts${path}`, { token })).status).toBe(400)
    expect((await world.request('GET', '/api/v1/contacts?limit=200', { token })).status).toBe(200)
  })
})

interface Exported {
  exported_at: string
  contact: Record<string, unknown>
  handles: Record<string, unknown>[]
  leads: Record<string, unknown>[]
  conversations: Record<string, unknown>[]
  messages: Record<string, unknown>[]
  comments: Record<string, unknown>[]
  drafts: Record<string, unknown>[]
  sends: Record<string, unknown>[]
  suppressions: Record<string, unknown>[]
  audit: Record<string, unknown>[]
}

async function exportedOf(own: TestOrganization, id: string) {
  const { token: owner } = await own.as('owner')
  const response = await world.request('GET', `/api/v1/contacts/${id}/export`, { token: owner })
  return { response, document: (await response.json()) as Exported }
}

describe('the export of a contact', () => {
  it('is one document with all that is kept of the person, as an attachment, and on the record', async () => {
    const own = await world.organization()
    const { id: user_id } = await own.as('owner')
    const email = 'grace@buyer.test'
    const reply = await arrangeReply(world, own, { email, text: 'Ten seats cost 90.' })
    const other = await arrive(world, own, { email: 'other@buyer.test', text: 'Not hers' })
    const ctx = world.ctx()
    await world.sql(
      q
        .insert(contact_handles)
        .values({ org_id: own.id, channel: 'sms', handle: '+4917', contact_id: reply.contact_id }),
      q.insert(comments).values({
        org_id: own.id,
        id: ctx.newId(),
        conversation_id: reply.conversation_id,
        author_id: user_id,
        body: 'A good one',
      }),
      q.insert(suppressions).values({
        org_id: own.id,
        id: ctx.newId(),
        kind: 'domain',
        value_norm: 'buyer.test',
        reason: 'manual',
      }),
      // What she wrote into somebody else's thread is hers too.
      q.insert(messages).values({
        org_id: own.id,
        id: ctx.newId(),
        conversation_id: other.conversation_id,
        direction: 'inbound',
        channel: 'email',
        from_email: email,
        text: 'Me too',
        stripped_text: 'Me too',
        received_at: world.clock.now(),
      }),
      q.insert(sends).values({
        org_id: own.id,
        id: ctx.newId(),
        kind: 'magic_link',
        state: 'sent',
        transport: 'outbox',
        automatic: true,
        to_email: email,
        to_domain: 'buyer.test',
        subject: 'Sign in',
        text: 'https://inlet.test/secret',
        message_id: '<m@inlet.test>',
        dedupe_key: 'k',
        next_attempt_at: world.clock.now(),
      }),
    )
    const { response, document } = await exportedOf(own, reply.contact_id)
    expect({
      status: response.status,
      type: response.headers.get('Content-Type'),
      as: response.headers.get('Content-Disposition'),
      cache: response.headers.get('Cache-Control'),
    }).toEqual({
      status: 200,
      type: 'application/json',
      as: `attachment; filename="contact-${reply.contact_id}.json"`,
      cache: 'no-store',
    })
    expect(Object.keys(document)).toEqual([
      'exported_at',
      'contact',
      'handles',
      'leads',
      'conversations',
      'messages',
      'comments',
      'drafts',
      'sends',
      'suppressions',
      'audit',
    ])
    const { contact, handles, leads, conversations, comments: notes, drafts, suppressions: kept } = document
    expect(contact).toMatchObject({ id: reply.contact_id, email, name: 'Ada' })
    expect(handles).toMatchObject([{ channel: 'sms', handle: '+4917' }])
    expect(leads).toMatchObject([{ id: reply.lead_id, status: 'received' }])
    expect(conversations).toMatchObject([{ id: reply.conversation_id }])
    expect(document.messages.map(({ text }) => text)).toEqual(['What do ten seats cost?', 'Me too'])
    expect(notes).toMatchObject([{ body: 'A good one' }])
    expect(drafts).toMatchObject([{ id: reply.draft_id, text: 'Ten seats cost 90.' }])
    expect(document.sends.map(({ kind, text }) => ({ kind, text }))).toEqual([
      { kind: 'reply', text: 'Ten seats cost 90.' },
      { kind: 'magic_link', text: null },
    ])
    expect(kept).toMatchObject([{ kind: 'domain', value_norm: 'buyer.test' }])
    expect(document.audit.map(({ action }) => action)).toEqual(['lead.created', 'contact.exported'])
    expect(document.audit[1]).toMatchObject({
      entity: 'contact',
      entity_id: reply.contact_id,
      actor_id: user_id,
      fields: [],
    })
    // Nothing of our own machinery.
    expect(JSON.stringify(document)).not.toMatch(/org_id|claim_token|dedupe_key|request_hash|Not hers/)
  })

  it('has the empty parts too', async () => {
    const own = await world.organization()
    const id = world.ctx().newId()
    await world.sql(q.insert(contacts).values({ org_id: own.id, id, name: 'Only a name' }))
    const { document } = await exportedOf(own, id)
    expect(document).toEqual({
      exported_at: expect.any(String),
      contact: expect.objectContaining({ id, name: 'Only a name', email: null }),
      handles: [],
      leads: [],
      conversations: [],
      messages: [],
      comments: [],
      drafts: [],
      sends: [],
      suppressions: [],
      audit: [expect.objectContaining({ action: 'contact.exported' })],
    })
  })

  it('streams ten thousand messages of one moment, in the order in which they came', async () => {
    const own = await world.organization()
    const { contact_id, conversation_id } = await arrive(world, own, { email: 'many@buyer.test' })
    await world.sql(
      raw(sql`insert into messages (org_id, id, conversation_id, direction, channel, from_email, text, stripped_text, received_at)
        select ${own.id}::uuid, gen_random_uuid(), ${conversation_id}::uuid, 'inbound', 'email', 'many@buyer.test', 'n' || n || repeat(' x', 100), '', now() + n * interval '1 second'
        from generate_series(1, 10000) n`),
    )
    const { token: owner } = await own.as('owner')
    const response = await world.request('GET', `/api/v1/contacts/${contact_id}/export`, { token: owner })
    const reader = response.body?.getReader()
    if (!reader) throw new Error('no body')
    const decoder = new TextDecoder()
    let text = ''
    let chunks = 0
    let largest = 0
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      // Later than the moment that it shows.
      if (chunks++ === 2) await arrive(world, own, { email: 'many@buyer.test', text: 'LATER' })
      largest = Math.max(largest, part.value.byteLength)
      text += decoder.decode(part.value, { stream: true })
    }
    const document = JSON.parse(text) as Exported
    expect(document.messages).toHaveLength(10_001)
    expect(
      document.messages.slice(1).map(({ text: words }) => Number.parseInt(String(words).slice(1), 10)),
    ).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1))
    expect(text).not.toContain('LATER')
    expect(largest).toBeLessThan(100_000)
    expect(chunks).toBeGreaterThan(400)
  })

  it('that nobody takes to its end is on the record all the same', async () => {
    const own = await world.organization()
    const { contact_id, conversation_id } = await arrive(world, own, { email: 'half@buyer.test' })
    await world.sql(
      raw(sql`insert into messages (org_id, id, conversation_id, direction, channel, text, stripped_text, received_at)
        select ${own.id}::uuid, gen_random_uuid(), ${conversation_id}::uuid, 'inbound', 'email', repeat('x', 1000), '', now() from generate_series(1, 500)`),
    )
    const { token: owner } = await own.as('owner')
    const response = await world.request('GET', `/api/v1/contacts/${contact_id}/export`, { token: owner })
    await response.body?.cancel()
    const [rows] = await world.sql(
      q
        .select({ id: audit_logs.id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, own.id), eq(audit_logs.action, 'contact.exported'))),
    )
    expect(rows).toHaveLength(1)
  })

  it('of nobody is 404 and leaves no record', async () => {
    const own = await world.organization()
    const { token: owner } = await own.as('owner')
    const id = world.ctx().newId()
    expect((await world.request('GET', `/api/v1/contacts/${id}/export`, { token: owner })).status).toBe(404)
    const [rows] = await world.sql(
      q.select({ id: audit_logs.id }).from(audit_logs).where(eq(audit_logs.org_id, own.id)),
    )
    expect(rows).toEqual([])
  })
})

const made = async (own: World, place: TestOrganization) =>
  (await arrive(own, place, { email: `${crypto.randomUUID()}@buyer.test` })).contact_id

describeSecurity({
  method: 'GET',
  path: async (own, place) => `/api/v1/contacts/${await made(own, place)}/export`,
  allowed: ['owner', 'admin'],
})
describeSecurity({
  method: 'DELETE',
  path: async (own, place) => `/api/v1/contacts/${await made(own, place)}`,
  allowed: ['owner', 'admin'],
})
