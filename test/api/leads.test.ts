import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { markContacted, markSpam } from '#features/leads'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { conversations } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { events } from '#db/schema/platform'
import { sends } from '#db/schema/sending'
import { arrive } from '#test/arrivals'
import { createWorld, read, type TestOrganization } from '#test/world'

const world = createWorld()
let organization: TestOrganization
let agent: Awaited<ReturnType<TestOrganization['as']>>
let stranger: Awaited<ReturnType<TestOrganization['as']>>

beforeAll(async () => {
  organization = await world.organization()
  agent = await organization.as('agent')
  stranger = await (await world.organization()).as('owner')
})

const get = (path: string, token = agent.token) => world.request('GET', `/api/v1${path}`, { token })
const patch = (id: string, body: unknown, headers: Record<string, string> = {}, token = agent.token) =>
  world.request('PATCH', `/api/v1/leads/${id}`, { token, body, headers })

interface Listed {
  data: { id: string }[]
  next_cursor: string | null
}

async function traces(id: string) {
  const [entries, facts] = await world.sql(
    q
      .select({ action: audit_logs.action, actor_id: audit_logs.actor_id, fields: audit_logs.fields })
      .from(audit_logs)
      .where(sql`${audit_logs.entity_id} = ${id} and ${audit_logs.action} = 'lead.updated'`),
    q
      .select({ payload: events.payload })
      .from(events)
      .where(sql`${events.type} = 'lead.updated' and ${events.payload}->>'lead_id' = ${id}`),
  )
  return { entries, facts }
}

async function stored(id: string) {
  const [[row]] = await world.sql(
    q
      .select({ status: leads.status, first_response_at: leads.first_response_at, version: leads.version })
      .from(leads)
      .where(eq(leads.id, id)),
  )
  return row
}

describe('the list of leads', () => {
  it('shows contact and conversation in one round trip', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const arrival = await arrive(world, own, { email: 'ada@buyer.test', company: 'Wool' })
    const response = await get('/leads', member.token)
    expect(response.headers.get('Server-Timing')).toMatch(/desc="1"$/)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        data: [
          {
            id: arrival.lead_id,
            status: 'received',
            source: 'email',
            assignee_id: null,
            received_at: expect.any(String),
            first_response_at: null,
            custom: {},
            signals: [],
            page_url: null,
            utm: null,
            consent: null,
            version: 1,
            created_at: expect.any(String),
            updated_at: expect.any(String),
            contact: {
              id: arrival.contact_id,
              email: 'ada@buyer.test',
              name: 'Ada',
              company: 'Wool',
              phone: null,
            },
            conversation: {
              id: arrival.conversation_id,
              channel: 'form',
              subject: 'Pricing?',
              status: 'open',
              last_message_at: expect.any(String),
            },
          },
        ],
        next_cursor: null,
      },
    })
  })

  it('filters by status, assignee, source, text and time of making', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const a = await arrive(world, own, { subject: 'Roof', source: 'email', company: 'Wool' })
    world.clock.advance(60)
    const between = new Date(world.clock.now().getTime() - 30_000).toISOString()
    const b = await arrive(world, own, { subject: 'Cellar', source: 'form', name: 'Bob' })
    await patch(a.lead_id, { status: 'qualified', assignee_id: member.id }, {}, member.token)
    const ids = async (query: string) => {
      const { body } = await read<Listed>(await get(`/leads?${query}`, member.token))
      return body.data.map((row) => row.id)
    }
    expect(await ids('')).toEqual([b.lead_id, a.lead_id])
    expect(await ids('status=qualified')).toEqual([a.lead_id])
    expect(await ids(`assignee_id=${member.id}`)).toEqual([a.lead_id])
    expect(await ids('source=form')).toEqual([b.lead_id])
    expect(await ids('q=WOOL')).toEqual([a.lead_id])
    expect(await ids('q=cellar')).toEqual([b.lead_id])
    expect(await ids(`created_after=${between}`)).toEqual([b.lead_id])
    expect(await ids('status=received&source=email')).toEqual([])
  })

  it('pages through leads of the same instant without losing or repeating one', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const at = new Date('2026-11-20T09:30:00.123Z')
    const made: string[] = []
    for (let i = 0; i < 5; i++) made.push((await arrive(world, own, { at })).lead_id)
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page: { body: Listed } = await read<Listed>(await get(`/leads?limit=2${query}`, member.token))
      seen.push(...page.body.data.map((row) => row.id))
      cursor = page.body.next_cursor
    }
    expect(seen).toEqual(made.toSorted().toReversed())
  })

  it('reads its page from an index also under row-level security', async () => {
    const [, all, some] = await world
      .ctx()
      .db.org({ org_id: organization.id, visibility: 'all' })
      .batch([
        // A table of a few rows is sorted for less; what counts is that the index's order can be used at all.
        raw(sql`select set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)`),
        raw(
          sql`explain select id from leads order by received_at desc nulls last, id desc nulls last limit 50`,
        ),
        raw(
          sql`explain select id from leads where status = 'won' order by received_at desc nulls last, id desc nulls last limit 50`,
        ),
      ])
    expect(JSON.stringify(all.rows)).toContain('leads_recent')
    expect(JSON.stringify([all.rows, some.rows])).not.toContain('Sort')
  })
})

