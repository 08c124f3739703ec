import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { markAnswered, recordOutbound, touchByPerson } from '#features/conversations'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { conversations } from '#db/schema/conversations'
import { events } from '#db/schema/platform'
import { type Arrival, arrive } from '#test/arrivals'
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
  world.request('PATCH', `/api/v1/conversations/${id}`, { token, body, headers })

interface Listed {
  data: { id: string }[]
  next_cursor: string | null
}

async function traces(id: string) {
  const [entries, facts] = await world.sql(
    q
      .select({ action: audit_logs.action, actor_id: audit_logs.actor_id, fields: audit_logs.fields })
      .from(audit_logs)
      .where(eq(audit_logs.entity_id, id)),
    q
      .select({ type: events.type, payload: events.payload })
      .from(events)
      .where(sql`${events.type} = 'conversation.updated' and ${events.payload}->>'conversation_id' = ${id}`),
  )
  return { entries, facts }
}

describe('the unified inbox', () => {
  it('shows contact, lead and the latest message in one round trip', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const arrival = await arrive(world, own, {
      email: 'ada@buyer.test',
      text: `Ten seats? ${'x'.repeat(300)}`,
    })
    const response = await get('/conversations', member.token)
    expect(response.headers.get('Server-Timing')).toMatch(/desc="1"$/)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        data: [
          {
            id: arrival.conversation_id,
            channel: 'form',
            mailbox_id: null,
            subject: 'Pricing?',
            status: 'open',
            assignee_id: null,
            last_message_at: expect.any(String),
            last_inbound_at: expect.any(String),
            last_human_activity_at: null,
            version: 1,
            created_at: expect.any(String),
            updated_at: expect.any(String),
            contact: { id: arrival.contact_id, email: 'ada@buyer.test', name: 'Ada' },
            lead: { id: arrival.lead_id, status: 'received' },
            latest_message: {
              id: arrival.message_id,
              direction: 'inbound',
              preview: `Ten seats? ${'x'.repeat(189)}`,
              received_at: expect.any(String),
            },
          },
        ],
        next_cursor: null,
      },
    })
  })

  it('shows a thread without contact, lead or message as what it is', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const id = crypto.randomUUID()
    await world.sql(
      q.insert(conversations).values({
        id,
        org_id: own.id,
        channel: 'email',
        status: 'ignored',
        last_message_at: world.clock.now(),
      }),
    )
    expect(await read(await get(`/conversations/${id}`, member.token))).toEqual({
      status: 200,
      body: expect.objectContaining({
        id,
        status: 'ignored',
        contact: null,
        lead: null,
        latest_message: null,
      }),
    })
  })

  it('pages through messages of the same instant without losing or repeating one', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const at = new Date('2026-11-20T09:30:00.123Z')
    const made: string[] = []
    for (let i = 0; i < 5; i++) made.push((await arrive(world, own, { at })).conversation_id)
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const page: { body: Listed } = await read<Listed>(
        await get(`/conversations?limit=2${query}`, member.token),
      )
      seen.push(...page.body.data.map((row) => row.id))
      cursor = page.body.next_cursor
    }
    expect(seen).toEqual(made.toSorted().toReversed())
  })

  it('filters by status, channel, assignee and text', async () => {
    const own = await world.organization()
    const member = await own.as('agent')
    const a = await arrive(world, own, { subject: 'Roof', email: 'ada@buyer.test' })
    const b = await arrive(world, own, { subject: 'Cellar', name: 'Bob' })
    await patch(a.conversation_id, { status: 'closed', assignee_id: member.id }, {}, member.token)
    const ids = async (query: string) => {
      const { body } = await read<Listed>(await get(`/conversations?${query}`, member.token))
      return body.data.map((row) => row.id)
    }
    expect(await ids('status=closed')).toEqual([a.conversation_id])
    expect(await ids('status=open')).toEqual([b.conversation_id])
    expect(await ids(`assignee_id=${member.id}`)).toEqual([a.conversation_id])
    expect(await ids('channel=whatsapp')).toEqual([])
    expect(await ids('q=roof')).toEqual([a.conversation_id])
    expect(await ids('q=ADA@')).toEqual([a.conversation_id])
    expect(await ids('q=bob')).toEqual([b.conversation_id])
    expect(await ids('q=%25')).toEqual([])
  })

  it('reads its page from an index also under row-level security', async () => {
    const [, plan] = await world
      .ctx()
      .db.org({ org_id: organization.id, visibility: 'all' })
      .batch([
        // A table of a few rows is sorted for less; what counts is that the index's order can be used at all.
        raw(sql`select set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)`),
        raw(
          sql`explain select id from conversations order by last_message_at desc nulls last, id desc nulls last limit 50`,
        ),
      ])
    expect(JSON.stringify(plan.rows)).toContain('conversations_recent')
    expect(JSON.stringify(plan.rows)).not.toContain('Sort')
  })
})

