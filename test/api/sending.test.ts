import { eq, inArray } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, conversations, messages } from '#db/schema/conversations'
import { events } from '#db/schema/platform'
import { outbox_mails, sends, suppressions } from '#db/schema/sending'
import { addSeconds } from '#kernel/clock'
import { arrive } from '#test/arrivals'
import { arrangeReply, insertMailbox, readSend } from '#test/sends'
import { createWorld, read, type World } from '#test/world'

interface Problem {
  code: string
}

async function createScene(settings: Parameters<World['organization']>[0] = {}) {
  const world = createWorld()
  world.fetch = async () => new Response('ok')
  const org = await world.organization(settings)
  const agent = await org.as('agent')
  const stranger = await (await world.organization()).as('owner')
  const as = (token: string) => (method: string, path: string, body?: unknown) =>
    world.request(method, `/api/v1${path}`, { token, ...(body === undefined ? {} : { body }) })
  return { world, org, agent, request: as(agent.token), foreign: as(stranger.token) }
}

describe('GET /sends', () => {
  it('lists all outgoing mail, newest first, page by page', async () => {
    const { world, org, request, foreign } = await createScene()
    const ids: string[] = []
    for (let i = 0; i < 5; i++) {
      world.clock.advance(1)
      ids.unshift((await arrangeReply(world, org)).send_id)
    }
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const path: string = `/sends?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`
      const { status, body } = await read<{ data: { id: string }[]; next_cursor: string | null }>(
        await request('GET', path),
      )
      expect(status).toBe(200)
      seen.push(...body.data.map((send) => send.id))
      cursor = body.next_cursor
    } while (cursor !== null)
    expect(seen).toEqual(ids)
    expect(await read(await foreign('GET', '/sends'))).toEqual({
      status: 200,
      body: { data: [], next_cursor: null },
    })
  })

  it('pages through sends of the same instant without losing or doubling one', async () => {
    const { world, org, request } = await createScene()
    const ids: string[] = []
    for (let i = 0; i < 4; i++) ids.push((await arrangeReply(world, org)).send_id)
    await world.sql(
      q
        .update(sends)
        .set({ created_at: new Date(0) })
        .where(inArray(sends.id, ids)),
    )
    const first = await read<{ data: { id: string }[]; next_cursor: string }>(
      await request('GET', '/sends?limit=2'),
    )
    const second = await read<{ data: { id: string }[] }>(
      await request('GET', `/sends?limit=2&cursor=${first.body.next_cursor}`),
    )
    expect([...first.body.data, ...second.body.data].map((send) => send.id)).toEqual(
      ids.toSorted().toReversed(),
    )
  })

  it('filters by kind, state, recipient and lead', async () => {
    const { world, org, request } = await createScene()
    const one = await arrangeReply(world, org, { email: 'one@buyer.test' })
    const two = await arrangeReply(world, org, { email: 'two@buyer.test' })
    await world.sql(
      q.update(sends).set({ state: 'failed', kind: 'welcome' }).where(eq(sends.id, two.send_id)),
    )
    const found = async (query: string) => {
      const { body } = await read<{ data: { id: string }[] }>(await request('GET', `/sends?${query}`))
      return body.data.map((send) => send.id)
    }
    expect(await found('kind=welcome')).toEqual([two.send_id])
    expect(await found('state=scheduled')).toEqual([one.send_id])
    expect(await found('to=One@Buyer.test')).toEqual([one.send_id])
    expect(await found(`lead_id=${two.lead_id}`)).toEqual([two.send_id])
    expect(await found('kind=reply&state=failed')).toEqual([])
  })

  it.each(['kind=spam', 'state=gone', 'lead_id=1', 'limit=0', 'cursor=x'])('refuses %s', async (query) => {
    const { request } = await createScene()
    const { status, body } = await read<Problem>(await request('GET', `/sends?${query}`))
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid' })
  })
})

