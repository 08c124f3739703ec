// Everything that the product writes while strangers, users and providers hand it marked values: none of them is in it.
import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { q, raw } from '#db/client'
import { drafts } from '#db/schema/drafting'
import { sends } from '#db/schema/sending'
import { connectMailbox, deliver } from '#test/google'
import { operatorToken } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'
import { consume } from '#platform/queue'
import { runSweep, tick } from '#platform/scheduler'
import type { AppJob } from '#platform/context'

const MARK = 'Xq7Marked'
const marked = {
  address: `${MARK}.ada@${MARK}-buyer.test`.toLowerCase(),
  name: `Ada ${MARK}`,
  phone: '+49171555091827',
  text: `What do ten seats cost? ${MARK}-body`,
  subject: `${MARK}-subject`,
  token: `${MARK}-token-0123456789abcdef`,
  password: `${MARK}-password-123`,
}
const IP = '203.0.113.77'
/** Whatever of the above may be cut, folded or encoded. */
const MARKS = [
  MARK,
  encodeURIComponent(marked.address),
  btoa(marked.address),
  marked.phone,
  marked.phone.slice(1),
  IP,
]

let written: string[]
const levels = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const

beforeEach(() => {
  written = []
  for (const level of levels)
    vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => {
      written.push(parts.map(plain).join(' '))
    })
})
afterEach(() => vi.restoreAllMocks())

/** As a console would show it: an error with its message and stack. */
function plain(part: unknown): string {
  if (part instanceof Error) return `${part.name} ${part.message} ${part.stack} ${plain(part.cause)}`
  return typeof part === 'string' ? part : (JSON.stringify(part) ?? String(part))
}

function expectClean() {
  expect(written.length).toBeGreaterThan(0)
  expect(
    written.filter((line) => MARKS.some((mark) => line.toLowerCase().includes(mark.toLowerCase()))),
  ).toEqual([])
}

/** Rows that say so, of the tables that hold ids, names of fields and codes only. */
async function rowsThatTell(world: World) {
  const found: Record<string, unknown[]> = {}
  for (const table of [
    'audit_logs',
    'events',
    'dead_letters',
    'rate_limits',
    'sweep_runs',
    'idempotency_keys',
  ]) {
    const [{ rows }] = await world.sql(
      raw<{ row: unknown }>(
        sql`select to_jsonb(t) as row from ${sql.identifier(table)} t
          where exists (select from unnest(${sql.param(MARKS)}::text[]) m where position(lower(m) in lower(to_jsonb(t)::text)) > 0)`,
      ),
    )
    if (rows.length > 0) found[table] = rows
  }
  return found
}

const form = { email: marked.address, name: marked.name, phone: marked.phone, message: marked.text }
const headers = { 'CF-Connecting-IP': IP, 'Idempotency-Key': `${MARK}-key` }

/** The requests, and that each was answered as it is meant to be: a 404 for a route that moved would prove nothing. */
async function ask(
  world: World,
  ...[method, path, options, status]: [string, string, Parameters<World['request']>[2], number]
) {
  const response = await world.request(method, path, options)
  expect([method, path, response.status]).toEqual([method, path, status])
  return response
}

async function siteToken(world: World, org: TestOrganization): Promise<string> {
  const { token } = await org.as('owner')
  const { body } = await read<{ token: string }>(
    await world.request('POST', '/api/v1/site-tokens', { token, body: { name: 'Site' } }),
  )
  return body.token
}