describe('changing a conversation', () => {
  it('writes row, audit entry and event together and counts as activity of a person', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    const before = await get(`/conversations/${id}`)
    const response = await patch(
      id,
      { status: 'closed', assignee_id: agent.id },
      { 'If-Match': before.headers.get('ETag') ?? '' },
    )
    expect(response.headers.get('ETag')).toBe('"2"')
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        ...(await read(before)).body,
        status: 'closed',
        assignee_id: agent.id,
        version: 2,
        last_human_activity_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
    expect(await traces(id)).toEqual({
      entries: [{ action: 'conversation.updated', actor_id: agent.id, fields: ['status', 'assignee_id'] }],
      facts: [{ type: 'conversation.updated', payload: { conversation_id: id } }],
    })
  })

  it('leaves no trace when nothing would change', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    expect(await read(await patch(id, { status: 'open', assignee_id: null }))).toEqual({
      status: 200,
      body: expect.objectContaining({ version: 1, last_human_activity_at: null }),
    })
    expect(await traces(id)).toEqual({ entries: [], facts: [] })
  })

  it('lets exactly one of two who read the same version win', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    const answers = await Promise.all([
      patch(id, { status: 'closed' }, { 'If-Match': '"1"' }),
      patch(id, { status: 'waiting' }, { 'If-Match': '"1"' }),
    ])
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 412])
    const { entries, facts } = await traces(id)
    expect([entries.length, facts.length]).toEqual([1, 1])
  })

  it('refuses a stale version, a stranger as assignee, and a status that only machines set', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    const answers = [
      await patch(id, { status: 'closed' }, { 'If-Match': '"9"' }),
      await patch(id, { assignee_id: stranger.id }),
      await patch(id, { status: 'ignored' }),
      await patch(id, { subject: 'x' }),
      await patch(crypto.randomUUID(), { status: 'closed' }),
    ]
    expect(answers.map((answer) => answer.status)).toEqual([412, 422, 400, 400, 404])
    expect(await traces(id)).toEqual({ entries: [], facts: [] })
  })
})

describe('the messages of a conversation', () => {
  it('come oldest first and explain how each was judged', async () => {
    const verdicts = [{ rule: 'auto_submitted', passed: true, detail: '' }]
    const arrival = await arrive(world, organization, { verdicts })
    const send_id = crypto.randomUUID()
    const answer = outbound(arrival, send_id)
    await world.sql(recordOutbound(world.ctx(), answer), recordOutbound(world.ctx(), answer))
    const { body } = await read<{ data: Record<string, unknown>[] }>(
      await get(`/conversations/${arrival.conversation_id}/messages`),
    )
    expect(body.data).toEqual([
      expect.objectContaining({
        id: arrival.message_id,
        direction: 'inbound',
        classification: 'human',
        verdicts,
        no_auto_reply: [],
        dmarc: 'pass',
        text: 'What do ten seats cost?',
      }),
      {
        id: answer.id,
        conversation_id: arrival.conversation_id,
        direction: 'outbound',
        channel: 'email',
        message_id: answer.message_id,
        in_reply_to: null,
        from_email: 'sales@demo.test',
        from_name: 'Sales',
        to: [{ email: 'ada@buyer.test', name: 'Ada' }],
        cc: [],
        subject: 'Re: Pricing?',
        text: 'Ten.',
        stripped_text: 'Ten.',
        hidden_text: '',
        attachments: [],
        classification: 'own',
        verdicts: [],
        no_auto_reply: [],
        dmarc: null,
        send_id,
        author_id: agent.id,
        sent_at: answer.sent_at.toISOString(),
        received_at: answer.sent_at.toISOString(),
      },
    ])
  })

  it('are paged', async () => {
    const arrival = await arrive(world, organization)
    await world.sql(recordOutbound(world.ctx(), outbound(arrival, crypto.randomUUID())))
    const path = `/conversations/${arrival.conversation_id}/messages?limit=1`
    const first = await read<Listed>(await get(path))
    const second = await read<Listed>(await get(`${path}&cursor=${first.body.next_cursor}`))
    expect([...first.body.data, ...second.body.data].length).toBe(2)
    expect(second.body).toEqual({
      data: [expect.objectContaining({ direction: 'outbound' })],
      next_cursor: null,
    })
  })

  function outbound(arrival: Arrival, send_id: string) {
    return {
      id: crypto.randomUUID(),
      org_id: organization.id,
      conversation_id: arrival.conversation_id,
      channel: 'email' as const,
      mailbox_id: null,
      send_id,
      author_id: agent.id,
      provider_message_id: null,
      message_id: `<${send_id}@demo.test>`,
      in_reply_to: null,
      references: [],
      from_email: 'sales@demo.test',
      from_name: 'Sales',
      to: [{ email: 'ada@buyer.test', name: 'Ada' }],
      subject: 'Re: Pricing?',
      text: 'Ten.',
      sent_at: new Date(world.clock.now().getTime() + 60_000),
    }
  }
})

