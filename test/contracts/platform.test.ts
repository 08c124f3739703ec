// Faults between us and what we stand on: a gateway that answers nonsense, a queue that refuses, a tick that fires twice.
import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { leads } from '#db/schema/leads'
import { messages } from '#db/schema/conversations'
import { dead_letters, events, sweep_runs } from '#db/schema/platform'
import { sends, suppressions } from '#db/schema/sending'
import { addSeconds } from '#kernel/clock'
import { consume } from '#platform/queue'
import { jobs } from '#registry/jobs'
import { connectMailbox, deliver } from '#test/google'
import { createWorld, read } from '#test/world'

describe('a database gateway that answers nonsense', () => {
  it('is an outage without a word about itself, and what was sent again is one lead', async () => {
    const world = createWorld()
    const org = await world.organization()
    const real = globalThis.fetch
    const gateway = `${world.ctx().config.NEON_GATEWAY_URL}/sql`
    const answers: (() => Promise<Response>)[] = [
      async () => new Response('<html>502 Bad Gateway</html>', { headers: { 'Content-Type': 'text/html' } }),
      async () => new Response('{"results":[{"rows":', { headers: { 'Content-Type': 'application/json' } }),
      async () => {
        throw new TypeError('connection reset')
      },
      async () => new Response('{"message":"Control plane request failed"}', { status: 503 }),
    ]
    const body = { email: 'ada@buyer.test', message: 'Hello' }
    const headers = { 'Idempotency-Key': 'k' }
    const { token } = await org.as('owner')
    const ids = new Set<unknown>()
    for (const [index, answer] of answers.entries()) {
      // An isolate that has not heard of the outage yet.
      const fresh = createWorld()
      globalThis.fetch = async (input, init) => {
        const url = new Request(input).url
        if (url !== gateway) return real(input, init)
        // The second half has its effect before the answer is lost.
        if (index >= 2) await real(input, init)
        return answer()
      }
      const asked = await fresh.request('GET', '/api/v1/leads', { token })
      const posted = await read(await fresh.request('POST', `/lead/${org.slug}`, { body, headers }))
      globalThis.fetch = real
      const { status, body: problem } = await read(asked)
      expect({ status, code: problem.code, retry: asked.headers.get('Retry-After') }).toEqual({
        status: 503,
        code: 'unavailable',
        retry: '5',
      })
      expect(JSON.stringify([problem, posted])).not.toMatch(/127\.0\.0\.1|postgres|inlet_login|html/)
      expect({ status: posted.status, is: posted.body['status'] }).toEqual({ status: 202, is: 'queued' })
      ids.add(posted.body['leadId'])
    }
    await world.tick('*/5 * * * *')
    const again = await read(await world.request('POST', `/lead/${org.slug}`, { body, headers }))
    expect(again.status).toBe(200)
    expect([...ids]).toEqual([again.body['leadId']])
    const [rows, trail] = await world.sql(
      q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, org.id)),
      q.select({ id: audit_logs.id }).from(audit_logs).where(eq(audit_logs.org_id, org.id)),
    )
    expect({ leads: rows.length, audit: trail.length }).toEqual({ leads: 1, audit: 1 })
  })
})

describe('a queue that refuses', () => {
  it('costs the request nothing: the event stays and the sweep relays it', async () => {
    const world = createWorld()
    const org = await world.organization()
    const full = {
      ...world.env.EVENTS_QUEUE,
      sendBatch: async () => Promise.reject(new Error('Too Many Requests')),
    } as Queue
    const { EVENTS_QUEUE } = world.env
    world.env.EVENTS_QUEUE = full
    expect(
      (
        await world.request('POST', `/lead/${org.slug}`, {
          body: { email: 'ada@buyer.test', message: 'What do 10 seats cost?' },
        })
      ).status,
    ).toBe(201)
    world.env.EVENTS_QUEUE = EVENTS_QUEUE
    expect(world.queued).toEqual([])
    await world.sql(
      q
        .update(events)
        .set({ created_at: addSeconds(new Date(), -60) })
        .where(eq(events.org_id, org.id)),
    )
    await world.tick('* * * * *')
    await world.drain()
    const [rows, sent] = await world.sql(
      q.select({ dispatched_at: events.dispatched_at }).from(events).where(eq(events.org_id, org.id)),
      q
        .select({ state: sends.state })
        .from(sends)
        .where(and(eq(sends.org_id, org.id), eq(sends.kind, 'reply'))),
    )
    expect(rows.every((row) => row.dispatched_at !== null)).toBe(true)
    expect(sent).toEqual([{ state: 'sent' }])
  })
})

