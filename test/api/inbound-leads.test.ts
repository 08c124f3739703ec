import { neonConfig } from '@neondatabase/serverless'
import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, messages } from '#db/schema/conversations'
import { site_tokens } from '#db/schema/inbound'
import { leads } from '#db/schema/leads'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { withoutDatabase } from '#test/outage'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const lead = { email: 'Ada@Buyer.test', name: 'Ada', company: 'Buyer Ltd', message: 'What do 10 seats cost?' }
const OTHER_KEY = 'ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100'
const NOWHERE = { NEON_GATEWAY_URL: 'http://127.0.0.1:1' }

interface Received {
  leadId: string
  timestamp: string
  status: string
  code?: string
  detail?: string
  errors?: { path: string; message: string }[]
}

async function tokenOf(world: World, org: TestOrganization): Promise<{ id: string; token: string }> {
  const { token } = await org.as('owner')
  const response = await world.request('POST', '/api/v1/site-tokens', { token, body: { name: 'Website' } })
  return response.json()
}

async function revoke(world: World, org: TestOrganization, id: string): Promise<void> {
  const { token } = await org.as('owner')
  expect((await world.request('DELETE', `/api/v1/site-tokens/${id}`, { token })).status).toBe(204)
}

async function post(world: World, token: string | undefined, body: unknown = lead, headers = {}) {
  const response = await world.request('POST', '/inbound/leads', {
    body,
    headers,
    ...(token === undefined ? {} : { token }),
  })
  const trips = /desc="(\d+)"/.exec(response.headers.get('Server-Timing') ?? '')?.[1]
  const replayed = response.headers.get('Idempotent-Replayed')
  return { response, trips, replayed, ...(await read<Received>(response.clone())) }
}

/** An organization that nobody answers by itself, and a token of it. */
async function site(world: World) {
  const org = await world.organization({ reply_mode: 'off' })
  return { org, ...(await tokenOf(world, org)) }
}

const flush = (world: World, org: TestOrganization) => world.ctx().ingest(org.id).flush(world.clock.now())
const keyed = (key: string) => ({ 'Idempotency-Key': key })
const leadsOf = async (world: World, org: TestOrganization) =>
  (await world.sql(q.select().from(leads).where(eq(leads.org_id, org.id))))[0]