describe('nothing that was marked is in the log or in what holds ids only', () => {
  it('of leads by form, backend and channel, taken in, doubled and refused', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_PER_MINUTE: '5' })
    const org = await world.organization()
    await ask(world, 'POST', `/lead/${org.slug}`, { body: form, headers }, 201)
    await ask(world, 'POST', `/lead/${org.slug}`, { body: { ...form, message: 'other' }, headers }, 422)
    await ask(world, 'POST', `/lead/${org.slug}`, { body: { ...form, email: marked.text } }, 400)
    await ask(world, 'POST', `/lead/${org.slug}`, { body: `{"email":"${marked.address}` }, 400)
    await ask(world, 'POST', `/lead/${MARK.toLowerCase()}-nobody`, { body: form }, 404)
    await ask(
      world,
      'POST',
      `/lead/${org.slug}?email=${marked.address}`,
      { body: { ...form, email: `x${marked.address}` } },
      201,
    )
    for (let i = 0; i < 6; i++)
      await world.request('POST', `/lead/${org.slug}`, {
        body: { ...form, message: `${i}` },
        headers: { 'CF-Connecting-IP': IP },
      })
    const token = await siteToken(world, org)
    await ask(
      world,
      'POST',
      '/inbound/leads',
      { token, body: form, headers: { 'Idempotency-Key': `${MARK}-backend` } },
      201,
    )
    await ask(
      world,
      'POST',
      '/inbound/leads',
      { token, body: form, headers: { 'Idempotency-Key': `${MARK}-backend` } },
      200,
    )
    await ask(world, 'POST', '/inbound/leads', { token: marked.token, body: form }, 401)
    await world.request('POST', '/inbound/leads', {
      token,
      body: { ...form, [marked.name]: marked.text },
    })
    await world.request('POST', '/inbound/leads', {
      token,
      body: { email: marked.address, message: `${marked.text}\u0000` },
    })
    await ask(world, 'POST', '/inbound/leads', { token, body: { ...form, email: marked.text } }, 400)
    await ask(
      world,
      'POST',
      '/api/v1/webhooks/whatsapp',
      {
        token,
        body: { message_id: `${MARK}-1`, from: marked.phone, from_name: marked.name, body: marked.text },
      },
      202,
    )
    await world.drain()
    await world.tick('* * * * *')
    await world.drain()
    expectClean()
    expect(written.join()).not.toContain(token)
    expect(await rowsThatTell(world)).toEqual({})
  })

  it('of a mail to a connected mailbox, its draft, its answer and a failing AI', async () => {
    const world = createWorld({
      AI_PROVIDER: 'openai',
      OPENAI_API_KEY: marked.token,
      OPENAI_BASE_URL: 'http://ai.test/v1',
    })
    const org = await world.organization({ reply_mode: 'draft', ai_provider: 'openai' })
    const { token } = await org.as('owner')
    world.fetch = async (input, init) => {
      if (String(input instanceof Request ? input.url : input).startsWith('http://ai.test'))
        throw new TypeError(`fetch failed for ${marked.address}: ${marked.text}`)
      return fetch(input, init)
    }
    const mailbox = await connectMailbox(world, org)
    await deliver(mailbox.email, {
      from: `${marked.name} <${marked.address}>`,
      subject: marked.subject,
      body: marked.text,
      message_id: `<${crypto.randomUUID()}@${MARK}.test>`,
    })
    // Broken on purpose: a part that never ends, and a header of nonsense.
    await deliver(mailbox.email, {
      raw: `From: ${marked.address}\r\nTo: ${mailbox.email}\r\nSubject: =?x?q?${marked.subject}\r\nContent-Type: multipart/mixed; boundary="${MARK}"\r\n\r\n--${MARK}\r\nContent-Type: ${MARK}/\r\n\r\n${marked.text}`,
    })
    await world.ctx().mailboxes(mailbox.id).sync(new Date().toISOString())
    await vi.waitFor(
      async () => {
        await world.drain()
        const [rows] = await world.sql(q.select().from(drafts).where(eq(drafts.org_id, org.id)))
        expect(rows.length).toBeGreaterThan(0)
        expect(rows.every(({ status }) => status !== 'pending')).toBe(true)
      },
      { timeout: 15_000, interval: 100 },
    )
    const [[draft]] = await world.sql(q.select().from(drafts).where(eq(drafts.org_id, org.id)))
    await ask(
      world,
      'POST',
      `/api/v1/drafts/${draft?.id}/approve`,
      { token, body: { text: `Dear ${marked.name}, ${marked.text}` } },
      200,
    )
    await ask(
      world,
      'POST',
      `/api/v1/conversations/${draft?.conversation_id}/messages`,
      { token, body: { text: marked.text } },
      201,
    )
    await ask(
      world,
      'POST',
      `/api/v1/conversations/${draft?.conversation_id}/comments`,
      { token, body: { body: marked.text } },
      201,
    )
    await world.drain()
    await world.tick('* * * * *')
    await world.drain()
    const [rows] = await world.sql(
      q.select({ state: sends.state }).from(sends).where(eq(sends.org_id, org.id)),
    )
    expect(rows.map(({ state }) => state)).toContain('sent')
    expectClean()
    expect(await rowsThatTell(world)).toEqual({})
  })

  it('of sign-ins, OAuth errors, links to unsubscribe and paths that lead nowhere', async () => {
    const world = createWorld()
    const email = `${crypto.randomUUID().slice(0, 8)}-${marked.address}`
    const { password, token, name } = marked
    await ask(world, 'POST', '/api/v1/auth/register', { body: { name, email, password } }, 201)
    await ask(world, 'POST', '/api/v1/auth/register', { body: { name, email, password } }, 409)
    await ask(world, 'POST', '/api/v1/auth/login', { body: { email, password }, headers }, 200)
    await ask(
      world,
      'POST',
      '/api/v1/auth/login',
      { body: { email, password: `${password}-wrong` }, headers },
      401,
    )
    await ask(world, 'POST', '/api/v1/auth/login', { body: { email: marked.text, password } }, 401)
    await ask(world, 'POST', '/api/v1/auth/refresh', { body: { refresh_token: token } }, 401)
    await ask(world, 'POST', '/admin/login', { body: { username: marked.address, password } }, 401)
    await ask(world, 'GET', '/api/v1/leads', { token }, 401)
    const query = `state=${token}&code=${token}`
    await ask(world, 'GET', `/oauth/google/callback?${query}`, {}, 400)
    await ask(
      world,
      'GET',
      `/oauth/google/callback?error=access_denied&error_description=${marked.subject}&state=${token}`,
      {},
      400,
    )
    await ask(
      world,
      'POST',
      `/webhooks/gmail/push?token=${token}`,
      { body: { message: { data: btoa(marked.address) } } },
      401,
    )
    for (const method of ['GET', 'POST']) {
      await world.request(
        method,
        `/u/${token}`,
        method === 'POST' ? { body: `List-Unsubscribe=One-Click&x=${marked.address}` } : {},
      )
      await world.request(method, `/f/${MARK}?x=${marked.address}`)
    }
    await ask(world, 'GET', `/nowhere/${marked.address}?email=${marked.address}`, {}, 404)
    await ask(world, 'GET', `/api/v1/${marked.address}/${token}`, {}, 404)
    const operator = await operatorToken(world)
    await ask(world, 'GET', `/admin/leads/${marked.address}`, { token: operator }, 400)
    const org = await world.organization()
    const owner = (await org.as('owner')).token
    await ask(world, 'GET', `/api/v1/contacts?q=${marked.address}`, { token: owner }, 200)
    await ask(world, 'GET', `/api/v1/contacts/${marked.address}`, { token: owner }, 400)
    await ask(world, 'GET', `/api/v1/sends?to=${marked.address}`, { token: owner }, 200)
    await world.drain()
    expectClean()
    expect(await rowsThatTell(world)).toEqual({})
  })

  it('of what Postgres refuses, of exceptions nobody expected, and of messages that are no jobs', async () => {
    const world = createWorld()
    const org = await world.organization()
    const door = world.ctx().db.org({ org_id: org.id, visibility: 'all' })
    const refusals = [
      raw(sql`select ${marked.text}::text::uuid`),
      raw(
        sql`insert into suppressions (org_id, id, kind, value_norm, reason) select ${org.id}, gen_random_uuid(), 'email', ${marked.address}, 'x' from generate_series(1, 2)`,
      ),
      raw(
        sql`insert into suppressions (org_id, id, kind, value_norm, reason) values (${org.id}, gen_random_uuid(), ${marked.address}, 'x', 'x')`,
      ),
    ]
    const thrown = [
      ...refusals.map((statement) => () => door.batch([statement])),
      () =>
        Promise.reject(
          new TypeError(`Invalid URL: ${marked.address}\n    at ${marked.name} (${MARK}.ts:1:1)`),
        ),
      () =>
        Promise.reject(
          Object.assign(new Error(marked.text, { cause: marked.address }), {
            name: marked.name,
            code: marked.subject,
          }),
        ),
      () => Promise.reject(marked.text),
    ]
    const jobs: AppJob[] = thrown.map((run, i) => ({
      name: `throws-${i}`,
      queue: 'events',
      payload: z.object({}),
      run: async () => void (await run()),
    }))
    const messages = [
      ...jobs.map(({ name }) => ({ job: name, payload: {} })),
      marked.text,
      { job: `${MARK} ${marked.address}`, payload: { email: marked.address, [marked.name]: 1 } },
      {
        job: 'relay-events',
        payload: { event_ids: [marked.address], text: marked.text, deep: { name: marked.name } },
      },
    ]
    const execution = { waitUntil: () => undefined }
    for (const queue of ['inlet-events', 'inlet-events-dead']) {
      const batch = messages.map((body, i) => ({
        id: `${i}`,
        timestamp: new Date(),
        body,
        attempts: 10,
        ack: () => undefined,
        retry: () => undefined,
      }))
      await consume(
        {
          queue,
          messages: batch,
          ackAll: () => undefined,
          retryAll: () => undefined,
          metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
        },
        world.env,
        execution,
        [...jobs],
      )
    }
    const errors: string[] = []
    for (const [i, run] of thrown.entries()) {
      const sweep = { name: `throws-${i}`, cron: '* * * * *' as const, run: async () => (await run(), {}) }
      await runSweep(world.ctx(), sweep, new Date(i)).catch(() => undefined)
      // The platform prints what leaves the handler.
      await tick({ cron: '* * * * *', scheduledTime: 1000 + i }, world.env, execution, [sweep]).catch(
        (error: unknown) => {
          errors.push([error, ...(error instanceof AggregateError ? error.errors : [])].map(plain).join())
        },
      )
      await run().catch((error: unknown) => world.ctx().log.error('x', error))
    }
    written.push(...errors)
    expect(errors).toHaveLength(thrown.length)
    expectClean()
    expect(await rowsThatTell(world)).toEqual({})
  })

  it('and an answer tells nothing of what Postgres said', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { status, body } = await read(
      await world.request('POST', `/lead/${org.slug}`, { body: { ...form, custom: { note: '\ud800' } } }),
    )
    expect(status).toBeLessThan(500)
    expect(JSON.stringify(body)).not.toMatch(/postgres|syntax|violates|column/i)
  })
})

