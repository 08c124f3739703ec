import { and, asc, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { conversations } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { sends, suppressions } from '#db/schema/sending'
import { type Arrival, arrive } from '#test/arrivals'
import { createWorld, read, type TestOrganization, type World } from '#test/world'
import { draftReply } from '../../src/features/drafting/jobs/draft-reply'

interface Shown {
  id: string
  status: string
  decision: string | null
  text: string
  version: number
  generation: number
  edited: boolean
  send: { id: string; state: string; automatic: boolean } | null
  [field: string]: unknown
}

interface Scene {
  world: World
  org: TestOrganization
  arrival: Arrival
  draft_id: string
  user_id: string
  act: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; body: Shown }>
}

/** A draft as the job leaves it: `draft` waits for a person, `auto` has a send in its undo window. */
async function scene(
  settings: Partial<typeof organizations.$inferInsert> = {},
  text = 'Hello, could you tell me how much ten seats cost? Thank you.',
): Promise<Scene> {
  const world = createWorld()
  world.fetch = async () => new Response(null, { status: 404 })
  const org = await world.organization({ reply_mode: 'draft', undo_seconds: 60, ...settings })
  const arrival = await arrive(world, org, { text })
  await draftReply.run(world.ctx(), { org_id: org.id, draft_id: arrival.draft_id })
  world.queued.splice(0)
  const agent = await org.as('agent')
  return {
    world,
    org,
    arrival,
    draft_id: arrival.draft_id,
    user_id: agent.id,
    act: async (method, path, body, headers) => {
      const response = await world.request(method, `/api/v1/drafts/${arrival.draft_id}${path}`, {
        token: agent.token,
        body,
        ...(headers ? { headers } : {}),
      })
      return read<Shown>(response)
    },
  }
}

async function trail({ world, org, draft_id, arrival }: Scene) {
  const [entries, told, [conversation], left] = await world.sql(
    q
      .select({ action: audit_logs.action, actor_type: audit_logs.actor_type, actor_id: audit_logs.actor_id })
      .from(audit_logs)
      .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity_id, draft_id)))
      .orderBy(asc(audit_logs.id)),
    q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)).orderBy(asc(events.id)),
    q
      .select({ at: conversations.last_human_activity_at })
      .from(conversations)
      .where(eq(conversations.id, arrival.conversation_id)),
    q.select().from(sends).where(eq(sends.draft_id, draft_id)).orderBy(asc(sends.created_at)),
  )
  return {
    last: entries.at(-1),
    events: told.map(({ type }) => type).slice(4),
    touched: conversation?.at !== null,
    sends: left,
  }
}

describe('GET /drafts', () => {
  it('lists drafts of a status, newest first, page by page', async () => {
    const { world, org, draft_id } = await scene()
    const more: string[] = []
    for (const text of ['What does it cost?', 'What are your opening hours?']) {
      const { draft_id: id } = await arrive(world, org, { text })
      await draftReply.run(world.ctx(), { org_id: org.id, draft_id: id })
      more.push(id)
    }
    const waiting = await arrive(world, org)
    const { token } = await org.as('agent')
    const list = async (query: string) => {
      const { status, body } = await read<{ data: Shown[]; next_cursor: string | null }>(
        await world.request('GET', `/api/v1/drafts${query}`, { token }),
      )
      return { status, ids: body.data.map(({ id }) => id), next: body.next_cursor }
    }
    const first = await list('?status=ready&limit=2')
    expect(first).toEqual({ status: 200, ids: more.toReversed(), next: expect.any(String) })
    expect(await list(`?status=ready&limit=2&cursor=${first.next}`)).toEqual({
      status: 200,
      ids: [draft_id],
      next: null,
    })
    expect((await list('')).ids).toEqual([waiting.draft_id, ...more.toReversed(), draft_id])
    expect((await list('?status=rejected')).ids).toEqual([])
  })

  it('refuses a status or cursor that does not exist', async () => {
    const { world, org } = await scene()
    const { token } = await org.as('agent')
    for (const query of ['?status=lost', '?cursor=xyz', '?limit=0'])
      expect((await world.request('GET', `/api/v1/drafts${query}`, { token })).status).toBe(400)
  })
})