describe('POST /inbound/leads', () => {
  it('stores contact, message, lead, events and audit in one round trip', async () => {
    const world = createWorld()
    const { org, id, token } = await site(world)
    const { status, body, trips, replayed } = await post(world, token)
    expect({ status, body, trips, replayed }).toEqual({
      status: 201,
      body: {
        leadId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        timestamp: expect.stringMatching(/^20[\d-]{8}T[\d:.]{12}Z$/),
        status: 'received',
      },
      trips: '1',
      replayed: null,
    })
    const [people, said, found, facts, audit] = await world.sql(
      q
        .select({ email: contacts.email, email_norm: contacts.email_norm, company: contacts.company })
        .from(contacts)
        .where(eq(contacts.org_id, org.id)),
      q
        .select({ channel: messages.channel, text: messages.text })
        .from(messages)
        .where(eq(messages.org_id, org.id)),
      q
        .select({ id: leads.id, source: leads.source, received_at: leads.received_at })
        .from(leads)
        .where(eq(leads.org_id, org.id)),
      q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)).orderBy(events.type),
      q
        .select({ action: audit_logs.action, entity_id: audit_logs.entity_id, actor: audit_logs.actor_id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'lead'))),
    )
    expect({ people, said, found, facts, audit }).toEqual({
      people: [{ email: 'Ada@Buyer.test', email_norm: 'ada@buyer.test', company: 'Buyer Ltd' }],
      said: [{ channel: 'form', text: 'What do 10 seats cost?' }],
      found: [{ id: body.leadId, source: 'api', received_at: new Date(body.timestamp) }],
      facts: [{ type: 'lead.created' }, { type: 'message.ingested' }],
      audit: [{ action: 'lead.created', entity_id: body.leadId, actor: `site-token:${id}` }],
    })
  })

  it('keeps every field where it can be found again', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const { body } = await post(world, token, {
      ...lead,
      request_id: 'order-17',
      phone: '+44 20 7946 0000',
      service: 'Team plan',
      source: 'Website',
      page_url: 'https://www.example.com/pricing?x=1',
      utm: { source: 'newsletter', campaign: 'autumn' },
      consent: { marketing: false, terms: true },
      custom: { seats: 10, trial: true, budget: null, room: 'blue' },
    })
    const owner = await org.as('owner')
    const shown = await read(
      await world.request('GET', `/api/v1/leads/${body.leadId}`, { token: owner.token }),
    )
    expect(shown).toMatchObject({
      status: 200,
      body: {
        id: body.leadId,
        source: 'Website',
        received_at: body.timestamp,
        page_url: 'https://www.example.com/pricing?x=1',
        utm: { source: 'newsletter', campaign: 'autumn' },
        consent: { marketing: false, terms: true },
        custom: { seats: 10, trial: true, budget: null, room: 'blue' },
        contact: { email: 'Ada@Buyer.test', name: 'Ada', company: 'Buyer Ltd', phone: '+44 20 7946 0000' },
        conversation: { subject: 'Team plan', channel: 'form' },
      },
    })
    const [said] = await world.sql(q.select().from(messages).where(eq(messages.org_id, org.id)))
    expect(said.map(({ text }) => text)).toEqual(['What do 10 seats cost?\n\nService: Team plan'])
  })

  it('takes an address alone', async () => {
    const world = createWorld()
    const { token } = await site(world)
    expect((await post(world, token, { email: 'bob@buyer.test' })).status).toBe(201)
  })

  it('takes hostile texts and names as what they are: text without what Postgres cannot hold', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const body = `{"email":" ada@buyer.test ","name":"Ada\\r\\nBcc: eve@evil.test\\u0000","message":"a\\u0000b\\ud800c",
      "page_url":"\\ud83d","utm":{"sour\\u0000ce":"x\\udc00y"},"consent":{"te\\u0000rms":true},
      "custom":{"__proto__":"p","constructor":"c","a\\u0000b":"NUL\\u0000","half \\ud83d":"\\udc00x","😀":"'; drop table leads; --"}}`
    const { status } = await post(world, token, body)
    expect(status).toBe(201)
    const [[row], [person], [said]] = await world.sql(
      q.select().from(leads).where(eq(leads.org_id, org.id)),
      q.select().from(contacts).where(eq(contacts.org_id, org.id)),
      q.select().from(messages).where(eq(messages.org_id, org.id)),
    )
    expect(row).toMatchObject({ page_url: null, utm: { source: 'xy' }, consent: { terms: true } })
    expect(Object.entries(row?.custom ?? {}).filter(([name]) => name !== '__proto__')).toEqual(
      expect.arrayContaining([
        ['constructor', 'c'],
        ['ab', 'NUL'],
        ['half', 'x'],
        ['😀', "'; drop table leads; --"],
      ]),
    )
    expect([person?.email, person?.name, said?.text]).toEqual([
      'ada@buyer.test',
      'Ada Bcc: eve@evil.test',
      'abc',
    ])
    expect(({} as Record<string, unknown>)['p']).toBeUndefined()
  })

  it.each([
    [{}, 'email'],
    [{ email: 'nobody' }, 'email'],
    [{ email: 'a@b' }, 'email'],
    [{ email: 'ada@buyer.test\r\nBcc: eve@evil.test' }, 'email'],
    [{ ...lead, name: 'x'.repeat(201) }, 'name'],
    [{ ...lead, name: 7 }, 'name'],
    [{ ...lead, message: 'x'.repeat(20_001) }, 'message'],
    [{ ...lead, request_id: '' }, 'request_id'],
    [{ ...lead, request_id: 'ü' }, 'request_id'],
    [{ ...lead, request_id: 'x'.repeat(256) }, 'request_id'],
    [{ ...lead, source: 'two words' }, 'source'],
    [{ ...lead, source: '' }, 'source'],
    [{ ...lead, utm: { source: 7 } }, 'utm.source'],
    [{ ...lead, consent: 'yes' }, 'consent'],
    [{ ...lead, consent: { terms: 'yes' } }, 'consent.terms'],
    [{ ...lead, custom: { a: { b: 1 } } }, 'custom.a'],
    [{ ...lead, custom: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, i])) }, 'custom'],
  ])('answers 400 to %j and names the field', async (body, path) => {
    const world = createWorld()
    const { org, token } = await site(world)
    const { status, body: problem, trips } = await post(world, token, body)
    expect([status, problem.code, problem.errors?.[0]?.path, trips]).toEqual([400, 'invalid', path, '0'])
    expect(await leadsOf(world, org)).toEqual([])
  })

  it('answers 400 to a field that it does not know, and names it', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const { status, body } = await post(world, token, { ...lead, organization_id: crypto.randomUUID() })
    expect({ status, errors: body.errors }).toEqual({
      status: 400,
      errors: [{ path: 'organization_id', message: 'is not known here' }],
    })
  })

  it.each(['', 'x'.repeat(256), 'ü'])('answers 400 to the Idempotency-Key %j', async (key) => {
    const world = createWorld()
    const { token } = await site(world)
    const { status, body } = await post(world, token, lead, keyed(key))
    expect([status, body.errors?.[0]?.path]).toEqual([400, 'Idempotency-Key'])
  })

  it.each(['{"email":', 'null', '[]', '"text"', ''])('answers 400 to the body %j', async (broken) => {
    const world = createWorld()
    const { token } = await site(world)
    const { status, body, response } = await post(world, token, broken)
    expect([status, body.code, response.headers.get('Content-Type')]).toEqual([
      400,
      'invalid',
      'application/problem+json',
    ])
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])(
    'answers 415 to a body of the type %s',
    async (type) => {
      const world = createWorld()
      const { token } = await site(world)
      const { status, body } = await post(world, token, JSON.stringify(lead), { 'Content-Type': type })
      expect([status, body.code]).toEqual([415, 'unsupported_media_type'])
    },
  )

  it('answers 413 to more than 64 KB, and takes what a limit lets in', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const custom = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, 'x'.repeat(2000)]))
    const large = { ...lead, message: 'y'.repeat(20_000), custom }
    expect((await post(world, token, large)).status).toBe(201)
    const { status, body } = await post(world, token, { ...lead, message: 'x'.repeat(65_536) })
    expect([status, body.code]).toEqual([413, 'too_large'])
  })
})