describe('one lead', () => {
  it('comes with latest draft, sends and notices in one round trip', async () => {
    const arrival = await arrive(world, organization)
    const gate = [{ rule: 'mode', passed: false, detail: 'drafts only' }]
    const send_id = crypto.randomUUID()
    const at = world.clock.now()
    await world.sql(
      q
        .update(drafts)
        .set({ status: 'ready', decision: 'needs_review', category: 'inquiry', confidence: 0.5, gate })
        .where(eq(drafts.id, arrival.draft_id)),
      q.insert(sends).values({
        id: send_id,
        org_id: organization.id,
        kind: 'reply',
        transport: 'outbox',
        conversation_id: arrival.conversation_id,
        lead_id: arrival.lead_id,
        draft_id: arrival.draft_id,
        automatic: false,
        to_email: 'ada@buyer.test',
        to_domain: 'buyer.test',
        subject: 'Re: Pricing?',
        text: 'Ten.',
        message_id: '<x@demo.test>',
        dedupe_key: `test:${send_id}`,
        next_attempt_at: at,
        created_at: at,
      }),
    )
    const response = await get(`/leads/${arrival.lead_id}`)
    expect(response.headers.get('Server-Timing')).toMatch(/desc="1"$/)
    expect(response.headers.get('ETag')).toBe('"1"')
    const { status, body } = await read(response)
    expect({ status, draft: body.draft, sends: body.sends, notices: body.notices }).toEqual({
      status: 200,
      draft: {
        id: arrival.draft_id,
        status: 'ready',
        decision: 'needs_review',
        category: 'inquiry',
        intent: null,
        confidence: 0.5,
        needs_human: null,
        reason: null,
        gate,
        ai_failure: null,
        send_id: null,
        created_at: expect.any(String),
      },
      sends: [
        {
          id: send_id,
          kind: 'reply',
          state: 'scheduled',
          automatic: false,
          subject: 'Re: Pricing?',
          attempts: 0,
          next_attempt_at: at.toISOString(),
          waits_because: null,
          skip_reason: null,
          last_error: null,
          sent_at: null,
          bounced_at: null,
          created_at: at.toISOString(),
        },
      ],
      notices: [{ channel: 'slack', state: 'pending', attempts: 0, last_error: null, sent_at: null }],
    })
  })

  it('without draft, send or notice says so', async () => {
    const own = await world.organization({ reply_mode: 'off' })
    const { lead_id } = await arrive(world, own)
    const { body } = await read(await get(`/leads/${lead_id}`, (await own.as('agent')).token))
    expect([body.draft, body.sends]).toEqual([null, []])
  })
})