it('GET /drafts/{id} shows the draft with its message, its gate and its version, in one round trip', async () => {
  const { world, org, draft_id, arrival } = await scene()
  const { token } = await org.as('manager')
  const response = await world.request('GET', `/api/v1/drafts/${draft_id}`, { token })
  expect(response.headers.get('ETag')).toBe('"2"')
  expect(response.headers.get('Server-Timing')).toMatch(/desc="1"$/)
  expect(await response.json()).toEqual({
    id: draft_id,
    conversation_id: arrival.conversation_id,
    lead_id: arrival.lead_id,
    status: 'ready',
    decision: 'needs_review',
    text: expect.stringContaining('Thank you for asking about our prices.'),
    generated_text: expect.stringContaining('Thank you for asking about our prices.'),
    edited: false,
    provider: 'heuristic',
    model: null,
    category: 'inquiry',
    intent: 'pricing',
    confidence: 0.84,
    needs_human: false,
    reason: 'Recognised as pricing by its words.',
    price_guidance: null,
    gate: expect.arrayContaining([
      { rule: 'reply_mode_auto', passed: false, detail: 'The reply mode is draft.' },
    ]),
    ai_failure: null,
    instruction: null,
    reject_reason: null,
    decided_by: null,
    decided_at: null,
    generation: 1,
    version: 2,
    created_at: expect.any(String),
    updated_at: expect.any(String),
    message: {
      id: arrival.message_id,
      channel: 'form',
      from_email: expect.stringContaining('@buyer.test'),
      from_name: 'Ada',
      subject: 'Pricing?',
      text: 'Hello, could you tell me how much ten seats cost? Thank you.',
      received_at: expect.any(String),
    },
    send: null,
  })
})

describe('PATCH /drafts/{id}', () => {
  it('changes the text, and remembers who acted and what the AI wrote', async () => {
    const stage = await scene()
    const before = (await stage.act('GET', '')).body
    const { status, body } = await stage.act('PATCH', '', { text: 'Hello Ada.' })
    expect({ status, body }).toEqual({
      status: 200,
      body: { ...before, text: 'Hello Ada.', edited: true, version: 3, updated_at: expect.any(String) },
    })
    expect(await trail(stage)).toEqual({
      last: { action: 'draft.edited', actor_type: 'user', actor_id: stage.user_id },
      events: ['conversation.updated'],
      touched: true,
      sends: [],
    })
    expect((await stage.act('PATCH', '', { text: before.text })).body.edited).toBe(false)
  })

  it('refuses the change of a version that is gone', async () => {
    const { act } = await scene()
    expect((await act('PATCH', '', { text: 'One.' }, { 'If-Match': '"2"' })).status).toBe(200)
    const late = await act('PATCH', '', { text: 'Two.' }, { 'If-Match': '"2"' })
    expect([late.status, late.body.code]).toEqual([412, 'precondition_failed'])
    expect((await act('GET', '')).body.text).toBe('One.')
  })

  it('lets one of two edits at the same moment win', async () => {
    const { act } = await scene()
    const answers = await Promise.all(
      ['One.', 'Two.'].map((text) => act('PATCH', '', { text }, { 'If-Match': '"2"' })),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412])
  })

  it('calls an automatic reply back from its undo window', async () => {
    const stage = await scene({ reply_mode: 'auto' })
    expect((await stage.act('GET', '')).body).toMatchObject({
      status: 'approved',
      send: { state: 'scheduled', automatic: true },
    })
    const { status, body } = await stage.act('PATCH', '', { text: 'Hello Ada.' })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        status: 'ready',
        decision: 'needs_review',
        text: 'Hello Ada.',
        generation: 2,
        decided_at: null,
      }),
    ])
    const { sends: left } = await trail(stage)
    expect(left.map(({ state, skip_reason }) => [state, skip_reason])).toEqual([
      ['skipped', 'called_back_by_a_person'],
    ])
  })

  it.each([
    {},
    { text: '' },
    { text: '  ' },
    { text: 'a'.repeat(20_001) },
    { text: 'a\0' },
    { text: 'a', status: 'approved' },
  ])('refuses %j', async (body) => {
    const { act } = await scene()
    expect((await act('PATCH', '', body)).status).toBe(400)
  })
})