describe('a batch with poison in it', () => {
  it('is acked but for the poison, which becomes dead letters that the operator sees', async () => {
    const world = createWorld()
    const org = await world.organization()
    const settled: string[] = []
    const message = (id: string, body: unknown): Message => ({
      id,
      timestamp: new Date(),
      body,
      attempts: 1,
      ack: () => void settled.push(`ack ${id}`),
      retry: () => void settled.push(`retry ${id}`),
    })
    const good = { job: 'relay-events', payload: { event_ids: [] } }
    const bodies: [string, unknown][] = [
      ['good-1', good],
      ['text', 'not a message'],
      ['null', null],
      ['unknown', { job: 'no-such-job', payload: {} }],
      ['wrong', { job: 'deliver-send', payload: { org_id: org.id, send_id: 'no uuid' } }],
      ['time', { ...good, as_of: 'yesterday' }],
      ['good-2', good],
    ]
    const batch = {
      queue: 'inlet-events',
      messages: bodies.map(([id, body]) => message(id, body)),
      ackAll: () => undefined,
      retryAll: () => undefined,
      metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
    } as MessageBatch
    await consume(batch, world.env, { waitUntil: () => undefined }, jobs)
    expect(settled.sort()).toEqual(bodies.map(([id]) => `ack ${id}`).sort())
    const [letters] = await world.sql(
      q
        .select({ job: dead_letters.job, failure: dead_letters.failure })
        .from(dead_letters)
        .where(eq(dead_letters.org_id, org.id)),
    )
    expect(letters).toEqual([
      { job: 'deliver-send', failure: expect.objectContaining({ code: 'poison_message' }) },
    ])
  })
})

describe('a tick', () => {
  it('that fires twice for one slot has one run record, and skipped hours are caught up by the next', async () => {
    const world = createWorld()
    const at = addSeconds(new Date(), Math.floor(Math.random() * 1e6) + 10_000)
    await Promise.all([world.tick('*/30 * * * *', at), world.tick('*/30 * * * *', at)])
    const [runs] = await world.sql(
      q
        .select({ name: sweep_runs.name, finished: sweep_runs.finished_at })
        .from(sweep_runs)
        .where(eq(sweep_runs.scheduled_at, at)),
    )
    expect(runs.map((run) => run.name).sort()).toEqual([...new Set(runs.map((run) => run.name))].sort())
    expect(runs.every((run) => run.finished !== null)).toBe(true)
  })
})