describe('GET /sends/{id}', () => {
  it('shows one send: why it waits, and nothing of our machinery', async () => {
    const { world, org, request, foreign } = await createScene()
    const reply = await arrangeReply(world, org, { due_at: addSeconds(world.clock.now(), 60) })
    const row = await readSend(world, reply.send_id)
    const response = await request('GET', `/sends/${reply.send_id}`)
    expect(response.headers.get('ETag')).toBe(`"${row.updated_at.getTime().toString(36)}"`)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        id: reply.send_id,
        kind: 'reply',
        state: 'scheduled',
        transport: 'outbox',
        automatic: true,
        to: row.to_email,
        to_name: 'Ada',
        subject: 'Re: Pricing?',
        text: 'Ten seats cost 90.',
        mailbox_id: null,
        conversation_id: reply.conversation_id,
        lead_id: reply.lead_id,
        draft_id: reply.draft_id,
        attempts: 0,
        next_attempt_at: row.next_attempt_at.toISOString(),
        waits_because: 'undo_window',
        skip_reason: null,
        last_error: null,
        send_started_at: null,
        sent_at: null,
        delivered_at: null,
        bounced_at: null,
        bounce: null,
        complained_at: null,
        created_by: null,
        created_at: row.created_at.toISOString(),
        updated_at: row.updated_at.toISOString(),
      },
    })
    const { status, body } = await read<Problem>(await foreign('GET', `/sends/${reply.send_id}`))
    expect({ status, code: body.code }).toEqual({ status: 404, code: 'not_found' })
  })

  it.each(['magic_link', 'invitation', 'password_reset'] as const)(
    'shows the text of a %s to nobody',
    async (kind) => {
      const { world, org, request } = await createScene()
      const { send_id } = await arrangeReply(world, org, { text: 'https://inlet.test/secret' })
      await world.sql(q.update(sends).set({ kind }).where(eq(sends.id, send_id)))
      for (const path of [`/sends/${send_id}`, '/sends']) {
        const text = await (await request('GET', path)).text()
        expect(text).toContain('"text":null')
        expect(text).not.toContain('secret')
      }
    },
  )
})

describe('POST /sends/{id}/resolve', () => {
  async function inReview() {
    const scene = await createScene()
    const reply = await arrangeReply(scene.world, scene.org)
    await scene.world.sql(
      q
        .update(sends)
        .set({
          state: 'review',
          attempts: 8,
          provider_draft_id: 'gone',
          send_started_at: scene.world.clock.now(),
        })
        .where(eq(sends.id, reply.send_id)),
    )
    return { ...scene, ...reply }
  }

  it('takes the word of a person that it was sent', async () => {
    const { world, org, agent, request, send_id, conversation_id } = await inReview()
    const { status, body } = await read(
      await request('POST', `/sends/${send_id}/resolve`, { outcome: 'sent' }),
    )
    expect({ status, state: body.state, sent_at: body.sent_at }).toEqual({
      status: 200,
      state: 'sent',
      sent_at: expect.any(String),
    })
    const [thread, told, audits] = await world.sql(
      q.select().from(messages).where(eq(messages.send_id, send_id)),
      q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)),
      q.select().from(audit_logs).where(eq(audit_logs.entity_id, send_id)),
    )
    expect(thread.map((message) => message.conversation_id)).toEqual([conversation_id])
    expect(told.map((event) => event.type)).toContain('message.sent')
    expect(audits.map((entry) => [entry.action, entry.actor_type, entry.actor_id])).toEqual([
      ['send.sent', 'user', agent.id],
    ])
  })

  it('sends it again, from the beginning, when a person says that it never left', async () => {
    const { world, request, send_id } = await inReview()
    const { status, body } = await read(
      await request('POST', `/sends/${send_id}/resolve`, { outcome: 'retry' }),
    )
    expect({ status, state: body.state, attempts: body.attempts }).toEqual({
      status: 200,
      state: 'scheduled',
      attempts: 0,
    })
    expect(await readSend(world, send_id)).toMatchObject({ provider_draft_id: null, send_started_at: null })
    await world.drain()
    expect((await readSend(world, send_id)).state).toBe('sent')
  })

  it('gives it up', async () => {
    const { world, org, request, send_id } = await inReview()
    const { status, body } = await read(
      await request('POST', `/sends/${send_id}/resolve`, { outcome: 'skip' }),
    )
    expect({ status, state: body.state, skip_reason: body.skip_reason }).toEqual({
      status: 200,
      state: 'skipped',
      skip_reason: 'resolved_by_a_person',
    })
    const [told] = await world.sql(q.select().from(events).where(eq(events.org_id, org.id)))
    expect(told.find((event) => event.type === 'send.ended')?.payload).toMatchObject({
      send_id,
      state: 'skipped',
    })
  })

  it.each(['sent', 'retry', 'skip'])(
    'decides once, though two people say %s at the same time',
    async (outcome) => {
      const { request, send_id } = await inReview()
      const answers = await Promise.all(
        [1, 2].map(() => request('POST', `/sends/${send_id}/resolve`, { outcome })),
      )
      expect(answers.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([200, 409])
    },
  )

  it('refuses a send that is not in review, an unknown outcome and a send of somebody else', async () => {
    const { world, org, request, foreign, send_id } = await inReview()
    const other = await arrangeReply(world, org)
    const answers = await Promise.all([
      request('POST', `/sends/${other.send_id}/resolve`, { outcome: 'sent' }),
      request('POST', `/sends/${send_id}/resolve`, { outcome: 'lost' }),
      foreign('POST', `/sends/${send_id}/resolve`, { outcome: 'skip' }),
      world.request('POST', `/api/v1/sends/${send_id}/resolve`, { body: { outcome: 'skip' } }),
    ])
    expect(answers.map((answer) => answer.status)).toEqual([409, 400, 404, 401])
    expect((await readSend(world, send_id)).state).toBe('review')
  })
})