describe('POST /drafts/{id}/approve', () => {
  it('schedules the reply by a person, after the undo window', async () => {
    const stage = await scene()
    const { status, body } = await stage.act('POST', '/approve')
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        status: 'approved',
        decision: 'needs_review',
        decided_by: stage.user_id,
        decided_at: expect.any(String),
        edited: false,
        version: 3,
        send: expect.objectContaining({ state: 'scheduled', automatic: false }),
      }),
    ])
    const { sends: left, ...rest } = await trail(stage)
    expect(rest).toEqual({
      last: { action: 'draft.approved', actor_type: 'user', actor_id: stage.user_id },
      events: ['conversation.updated'],
      touched: true,
    })
    expect(left).toEqual([
      expect.objectContaining({
        id: body.send?.id,
        kind: 'reply',
        state: 'scheduled',
        automatic: false,
        created_by: stage.user_id,
        text: body.text,
        waits_because: 'undo_window',
        dedupe_key: `reply:${stage.arrival.message_id}:1`,
      }),
    ])
    expect(
      stage.world.queued.filter(({ queue }) => queue === 'sends').map(({ delay_seconds }) => delay_seconds),
    ).toEqual([60])
  })

  it('sends another text when one is given, and then nothing else can be done', async () => {
    const stage = await scene({ undo_seconds: 0 })
    const { body } = await stage.act('POST', '/approve', { text: 'Hello Ada, see https://acme.example.' })
    expect([body.edited, body.text]).toEqual([true, 'Hello Ada, see https://acme.example.'])
    await stage.world.drain()
    const { sends: left } = await trail(stage)
    expect(left.map(({ state, text }) => [state, text])).toEqual([['sent', body.text]])
    for (const [method, path, given] of [
      ['PATCH', '', { text: 'Late.' }],
      ['POST', '/approve', undefined],
      ['POST', '/reject', undefined],
      ['POST', '/regenerate', undefined],
    ] as const) {
      const answer = await stage.act(method, path, given)
      expect([path, answer.status, answer.body.code]).toEqual([path, 409, 'conflict'])
    }
  })

  it('sends once, however often it is asked at the same moment', async () => {
    const stage = await scene()
    const answers = await Promise.all([1, 2, 3].map(() => stage.act('POST', '/approve')))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409])
    expect((await trail(stage)).sends.length).toBe(1)
  })

  it('does not approve what was out of date, is not written, or was rejected', async () => {
    const stage = await scene()
    const reasons: unknown[] = []
    for (const status of ['superseded', 'pending', 'rejected'] as const) {
      await stage.world.sql(q.update(drafts).set({ status }).where(eq(drafts.id, stage.draft_id)))
      const { status: code, body } = await stage.act('POST', '/approve')
      reasons.push([code, body.detail])
    }
    expect(reasons).toEqual([
      [409, 'A newer message or an answer by hand has made this draft out of date.'],
      [409, 'The draft is still being written.'],
      [409, 'The draft has been rejected. Regenerate it to answer after all.'],
    ])
    expect((await trail(stage)).sends).toEqual([])
  })

  it('refuses an empty text, and a recipient who wants no mail', async () => {
    const spam = await scene({}, 'We sell backlinks and guest posts.')
    expect((await spam.act('POST', '/approve')).status).toBe(422)
    expect((await spam.act('POST', '/approve', { text: 'No, thank you.' })).status).toBe(200)

    const stage = await scene()
    const { body } = await stage.act('GET', '')
    const { from_email } = body.message as { from_email: string }
    await stage.world.sql(
      q.insert(suppressions).values({
        id: stage.world.ctx().newId(),
        org_id: stage.org.id,
        kind: 'email',
        value_norm: from_email,
        reason: 'complaint',
      }),
    )
    expect((await stage.act('POST', '/approve')).status).toBe(422)
    // Whoever only wants no more mail still gets the answer that a person has looked at.
    await stage.world.sql(
      q.update(suppressions).set({ reason: 'unsubscribed' }).where(eq(suppressions.org_id, stage.org.id)),
    )
    expect((await stage.act('POST', '/approve')).status).toBe(200)
  })

  it('honours If-Match', async () => {
    const { act } = await scene()
    expect((await act('POST', '/approve', {}, { 'If-Match': '"1"' })).status).toBe(412)
    expect((await act('POST', '/approve', {}, { 'If-Match': '"2"' })).status).toBe(200)
  })
})

describe('POST /drafts/{id}/reject', () => {
  it('sends nothing, for a reason', async () => {
    const stage = await scene()
    const { status, body } = await stage.act('POST', '/reject', { reason: 'wrong_tone' })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        status: 'rejected',
        reject_reason: 'wrong_tone',
        decided_by: stage.user_id,
        send: null,
      }),
    ])
    expect(await trail(stage)).toEqual({
      last: { action: 'draft.rejected', actor_type: 'user', actor_id: stage.user_id },
      events: ['conversation.updated'],
      touched: true,
      sends: [],
    })
  })

  it.each(['auto', 'draft'] as const)(
    'calls back a reply in its undo window (mode %s): it never leaves',
    async (reply_mode) => {
      const stage = await scene({ reply_mode })
      if (reply_mode === 'draft') await stage.act('POST', '/approve')
      const { status, body } = await stage.act('POST', '/reject')
      expect([status, body.status, body.send?.state]).toEqual([200, 'rejected', 'skipped'])
      stage.world.clock.advance(120)
      await stage.world.drain()
      const { sends: left } = await trail(stage)
      expect(left.map(({ state, skip_reason }) => [state, skip_reason])).toEqual([
        ['skipped', 'called_back_by_a_person'],
      ])
      expect((await stage.act('GET', '')).body.status).toBe('rejected')
    },
  )

  it('comes too late once the sending has begun', async () => {
    const stage = await scene({ reply_mode: 'auto' })
    await stage.world.sql(q.update(sends).set({ state: 'sending' }).where(eq(sends.draft_id, stage.draft_id)))
    const { status, body } = await stage.act('POST', '/reject')
    expect([status, body.detail]).toEqual([409, 'The reply has been approved and is on its way.'])
  })

  it('stops a draft that is still being written', async () => {
    const stage = await scene()
    await stage.world.sql(
      q.update(drafts).set({ status: 'pending', lease_until: null }).where(eq(drafts.id, stage.draft_id)),
    )
    expect((await stage.act('POST', '/reject')).status).toBe(200)
    await draftReply.run(stage.world.ctx(), { org_id: stage.org.id, draft_id: stage.draft_id })
    expect((await stage.act('GET', '')).body.status).toBe('rejected')
  })
})