describe('the same lead again', () => {
  it.each([
    ['Idempotency-Key', lead, keyed('one')],
    ['request_id', { ...lead, request_id: 'one' }, {}],
    ['body within ten minutes', lead, {}],
  ])('by its %s has the same answer, and one row', async (_name, body, headers) => {
    const world = createWorld()
    const { org, token } = await site(world)
    const first = await post(world, token, body, headers)
    world.clock.advance(1)
    const again = await post(world, token, body, headers)
    expect([again.status, again.replayed, again.trips, again.body]).toEqual([200, 'true', '1', first.body])
    expect(await leadsOf(world, org)).toHaveLength(1)
  })

  it('is told by what it says, not by how its JSON is written', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const first = await post(world, token, { ...lead, custom: { a: 1, b: 2 } })
    const { message, ...rest } = lead
    const again = await post(world, token, { message, custom: { b: 2, a: 1 }, ...rest, name: ' Ada ' })
    expect([first.status, again.status, again.body.leadId]).toEqual([201, 200, first.body.leadId])
  })

  it('has one key of three: the header before the body’s, the body’s before its text', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const byHeader = await post(world, token, { ...lead, request_id: 'x' }, keyed('h'))
    const otherId = await post(world, token, { ...lead, request_id: 'y' }, keyed('h'))
    const byId = await post(world, token, { ...lead, request_id: 'x' })
    const asHeader = await post(world, token, lead, keyed('x'))
    const byBody = await post(world, token, lead)
    const id = byHeader.body.leadId
    expect([byHeader.status, otherId.status, otherId.body.leadId]).toEqual([201, 200, id])
    expect([byId.status, byId.body.leadId === id]).toEqual([201, false])
    expect([asHeader.status, asHeader.body.leadId]).toEqual([200, byId.body.leadId])
    expect([byBody.status, [id, byId.body.leadId].includes(byBody.body.leadId)]).toEqual([201, false])
  })

  it('by its body is another one when ten minutes have turned', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const bucket = Math.ceil(Date.now() / 600_000) * 600_000
    world.clock.set(new Date(bucket))
    const first = await post(world, token)
    world.clock.set(new Date(bucket + 595_000))
    expect((await post(world, token)).body).toEqual(first.body)
    world.clock.set(new Date(bucket + 600_000))
    const later = await post(world, token)
    expect([later.status, later.body.leadId === first.body.leadId]).toEqual([201, false])
    expect(await leadsOf(world, org)).toHaveLength(2)
  })

  it('twenty times at once is one lead, and everybody hears its id', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(world, token, lead, keyed('storm'))),
    )
    const [row, ...others] = await leadsOf(world, org)
    expect(others).toEqual([])
    expect(answers.map(({ status }) => status).toSorted((a, b) => b - a)).toEqual([
      201,
      ...Array.from({ length: 19 }, () => 200),
    ])
    expect(new Set(answers.map(({ body }) => JSON.stringify(body)))).toEqual(
      new Set([JSON.stringify({ leadId: row?.id, timestamp: row?.received_at, status: 'received' })]),
    )
  })

  it('under its key with another body is refused: 422, and nothing is written', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    await post(world, token, lead, keyed('one'))
    for (const other of [
      { ...lead, email: 'eve@evil.test' },
      { ...lead, source: 'elsewhere' },
      { ...lead, custom: { a: 1 } },
    ]) {
      const { status, body } = await post(world, token, other, keyed('one'))
      expect([status, body.code]).toEqual([422, 'unprocessable'])
    }
    const [people] = await world.sql(
      q.select({ email: contacts.email_norm }).from(contacts).where(eq(contacts.org_id, org.id)),
    )
    expect(people).toEqual([{ email: 'ada@buyer.test' }])
  })

  it('by another token of the organization is the same one, and by another organization another one', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const second = await tokenOf(world, org)
    const stranger = await site(world)
    const first = await post(world, token, lead, keyed('shared'))
    const again = await post(world, second.token, lead, keyed('shared'))
    const theirs = await post(world, stranger.token, lead, keyed('shared'))
    expect([again.status, again.body.leadId]).toEqual([200, first.body.leadId])
    expect([theirs.status, theirs.body.leadId === first.body.leadId]).toEqual([201, false])
  })

  it('through the public form is another one: nobody takes a backend’s key there', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const form = await world.request('POST', `/lead/${org.slug}`, {
      body: { email: 'eve@evil.test', message: 'x' },
      headers: keyed('order-17'),
    })
    expect(form.status).toBe(201)
    expect((await post(world, token, lead, keyed('order-17'))).status).toBe(201)
  })

  it('after an answer that was lost on its way is told so: one lead, one entry on the record', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const lost = await losingOneAnswer(() => post(world, token, lead, keyed('lost')))
    // Elsewhere: where the answer was lost, the database is taken for dead.
    const again = await post(createWorld(), token, lead, keyed('lost'))
    expect([lost.status, again.status, again.replayed]).toEqual([202, 200, 'true'])
    expect(again.body.leadId).toBe(lost.body.leadId)
    expect(await flush(world, org)).toMatchObject({ stored: 0, known: 1, waiting: 0 })
    expect(await leadsOf(world, org)).toHaveLength(1)
    const [entries] = await world.sql(
      q
        .select()
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'lead'))),
    )
    expect(entries).toHaveLength(1)
  })
})