describe('changing a lead', () => {
  it('writes row, audit entry and event together and counts as activity of a person', async () => {
    const arrival = await arrive(world, organization)
    const before = await get(`/leads/${arrival.lead_id}`)
    const change = { status: 'qualified', assignee_id: agent.id, custom: { budget: 5000, vip: true } }
    const response = await patch(arrival.lead_id, change, { 'If-Match': before.headers.get('ETag') ?? '' })
    expect(response.headers.get('ETag')).toBe('"2"')
    expect(await read(response)).toEqual({
      status: 200,
      body: { ...(await read(before)).body, ...change, version: 2, updated_at: expect.any(String) },
    })
    expect(await traces(arrival.lead_id)).toEqual({
      entries: [{ action: 'lead.updated', actor_id: agent.id, fields: ['status', 'assignee_id', 'custom'] }],
      facts: [{ payload: { lead_id: arrival.lead_id } }],
    })
    const [[conversation]] = await world.sql(
      q
        .select({ at: conversations.last_human_activity_at, version: conversations.version })
        .from(conversations)
        .where(eq(conversations.id, arrival.conversation_id)),
    )
    expect(conversation).toEqual({ at: expect.any(Date), version: 2 })
  })

  it('merges custom fields and is no activity in the conversation when only they change', async () => {
    const arrival = await arrive(world, organization)
    await patch(arrival.lead_id, { custom: { a: 1, b: 'x' } })
    const { body } = await read(await patch(arrival.lead_id, { custom: { a: null, c: false } }))
    expect(body.custom).toEqual({ b: 'x', c: false })
    const [[conversation]] = await world.sql(
      q
        .select({ at: conversations.last_human_activity_at })
        .from(conversations)
        .where(eq(conversations.id, arrival.conversation_id)),
    )
    expect(conversation).toEqual({ at: null })
  })

  it('refuses to grow beyond the custom fields that a lead may have, however often it is asked', async () => {
    const arrival = await arrive(world, organization)
    const fields = (from: number) =>
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${from + i}`, i]))
    expect((await patch(arrival.lead_id, { custom: fields(0) })).status).toBe(200)
    expect((await patch(arrival.lead_id, { custom: fields(40) })).status).toBe(422)
    expect((await patch(arrival.lead_id, { custom: { f0: 'new' } })).status).toBe(200)
  })

  it('takes a person’s word that the lead was contacted as the first response, once', async () => {
    const { lead_id } = await arrive(world, organization)
    await patch(lead_id, { status: 'contacted' })
    const first = await stored(lead_id)
    expect(first).toEqual({ status: 'contacted', first_response_at: expect.any(Date), version: 2 })
    await patch(lead_id, { status: 'lost' })
    await patch(lead_id, { status: 'contacted' })
    expect((await stored(lead_id))?.first_response_at).toEqual(first?.first_response_at)
  })

  it('leaves no trace when nothing would change', async () => {
    const { lead_id } = await arrive(world, organization)
    const answer = await patch(lead_id, { status: 'received', assignee_id: null, custom: { gone: null } })
    expect([answer.status, answer.headers.get('ETag')]).toEqual([200, '"1"'])
    expect(await traces(lead_id)).toEqual({ entries: [], facts: [] })
  })

  it('lets exactly one of two who read the same version win', async () => {
    const { lead_id } = await arrive(world, organization)
    const answers = await Promise.all([
      patch(lead_id, { status: 'won' }, { 'If-Match': '"1"' }),
      patch(lead_id, { status: 'lost' }, { 'If-Match': '"1"' }),
    ])
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 412])
    const { entries, facts } = await traces(lead_id)
    expect([entries.length, facts.length]).toEqual([1, 1])
  })

  it('refuses a stale version, a stranger as assignee, unknown fields and values, and changes nothing', async () => {
    const { lead_id } = await arrive(world, organization)
    const answers = [
      await patch(lead_id, { status: 'won' }, { 'If-Match': '"9"' }),
      await patch(lead_id, { assignee_id: stranger.id }),
      await patch(lead_id, { status: 'new' }),
      await patch(lead_id, { source: 'x' }),
      await patch(lead_id, { custom: { deep: { er: 1 } } }),
      await patch(crypto.randomUUID(), { status: 'won' }),
    ]
    expect(answers.map((answer) => answer.status)).toEqual([412, 422, 400, 400, 400, 404])
    expect(await traces(lead_id)).toEqual({ entries: [], facts: [] })
  })
})

describe('what other slices record', () => {
  it('an automatic answer makes contacted but is no first response; an approved one is', async () => {
    const { lead_id } = await arrive(world, organization)
    const at = new Date('2026-11-20T10:00:00.000Z')
    const mark = (by_person: boolean, when = at) =>
      markContacted(world.ctx(), { org_id: organization.id, lead_id, at: when, by_person })
    await world.sql(mark(false))
    expect(await stored(lead_id)).toEqual({ status: 'contacted', first_response_at: null, version: 2 })
    await world.sql(mark(true))
    await world.sql(mark(true, new Date('2026-11-21T10:00:00.000Z')))
    expect(await stored(lead_id)).toEqual({ status: 'contacted', first_response_at: at, version: 4 })
  })

  it('never takes back what a person has decided', async () => {
    const { lead_id } = await arrive(world, organization)
    await patch(lead_id, { status: 'won' })
    await world.sql(
      markSpam(world.ctx(), { org_id: organization.id, lead_id }),
      markContacted(world.ctx(), {
        org_id: organization.id,
        lead_id,
        at: world.clock.now(),
        by_person: false,
      }),
    )
    expect((await stored(lead_id))?.status).toBe('won')
  })

  it('marks spam, in its own organization only', async () => {
    const { lead_id } = await arrive(world, organization)
    await world.sql(markSpam(world.ctx(), { org_id: stranger.actor.org_id, lead_id }))
    expect((await stored(lead_id))?.status).toBe('received')
    await world.sql(markSpam(world.ctx(), { org_id: organization.id, lead_id }))
    expect(await stored(lead_id)).toEqual({ status: 'spam', first_response_at: null, version: 2 })
  })
})

describe('access', () => {
  it('is for members only: anonymous 401, another organization 404 or nothing', async () => {
    const { lead_id } = await arrive(world, organization)
    expect((await get(`/leads/${lead_id}`, stranger.token)).status).toBe(404)
    expect((await patch(lead_id, { status: 'won' }, {}, stranger.token)).status).toBe(404)
    expect((await read<Listed>(await get('/leads', stranger.token))).body.data).toEqual([])
    expect((await world.request('GET', `/api/v1/leads/${lead_id}`)).status).toBe(401)
    expect((await world.request('GET', '/api/v1/leads')).status).toBe(401)
    expect((await world.request('PATCH', `/api/v1/leads/${lead_id}`, { body: {} })).status).toBe(401)
    expect((await stored(lead_id))?.status).toBe('received')
  })

  it('refuses a limit out of range, a foreign cursor and an unknown filter value', async () => {
    for (const query of [
      'limit=0',
      'limit=201',
      'cursor=nonsense',
      'status=new',
      'assignee_id=me',
      'created_after=monday',
    ])
      expect((await get(`/leads?${query}`)).status).toBe(400)
  })
})