describe('POST /drafts/{id}/regenerate', () => {
  it('asks the AI anew, for a person to decide on, whatever the mode', async () => {
    const stage = await scene({ reply_mode: 'auto' })
    const { status, body } = await stage.act('POST', '/regenerate', { instruction: 'Shorter.' })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        status: 'pending',
        decision: null,
        gate: [],
        generation: 2,
        instruction: 'Shorter.',
        decided_at: null,
        send: expect.objectContaining({ state: 'skipped' }),
      }),
    ])
    const { last, events: told } = await trail(stage)
    expect(last).toEqual({ action: 'draft.regenerated', actor_type: 'user', actor_id: stage.user_id })
    expect(told).toEqual(expect.arrayContaining(['conversation.updated', 'draft.requested']))

    await stage.world.drain()
    const again = (await stage.act('GET', '')).body
    expect([again.status, again.decision]).toEqual(['ready', 'needs_review'])
    expect(again.gate).toContainEqual({
      rule: 'no_human_activity',
      passed: false,
      detail: 'A person has acted in the conversation since the message came.',
    })
    expect((await stage.act('POST', '/approve')).status).toBe(200)
    expect((await trail(stage)).sends.map(({ state, dedupe_key }) => [state, dedupe_key])).toEqual([
      ['skipped', `reply:${stage.arrival.message_id}:1`],
      ['scheduled', `reply:${stage.arrival.message_id}:2`],
    ])
  })

  it('brings a rejected draft back, also while replies are off', async () => {
    const stage = await scene()
    await stage.act('POST', '/reject')
    await stage.world.sql(
      q.update(organizations).set({ reply_mode: 'off' }).where(eq(organizations.id, stage.org.id)),
    )
    expect((await stage.act('POST', '/regenerate')).status).toBe(200)
    await stage.world.drain()
    expect((await stage.act('GET', '')).body).toMatchObject({
      status: 'ready',
      reject_reason: null,
      decided_by: null,
    })
  })

  it('is refused while the AI is writing', async () => {
    const stage = await scene()
    expect((await stage.act('POST', '/regenerate')).status).toBe(200)
    expect((await stage.act('POST', '/regenerate')).status).toBe(409)
  })
})

describe('every route', () => {
  const routes = [
    ['GET', '', undefined],
    ['PATCH', '', { text: 'Hello.' }],
    ['POST', '/approve', {}],
    ['POST', '/reject', {}],
    ['POST', '/regenerate', {}],
  ] as const

  it.each(routes)(
    '%s /drafts/{id}%s asks for a token, and does not know drafts of others',
    async (method, path, body) => {
      const { world, draft_id } = await scene()
      const stranger = await (await world.organization()).as('owner')
      const ask = async (id: string, token?: string) =>
        (
          await world.request(method, `/api/v1/drafts/${id}${path}`, {
            body,
            ...(token === undefined ? {} : { token }),
          })
        ).status
      expect([
        await ask(draft_id),
        await ask(draft_id, 'a.b.c'),
        await ask(draft_id, stranger.token),
        await ask(world.ctx().newId(), stranger.token),
        await ask('7', stranger.token),
      ]).toEqual([401, 401, 404, 404, 400])
      const [[row]] = await world.sql(q.select().from(drafts).where(eq(drafts.id, draft_id)))
      expect([row?.status, row?.version]).toEqual(['ready', 2])
    },
  )

  it('may be used by every role', async () => {
    const { world, org, draft_id } = await scene()
    for (const role of ['owner', 'admin', 'manager', 'agent'] as const) {
      const { token } = await org.as(role)
      const answer = await world.request('PATCH', `/api/v1/drafts/${draft_id}`, {
        token,
        body: { text: role },
      })
      expect([role, answer.status]).toEqual([role, 200])
    }
  })

  it('is the same under /api', async () => {
    const { world, org, draft_id } = await scene()
    const { token } = await org.as('agent')
    expect((await world.request('GET', `/api/drafts/${draft_id}`, { token })).status).toBe(200)
  })

  it('refuses a body over 1 MB', async () => {
    const { act } = await scene()
    expect((await act('POST', '/approve', { text: 'a'.repeat(1024 * 1024) })).status).toBe(413)
  })
})