/** The statement is carried out, and its answer never arrives. */
async function losingOneAnswer<T>(work: () => Promise<T>): Promise<T> {
  neonConfig.fetchFunction = async (input: string, init: RequestInit) => {
    neonConfig.fetchFunction = undefined
    await (await fetch(input, init)).text()
    throw new TypeError('Network connection lost')
  }
  try {
    return await work()
  } finally {
    neonConfig.fetchFunction = undefined
  }
}

describe('the token', () => {
  const refusal = { status: 401, code: 'unauthenticated', challenge: 'Bearer' }
  const refused = async (world: World, token: string | undefined, body?: unknown) => {
    const { status, body: problem, response, trips } = await post(world, token, body)
    const { code, detail } = problem
    return { status, code, detail, challenge: response.headers.get('WWW-Authenticate'), trips }
  }

  it('that is none, garbage, forged, another door’s, revoked or of nobody gets one answer, and no lead', async () => {
    const world = createWorld()
    const { org, id, token } = await site(world)
    const owner = await org.as('owner')
    const unknown = await site(createWorld({ ENCRYPTION_KEY: OTHER_KEY }))
    const flipped = (at: number) => token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
    await world.sql(q.delete(site_tokens).where(eq(site_tokens.id, unknown.id)))
    const byUs = [undefined, 'garbage', 'inlet_site_x', owner.token, flipped(60), flipped(80), flipped(98)]
    const answers = await Promise.all(byUs.map((given) => refused(world, given)))
    const { detail } = answers[0] ?? {}
    expect(detail).toBeTypeOf('string')
    for (const answer of answers) expect(answer).toEqual({ ...refusal, detail, trips: '0' })
    await revoke(world, org, id)
    expect(await refused(world, token)).toEqual({ ...refusal, detail, trips: '1' })
    expect(await refused(world, unknown.token)).toEqual({ ...refusal, detail, trips: '2' })
    expect(await leadsOf(world, org)).toEqual([])
    expect(await leadsOf(world, unknown.org)).toEqual([])
  })

  it('is asked for before the body is judged', async () => {
    const world = createWorld()
    expect(await refused(world, undefined, { nonsense: true })).toMatchObject({ status: 401 })
  })

  it('opens its own organization only, whatever the body says', async () => {
    const world = createWorld()
    const [mine, other] = [await site(world), await site(world)]
    expect((await post(world, mine.token, { ...lead, custom: { org_id: other.org.id } })).status).toBe(201)
    expect((await leadsOf(world, mine.org)).length).toBe(1)
    expect(await leadsOf(world, other.org)).toEqual([])
  })

  it('of one organization is nothing in another, even with its very id and hash', async () => {
    const world = createWorld()
    const [mine, other] = [await site(world), await site(world)]
    const [[row]] = await world.sql(q.select().from(site_tokens).where(eq(site_tokens.id, mine.id)))
    if (!row) throw new Error('no token')
    await world.sql(
      q.delete(site_tokens).where(eq(site_tokens.id, mine.id)),
      q.insert(site_tokens).values({ ...row, org_id: other.org.id, created_by: null }),
    )
    expect((await post(world, mine.token)).status).toBe(401)
    expect([await leadsOf(world, mine.org), await leadsOf(world, other.org)]).toEqual([[], []])
  })

  it('of an organization that is gone is refused', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    await world.sql(q.delete(organizations).where(eq(organizations.id, org.id)))
    expect((await post(world, token)).status).toBe(401)
  })

  it('is good after its key was rotated out, and while the database knows it also after its key is gone', async () => {
    const old = createWorld()
    const { token } = await site(old)
    const before = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
    const rotated = createWorld({ ENCRYPTION_KEY: OTHER_KEY, ENCRYPTION_KEY_PREVIOUS: before })
    const gone = createWorld({ ENCRYPTION_KEY: OTHER_KEY })
    expect((await post(rotated, token, lead, keyed('rotated'))).status).toBe(201)
    expect((await post(gone, token, lead, keyed('gone'))).status).toBe(201)
  })

  it('that nothing proves may be tried so often from one address, and then costs the database nothing', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: '2' })
    const { token } = await site(world)
    const unproven = (await site(createWorld({ ENCRYPTION_KEY: OTHER_KEY }))).token
    const from = { 'CF-Connecting-IP': `2001:db8:${crypto.randomUUID().slice(0, 4)}:7::1` }
    const answers = []
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const { status, trips, response } = await post(world, unproven, lead, { ...keyed(key), ...from })
      answers.push([status, trips, response.headers.has('Retry-After')])
    }
    // A minute may turn in between.
    expect(answers.slice(0, 2)).toEqual([
      [201, '2', false],
      [201, '2', false],
    ])
    expect(answers.at(-1)).toEqual([429, '0', true])
    expect((await post(world, token, lead, from)).status).toBe(201)
  })

  it('that nothing proves finds out by itself that the database is back', async () => {
    const world = createWorld()
    const proven = await site(world)
    const unproven = (await site(createWorld({ ENCRYPTION_KEY: OTHER_KEY }))).token
    await withoutDatabase(world, async () => {
      expect((await post(world, proven.token)).status).toBe(202)
    })
    world.clock.advance(60)
    expect((await post(world, unproven, lead, keyed('first'))).status).toBe(503)
    expect((await post(world, unproven, lead, keyed('first'))).status).toBe(201)
  })

  it('shows when it was used last, to the minute', async () => {
    const world = createWorld()
    const { org, token } = await site(world)
    const used = async () => {
      const [[row]] = await world.sql(
        q.select({ at: site_tokens.last_used_at }).from(site_tokens).where(eq(site_tokens.org_id, org.id)),
      )
      return row?.at?.toISOString() ?? null
    }
    expect(await used()).toBeNull()
    const first = await post(world, token, lead, keyed('1'))
    expect(await used()).toBe(first.body.timestamp)
    world.clock.advance(30)
    await post(world, token, lead, keyed('2'))
    expect(await used()).toBe(first.body.timestamp)
    world.clock.advance(31)
    const third = await post(world, token, lead, keyed('3'))
    expect(await used()).toBe(third.body.timestamp)
  })
})