describe('comments', () => {
  it('are kept with their author, audited, and count as activity of a person', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    const created = await read<{ id: string }>(
      await world.request('POST', `/api/v1/conversations/${id}/comments`, {
        token: agent.token,
        body: { body: ' She decides. ' },
      }),
    )
    const comment = {
      id: expect.any(String),
      conversation_id: id,
      author: { id: agent.id, name: 'agent' },
      body: 'She decides.',
      created_at: expect.any(String),
    }
    expect(created).toEqual({ status: 201, body: comment })
    expect(await read(await get(`/conversations/${id}/comments`))).toEqual({
      status: 200,
      body: { data: [comment], next_cursor: null },
    })
    expect((await read(await get(`/conversations/${id}`))).body).toEqual(
      expect.objectContaining({ version: 2, last_human_activity_at: expect.any(String) }),
    )
    expect((await traces(created.body.id)).entries).toEqual([
      { action: 'comment.created', actor_id: agent.id, fields: [] },
    ])
    expect((await traces(id)).facts).toEqual([
      { type: 'conversation.updated', payload: { conversation_id: id } },
    ])
  })

  it('refuse an empty text and a conversation that is not there, and then leave nothing behind', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    const post = async (to: string, body: unknown, token = agent.token) =>
      (await world.request('POST', `/api/v1/conversations/${to}/comments`, { token, body })).status
    const unknown = crypto.randomUUID()
    expect(await post(id, { body: '  ' })).toBe(400)
    expect(await post(unknown, { body: 'x' })).toBe(404)
    expect(await post(id, { body: 'x' }, stranger.token)).toBe(404)
    expect(await traces(unknown)).toEqual({ entries: [], facts: [] })
    expect(await traces(id)).toEqual({ entries: [], facts: [] })
  })
})

describe('what other slices record', () => {
  it('activity of a person is a new version and never goes back in time', async () => {
    const { conversation_id } = await arrive(world, organization)
    const late = new Date('2026-12-01T00:00:00.000Z')
    const as = (at: Date) => world.ctx({ clock: { now: () => at } })
    await world.sql(touchByPerson(as(late), { org_id: organization.id, conversation_id }))
    await world.sql(
      touchByPerson(as(new Date('2026-11-01T00:00:00Z')), { org_id: organization.id, conversation_id }),
    )
    expect((await read(await get(`/conversations/${conversation_id}`))).body).toEqual(
      expect.objectContaining({ version: 3, last_human_activity_at: late.toISOString() }),
    )
  })

  it('an answer makes an open conversation wait, and leaves a closed one closed', async () => {
    const open = await arrive(world, organization)
    const closed = await arrive(world, organization)
    await patch(closed.conversation_id, { status: 'closed' })
    const at = new Date(world.clock.now().getTime() + 1000)
    const answered = (conversation_id: string) =>
      markAnswered(world.ctx(), { org_id: organization.id, conversation_id, at })
    await world.sql(answered(open.conversation_id), answered(closed.conversation_id))
    const [rows] = await world.sql(
      q
        .select({ status: conversations.status, last_message_at: conversations.last_message_at })
        .from(conversations)
        .where(sql`${conversations.id} in (${open.conversation_id}, ${closed.conversation_id})`)
        .orderBy(conversations.id),
    )
    expect(rows).toEqual([
      { status: 'waiting', last_message_at: at },
      { status: 'closed', last_message_at: at },
    ])
  })
})

describe('access', () => {
  it('is for members only: anonymous 401, another organization 404 or nothing', async () => {
    const { conversation_id: id } = await arrive(world, organization)
    for (const path of [
      `/conversations/${id}`,
      `/conversations/${id}/messages`,
      `/conversations/${id}/comments`,
    ]) {
      expect((await get(path, stranger.token)).status).toBe(404)
      expect((await world.request('GET', `/api/v1${path}`)).status).toBe(401)
      expect((await get(path)).status).toBe(200)
    }
    expect((await patch(id, { status: 'closed' }, {}, stranger.token)).status).toBe(404)
    expect((await world.request('PATCH', `/api/v1/conversations/${id}`, { body: {} })).status).toBe(401)
    expect((await read<Listed>(await get('/conversations', stranger.token))).body.data).toEqual([])
    expect((await world.request('GET', '/api/v1/conversations')).status).toBe(401)
  })

  it('refuses a limit out of range, a foreign cursor and an unknown filter value', async () => {
    for (const query of [
      'limit=0',
      'limit=201',
      'cursor=nonsense',
      'status=new',
      'channel=fax',
      'assignee_id=me',
    ])
      expect((await get(`/conversations?${query}`)).status).toBe(400)
  })
})