describe('addresses of callers', () => {
  it('are kept truncated in the audit log and as keyed hashes in the counters', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_PER_MINUTE: '5', RATE_LIMIT_LOGIN_PER_MINUTE: '5' })
    const org = await world.organization()
    for (const [ip, kept] of [
      ['198.51.100.23', '198.51.100.0/24'],
      ['2001:db8:85a3:8d3:1319:8a2e:370:7348', '2001:db8:85a3::/48'],
    ] as const) {
      const email = `${crypto.randomUUID()}@buyer.test`
      const response = await world.request('POST', `/lead/${org.slug}`, {
        body: { email, message: 'Hi' },
        headers: { 'CF-Connecting-IP': ip },
      })
      expect(response.status).toBe(201)
      const [{ rows }, counters] = await world.sql(
        raw<{ ip: string }>(sql`select ip from audit_logs where org_id = ${org.id} order by id desc limit 1`),
        raw<{ key: string }>(sql`select key from rate_limits`),
      )
      expect(rows).toEqual([{ ip: kept }])
      // Other files of the run count under names of their own.
      const forms = counters.rows.filter(({ key }) => key.startsWith('form'))
      expect(forms.length).toBeGreaterThan(0)
      expect(forms.filter(({ key }) => !/^form[\w ]*:[0-9a-f]{32}$/.test(key))).toEqual([])
    }
  })
})