describe('while the database is down', () => {
  it('a lead is taken in under the id that it will have, and 422 is still said to another body', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const down = createWorld(NOWHERE)
    const kept = await post(down, token, lead, keyed('outage'))
    expect([kept.status, kept.body]).toEqual([
      202,
      { leadId: expect.any(String), timestamp: expect.any(String), status: 'queued' },
    ])
    expect((await post(down, token, lead, keyed('outage'))).body.leadId).toBe(kept.body.leadId)
    const other = await post(down, token, { ...lead, name: 'Eve' }, keyed('outage'))
    expect([other.status, other.body.code]).toEqual([422, 'unprocessable'])
    const later = await post(world, token, lead, keyed('outage'))
    expect([later.status, later.body.leadId]).toEqual([201, kept.body.leadId])
  })

  it('a lead is stored when it answers again, as it came and when it came, and a retry is told so', async () => {
    const world = createWorld()
    const { org, id, token } = await site(world)
    const down = createWorld(NOWHERE)
    const body = {
      ...lead,
      source: 'shop',
      page_url: 'https://www.example.com/',
      utm: { source: 'mail' },
      consent: { terms: true },
      custom: { seats: 10 },
    }
    const kept = await post(down, token, body, { ...keyed('outage'), 'X-Request-Id': 'request-7' })
    world.clock.advance(3600)
    expect(await flush(world, org)).toMatchObject({ stored: 1, waiting: 0 })
    const [[row], [entry]] = await world.sql(
      q.select().from(leads).where(eq(leads.org_id, org.id)),
      q
        .select()
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'lead'))),
    )
    expect(row).toMatchObject({
      id: kept.body.leadId,
      received_at: new Date(kept.body.timestamp),
      source: 'shop',
      page_url: 'https://www.example.com/',
      utm: { source: 'mail' },
      consent: { terms: true },
      custom: { seats: 10 },
    })
    expect(entry).toMatchObject({ actor_id: `site-token:${id}`, request_id: 'request-7' })
    const again = await post(world, token, body, keyed('outage'))
    expect([again.status, again.body]).toEqual([200, { ...kept.body, status: 'received' }])
  })

  it('what a token let in before it was revoked still counts; what came after is a dead letter', async () => {
    const world = createWorld()
    const { org, id, token } = await site(world)
    const down = createWorld(NOWHERE)
    const before = await post(down, token, lead, keyed('before'))
    await revoke(world, org, id)
    const after = await post(down, token, lead, keyed('after'))
    expect([before.status, after.status]).toEqual([202, 202])
    expect(await flush(world, org)).toMatchObject({ stored: 1, dead: 1, waiting: 0 })
    expect((await leadsOf(world, org)).map((row) => row.id)).toEqual([before.body.leadId])
    const [letter] = await world.ctx().ingest(org.id).list('dead', 10, null)
    expect([letter?.id, letter?.last_error]).toEqual([
      after.body.leadId,
      { code: 'unauthenticated', where: null },
    ])
  })

  it('a forged token is still refused, and one that only the database knows is told to come again', async () => {
    const world = createWorld()
    const { token } = await site(world)
    const unproven = await site(createWorld({ ENCRYPTION_KEY: OTHER_KEY }))
    const down = createWorld(NOWHERE)
    const forged = await post(down, token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A'))
    expect([forged.status, forged.trips]).toEqual([401, '0'])
    const { status, body, response } = await post(down, unproven.token)
    expect([status, body.code, Number(response.headers.get('Retry-After')) > 0]).toEqual([
      503,
      'unavailable',
      true,
    ])
  })
})