describe('a hard bounce', () => {
  it('marks the send and keeps the address from ever being written to again', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'draft' })
    const mailbox = await connectMailbox(world, org)
    const person = await org.as('owner')
    const from = `gone-${crypto.randomUUID().slice(0, 8)}@buyer.test`
    await deliver(mailbox.email, { from })
    await world.ctx().mailboxes(mailbox.id).sync(new Date().toISOString())
    const [[inbound]] = await world.sql(
      q
        .select({ conversation_id: messages.conversation_id })
        .from(messages)
        .where(eq(messages.org_id, org.id)),
    )
    const path = `/api/v1/conversations/${inbound?.conversation_id ?? ''}/messages`
    expect(
      (await world.request('POST', path, { token: person.token, body: { text: 'Here is our offer.' } }))
        .status,
    ).toBeLessThan(300)
    await world.drain()
    const [[sent]] = await world.sql(
      q
        .select({ state: sends.state, message_id: sends.message_id })
        .from(sends)
        .where(eq(sends.org_id, org.id)),
    )
    expect(sent?.state).toBe('sent')
    const report = [
      'Return-Path: <>',
      'From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>',
      `To: ${mailbox.email}`,
      'Subject: Delivery Status Notification (Failure)',
      `Message-ID: <${crypto.randomUUID()}@mx.google.com>`,
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
      '',
      '--b',
      'Content-Type: text/plain',
      '',
      'The address was not found.',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; googlemail.com',
      '',
      `Final-Recipient: rfc822; ${from}`,
      'Action: failed',
      'Status: 5.1.1',
      '',
      '--b',
      'Content-Type: message/rfc822',
      '',
      `Message-ID: ${sent?.message_id ?? ''}`,
      `To: ${from}`,
      'Subject: Re: Pricing?',
      '',
      'Here is our offer.',
      '--b--',
    ].join('\r\n')
    await deliver(mailbox.email, { raw: report })
    await world.ctx().mailboxes(mailbox.id).sync(new Date().toISOString())
    const [marked, suppressed, found] = await world.sql(
      q
        .select({ bounce: sends.bounce, bounced: sends.bounced_at })
        .from(sends)
        .where(eq(sends.org_id, org.id)),
      q
        .select({ value: suppressions.value_norm, reason: suppressions.reason })
        .from(suppressions)
        .where(eq(suppressions.org_id, org.id)),
      q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, org.id)),
    )
    expect({ marked, suppressed, leads: found.length }).toEqual({
      marked: [
        { bounced: expect.any(Date), bounce: { hard: true, status: '5.1.1', detail: 'unknown_user' } },
      ],
      suppressed: [{ value: from, reason: 'hard_bounce' }],
      leads: 1,
    })
    expect(
      (await world.request('POST', path, { token: person.token, body: { text: 'Again?' } })).status,
    ).toBe(422)
  })
})

describe('every answer', () => {
  it('carries the request id that came in, or one of its own', async () => {
    const world = createWorld()
    const mine = await world.request('GET', '/api/v1/leads', { headers: { 'X-Request-Id': 'my-id-1' } })
    expect({ header: mine.headers.get('X-Request-Id'), body: (await read(mine)).body.request_id }).toEqual({
      header: 'my-id-1',
      body: 'my-id-1',
    })
    const forged = await world.request('GET', '/api/v1/leads', {
      headers: { 'X-Request-Id': 'x'.repeat(500) },
    })
    expect(forged.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('allows only the configured origins', async () => {
    const world = createWorld()
    const preflight = (origin: string) =>
      world.request('OPTIONS', '/api/v1/leads', {
        headers: {
          Origin: origin,
          'Access-Control-Request-Method': 'GET',
          'Access-Control-Request-Headers': 'authorization',
        },
      })
    expect((await preflight('http://console.test')).headers.get('Access-Control-Allow-Origin')).toBe(
      'http://console.test',
    )
    expect((await preflight('http://evil.test')).headers.get('Access-Control-Allow-Origin')).toBeNull()
  })
})

describe('messages of one batch that a job can do at once', () => {
  it('are one run, acked together', async () => {
    const world = createWorld()
    const org = await world.organization()
    for (let i = 0; i < 5; i++)
      await world.request('POST', `/lead/${org.slug}`, {
        body: { email: `p${i}@buyer.test`, message: `Hello ${i}` },
      })
    const kicks = world.queued.splice(0)
    const acked: string[] = []
    const messages = kicks.map(({ body }, i) => ({
      id: String(i),
      timestamp: new Date(),
      body,
      attempts: 1,
      ack: () => void acked.push(String(i)),
      retry: () => undefined,
    }))
    const batch = {
      queue: 'inlet-events',
      messages,
      ackAll: () => undefined,
      retryAll: () => undefined,
      metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
    } as MessageBatch
    await consume(batch, world.env, { waitUntil: () => undefined }, jobs)
    const [rows] = await world.sql(
      q.select({ dispatched_at: events.dispatched_at }).from(events).where(eq(events.org_id, org.id)),
    )
    expect({
      kicks: kicks.length,
      acked: acked.length,
      relayed: rows.filter((row) => row.dispatched_at !== null).length,
      drafts: world.queued.filter(({ queue }) => queue === 'drafts').length,
    }).toEqual({
      kicks: 5,
      acked: 5,
      relayed: 15,
      drafts: 5,
    })
  })
})