describe('POST /conversations/{id}/messages', () => {
  it('answers the newest message by hand, in its thread, and lets no automatic answer follow', async () => {
    const { world, org, agent, request } = await createScene({ undo_seconds: 30 })
    const automatic = await arrangeReply(world, org, { email: 'ada@buyer.test' })
    const { conversation_id, lead_id } = automatic
    const newest = world.ctx().newId()
    await world.sql(
      q.insert(messages).values({
        id: newest,
        org_id: org.id,
        conversation_id,
        direction: 'inbound',
        channel: 'email',
        from_email: 'Ada@Buyer.test',
        from_name: 'Ada L.',
        message_id: '<newest@buyer.test>',
        references: ['<first@buyer.test>'],
        subject: 'RE: Pricing?',
        text: 'And 20?',
        stripped_text: 'And 20?',
        received_at: addSeconds(world.clock.now(), 1),
      }),
    )
    const { status, body } = await read(
      await request('POST', `/conversations/${conversation_id}/messages`, { text: ' Twenty cost 170. ' }),
    )
    expect({ status, ...body, id: 0, created_at: 0, updated_at: 0, next_attempt_at: 0 }).toEqual({
      status: 201,
      id: 0,
      kind: 'reply',
      state: 'scheduled',
      transport: 'outbox',
      automatic: false,
      to: 'ada@buyer.test',
      to_name: 'Ada L.',
      subject: 'Re: Pricing?',
      text: 'Twenty cost 170.',
      mailbox_id: null,
      conversation_id,
      lead_id,
      draft_id: null,
      attempts: 0,
      next_attempt_at: 0,
      waits_because: 'undo_window',
      skip_reason: null,
      last_error: null,
      send_started_at: null,
      sent_at: null,
      delivered_at: null,
      bounced_at: null,
      bounce: null,
      complained_at: null,
      created_by: agent.id,
      created_at: 0,
      updated_at: 0,
    })
    const send = await readSend(world, String(body.id))
    expect({ in_reply_to: send.in_reply_to, references: send.references }).toEqual({
      in_reply_to: '<newest@buyer.test>',
      references: ['<first@buyer.test>', '<newest@buyer.test>'],
    })
    expect(send.next_attempt_at.getTime() - send.created_at.getTime()).toBe(30_000)
    expect(await readSend(world, automatic.send_id)).toMatchObject({
      state: 'skipped',
      skip_reason: 'answered_by_a_person',
    })
    const [[conversation], audits] = await world.sql(
      q.select().from(conversations).where(eq(conversations.id, conversation_id)),
      q.select().from(audit_logs).where(eq(audit_logs.entity_id, send.id)),
    )
    const apart = (conversation?.last_human_activity_at?.getTime() ?? 0) - send.created_at.getTime()
    expect(Math.abs(apart)).toBeLessThan(1000)
    expect(audits.map((entry) => [entry.action, entry.actor_id])).toEqual([['send.scheduled', agent.id]])
  })

  it('leaves after the time to take it back, and not before', async () => {
    const { world, org, request } = await createScene({ undo_seconds: 30 })
    const { conversation_id } = await arrive(world, org)
    const { body } = await read(
      await request('POST', `/conversations/${conversation_id}/messages`, { text: 'Hello' }),
    )
    const wakeups = world.queued.filter((message) => message.queue === 'sends')
    expect(wakeups.map((message) => message.delay_seconds)).toEqual([30])
    await world.drain()
    expect((await readSend(world, String(body.id))).state).toBe('scheduled')
    world.clock.advance(31)
    await world.tick('* * * * *')
    await world.drain()
    const [[mail]] = await world.sql(
      q
        .select()
        .from(outbox_mails)
        .where(eq(outbox_mails.send_id, String(body.id))),
    )
    expect(mail?.raw).toContain('\r\n\r\nHello')
    expect(mail?.raw).not.toContain('Auto-Submitted')
  })

  it('answers from the mailbox of the conversation', async () => {
    const { world, org, request } = await createScene()
    const mailbox_id = await insertMailbox(world, org)
    const { conversation_id } = await arrangeReply(world, org, { mailbox_id })
    const { body } = await read(
      await request('POST', `/conversations/${conversation_id}/messages`, { text: 'Hello' }),
    )
    expect(await readSend(world, String(body.id))).toMatchObject({
      transport: 'mailbox',
      mailbox_id,
      provider_thread_id: `thread-${conversation_id}`,
    })
  })

  it('writes to the contact when the message itself names no address', async () => {
    const { world, org, request } = await createScene()
    const arrival = await arrive(world, org, { email: 'ada@buyer.test' })
    await world.sql(
      q.update(messages).set({ from_email: '+43 1 234' }).where(eq(messages.id, arrival.message_id)),
    )
    const { status, body } = await read(
      await request('POST', `/conversations/${arrival.conversation_id}/messages`, { text: 'Hello' }),
    )
    expect({ status, to: body.to }).toEqual({ status: 201, to: 'ada@buyer.test' })
  })

  it('refuses where there is nobody to write to', async () => {
    const { world, org, request } = await createScene()
    const arrival = await arrive(world, org)
    await world.sql(
      q.update(messages).set({ from_email: null }).where(eq(messages.id, arrival.message_id)),
      q.update(conversations).set({ contact_id: null }).where(eq(conversations.id, arrival.conversation_id)),
    )
    const { status, body } = await read<Problem>(
      await request('POST', `/conversations/${arrival.conversation_id}/messages`, { text: 'Hello' }),
    )
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'unprocessable' })
  })

  it('refuses a suppressed recipient at once, instead of skipping the mail in silence', async () => {
    const { world, org, request } = await createScene()
    const arrival = await arrive(world, org, { email: 'ada@buyer.test' })
    const id = world.ctx().newId()
    await world.sql(
      q.insert(suppressions).values({
        id,
        org_id: org.id,
        kind: 'domain',
        value_norm: 'buyer.test',
        reason: 'complaint',
      }),
    )
    const { status, body } = await read<Problem>(
      await request('POST', `/conversations/${arrival.conversation_id}/messages`, { text: 'Hello' }),
    )
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'unprocessable' })
  })

  it('refuses strangers, other organizations, unknown conversations and empty texts', async () => {
    const { world, org, request, foreign } = await createScene()
    const { conversation_id } = await arrive(world, org)
    const path = `/conversations/${conversation_id}/messages`
    const answers = await Promise.all([
      world.request('POST', `/api/v1${path}`, { body: { text: 'Hello' } }),
      foreign('POST', path, { text: 'Hello' }),
      request('POST', `/conversations/${crypto.randomUUID()}/messages`, { text: 'Hello' }),
      request('POST', path, { text: '  ' }),
      request('POST', path, { text: 'Hello', to: 'other@buyer.test' }),
    ])
    expect(answers.map((answer) => answer.status)).toEqual([401, 404, 404, 400, 400])
    const [rows] = await world.sql(q.select().from(sends).where(eq(sends.org_id, org.id)))
    expect(rows).toEqual([])
  })

  it('cannot be talked into another recipient by a hostile message', async () => {
    const { world, org, request } = await createScene()
    const arrival = await arrive(world, org, {
      email: 'ada@buyer.test',
      name: 'Ada\r\nBcc: evil@evil.test',
      subject: 'Hi\r\nBcc: evil@evil.test',
    })
    await world.sql(
      q
        .update(messages)
        .set({
          message_id: '<a@b.test>\r\nBcc: evil@evil.test',
          references: ['<x@y.test>\r\nBcc: evil@evil.test'],
        })
        .where(eq(messages.id, arrival.message_id)),
      q.update(contacts).set({ name: 'x\r\nCc: evil@evil.test' }).where(eq(contacts.id, arrival.contact_id)),
    )
    const { body } = await read(
      await request('POST', `/conversations/${arrival.conversation_id}/messages`, { text: 'Hello' }),
    )
    await world.drain()
    const [[mail]] = await world.sql(
      q
        .select()
        .from(outbox_mails)
        .where(eq(outbox_mails.send_id, String(body.id))),
    )
    const names = (mail?.raw ?? '')
      .slice(0, mail?.raw.indexOf('\r\n\r\n'))
      .split('\r\n')
      .filter((line) => !/^[ \t]/.test(line))
      .map((line) => line.slice(0, line.indexOf(':')).toLowerCase())
    expect(names).not.toContain('bcc')
    expect(names.filter((name) => name === 'to')).toEqual(['to'])
  })
})
