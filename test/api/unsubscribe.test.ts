import { and, asc, desc, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { events } from '#db/schema/platform'
import { outbox_mails, sends, suppressions } from '#db/schema/sending'
import { deliverSend, sendLeadMails, unsubscribeIntake } from '#features/sending'
import { fromBase64Url, toBase64Url } from '#platform/crypto'
import { withoutDatabase } from '#test/outage'
import { arrangeReply, readSend } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const ADDRESS = 'ada@buyer.test'

async function acknowledge(world: World, org: TestOrganization, email = ADDRESS, message = 'Hello') {
  await world.request('POST', `/lead/${org.slug}`, { body: { email, message } })
  await world.drain()
}

async function createScene(env: Record<string, string> = {}, reply_mode: 'off' | 'draft' = 'off') {
  const world = createWorld(env)
  world.fetch = async () => new Response('ok')
  const org = await world.organization({ reply_mode })
  await acknowledge(world, org)
  const [[mail]] = await world.sql(
    q
      .select({ raw: outbox_mails.raw, send_id: outbox_mails.send_id })
      .from(outbox_mails)
      .where(eq(outbox_mails.org_id, org.id)),
  )
  const path = /^List-Unsubscribe: <http:\/\/inlet\.test(\/u\/[\w-]+)>\r$/m.exec(mail?.raw ?? '')?.[1] ?? ''
  return { world, org, path, send_id: mail?.send_id ?? '' }
}

const suppressed = async (world: World, org: TestOrganization) =>
  (
    await world.sql(
      q
        .select({ kind: suppressions.kind, value_norm: suppressions.value_norm, reason: suppressions.reason })
        .from(suppressions)
        .where(eq(suppressions.org_id, org.id)),
    )
  )[0]

const optedOut = [{ kind: 'email', value_norm: ADDRESS, reason: 'unsubscribed' }]

/** RFC 8058 §3.1: the bodies that a mail program posts. */
const boundary = '---FormBoundaryjWmhtjORrn'
const oneClick = {
  urlencoded: {
    body: 'List-Unsubscribe=One-Click',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  },
  multipart: {
    body: `--${boundary}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--${boundary}--\r\n`,
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
  },
} as const

describe('GET /u/{token}', () => {
  it('shows a button and changes nothing, however often a scanner follows the link', async () => {
    const { world, org, path } = await createScene()
    for (const method of ['GET', 'HEAD', 'GET']) {
      const response = await world.request(method, path)
      expect([response.status, response.headers.get('Content-Type')]).toEqual([
        200,
        'text/html; charset=UTF-8',
      ])
      const page = await response.text()
      if (method === 'HEAD') expect(page).toBe('')
      else expect(page).toContain('<form method="post"><button type="submit">Unsubscribe</button></form>')
    }
    expect(await suppressed(world, org)).toEqual([])
  })

  it('needs no script, no other server, no cookie and no database, and is kept and shown nowhere else', async () => {
    const { world, path } = await createScene()
    const response = await withoutDatabase(world, async (outage) => {
      const shown = await world.request('GET', path)
      expect(outage.asked).toBe(0)
      return shown
    })
    expect(response.status).toBe(200)
    expect(response.headers.get('Content-Security-Policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    )
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Referrer-Policy')).toBe('no-referrer')
    expect(response.headers.get('Set-Cookie')).toBeNull()
    const page = await response.text()
    expect(page).toMatch(/<html lang="en">[\s\S]*<main><h1>/)
    expect(page).not.toMatch(/https?:|<script/)
  })

  it('answers 404 to a link that is not ours', async () => {
    const { world, path } = await createScene()
    const flipped = `${path.slice(0, -8)}${path.at(-8) === 'A' ? 'B' : 'A'}${path.slice(-7)}`
    for (const tried of [
      '/u/x',
      `${path}A`,
      path.slice(0, -1),
      flipped,
      `/u/${'A'.repeat(67)}`,
      '/u/%00',
      '/u/ü',
    ]) {
      for (const method of ['GET', 'POST']) {
        const response = await world.request(method, tried)
        expect([tried, method, response.status, response.headers.get('Content-Type')]).toEqual([
          tried,
          method,
          404,
          'application/problem+json',
        ])
      }
    }
  })
})

describe('POST /u/{token}', () => {
  it.each(Object.entries(oneClick))(
    'does it at one click, as a mail program posts it %s, and answers a blank',
    async (_, posted) => {
      const { world, org, path, send_id } = await createScene()
      const response = await world.request('POST', path, posted)
      expect([response.status, await response.text(), response.headers.get('Location')]).toEqual([
        200,
        '',
        null,
      ])
      expect(await suppressed(world, org)).toEqual(optedOut)
      const [audit, told] = await world.sql(
        q
          .select({
            entity_id: audit_logs.entity_id,
            actor_id: audit_logs.actor_id,
            fields: audit_logs.fields,
          })
          .from(audit_logs)
          .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'recipient.unsubscribed'))),
        q
          .select({ payload: events.payload })
          .from(events)
          .where(and(eq(events.org_id, org.id), eq(events.type, 'recipient.unsubscribed'))),
      )
      expect(audit).toEqual([{ entity_id: send_id, actor_id: 'unsubscribe', fields: ['suppression'] }])
      expect(told).toEqual([
        { payload: { send_id, lead_id: expect.any(String), suppression_id: expect.any(String) } },
      ])
      expect(JSON.stringify([audit, told])).not.toContain('@')
    },
  )

  it.each([
    ['a browser', '', { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'text/html' }],
    ['nothing at all', undefined, {}],
    ['what is no form', '{"a":', { 'Content-Type': 'application/json' }],
    ['a broken multipart', '--x', { 'Content-Type': 'multipart/form-data; boundary=y' }],
  ])('does it for %s, with a page that says so', async (_, body, headers) => {
    const { world, org, path } = await createScene()
    const response = await world.request('POST', path, { headers, ...(body === undefined ? {} : { body }) })
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('You are unsubscribed')
    expect(await suppressed(world, org)).toEqual(optedOut)
  })

  it('is done once, however often and from wherever it is asked for', async () => {
    const { world, org, path } = await createScene()
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => world.request('POST', path, oneClick.urlencoded)),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    expect(await suppressed(world, org)).toEqual(optedOut)
    const [audit] = await world.sql(
      q
        .select()
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'recipient.unsubscribed'))),
    )
    expect(audit).toHaveLength(1)
  })

  it('takes 64 KB and no more', async () => {
    const { world, org, path } = await createScene()
    const body = `List-Unsubscribe=One-Click&filler=${'x'.repeat(70_000)}`
    expect((await world.request('POST', path, { ...oneClick.urlencoded, body })).status).toBe(413)
    expect(await suppressed(world, org)).toEqual([])
  })

  it('ends what is still to come, and hands an automatic answer to a person, whose own words still leave', async () => {
    const { world, org, path } = await createScene({}, 'draft')
    const automatic = await arrangeReply(world, org, {
      email: ADDRESS,
      due_at: new Date(Date.now() + 3_600_000),
    })
    const byHand = await arrangeReply(world, org, { email: ADDRESS, automatic: false })
    const other = await arrangeReply(world, org, { email: 'other@buyer.test', automatic: false })
    await world.request('POST', path, oneClick.urlencoded)
    const stopped = await readSend(world, automatic.send_id)
    expect({ state: stopped.state, skip_reason: stopped.skip_reason }).toEqual({
      state: 'skipped',
      skip_reason: 'suppressed',
    })
    await world.drain()
    for (const { send_id } of [byHand, other]) {
      await deliverSend.run(world.ctx(), { org_id: org.id, send_id })
      expect((await readSend(world, send_id)).state).toBe('sent')
    }
    const [[draft]] = await world.sql(q.select().from(drafts).where(eq(drafts.id, automatic.draft_id)))
    expect(draft?.status).toBe('ready')
    const agent = await org.as('agent')
    const answered = await world.request(
      'POST',
      `/api/v1/conversations/${automatic.conversation_id}/messages`,
      {
        token: agent.token,
        body: { text: 'Ten seats cost 90.' },
      },
    )
    expect(answered.status).toBe(201)
  })

  it.each(['hard_bounce', 'complaint'])(
    'leaves an address alone that is worse off by a %s: nothing leaves to it',
    async (reason) => {
      const { world, org, path } = await createScene({}, 'draft')
      const byHand = await arrangeReply(world, org, { email: ADDRESS, automatic: false })
      await world.sql(
        q
          .insert(suppressions)
          .values({ id: crypto.randomUUID(), org_id: org.id, kind: 'email', value_norm: ADDRESS, reason }),
      )
      expect((await world.request('POST', path)).status).toBe(200)
      expect(await suppressed(world, org)).toEqual([{ kind: 'email', value_norm: ADDRESS, reason }])
      await deliverSend.run(world.ctx(), { org_id: org.id, send_id: byHand.send_id })
      expect((await readSend(world, byHand.send_id)).skip_reason).toBe('suppressed')
    },
  )

  it('outlasts what the mail provider may take back', async () => {
    const { world, org, path } = await createScene()
    await world.sql(
      q.insert(suppressions).values({
        id: crypto.randomUUID(),
        org_id: org.id,
        kind: 'email',
        value_norm: ADDRESS,
        reason: 'unsubscribed_at_provider',
      }),
    )
    await world.request('POST', path)
    expect(await suppressed(world, org)).toEqual(optedOut)
  })

  it('is one organization’s alone', async () => {
    const { world, path } = await createScene()
    const other = await world.organization({ reply_mode: 'off' })
    await world.request('POST', path)
    await acknowledge(world, other)
    const [rows] = await world.sql(
      q.select({ state: sends.state }).from(sends).where(eq(sends.org_id, other.id)),
    )
    expect(rows).toEqual([{ state: 'sent' }])
  })
})

describe('a link from before the key was rotated', () => {
  const old = 'ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100'

  it('works while the key is still known', async () => {
    const { org, path, world } = await createScene({ ENCRYPTION_KEY: old })
    const now = createWorld({ ENCRYPTION_KEY_PREVIOUS: old })
    expect((await now.request('POST', path)).status).toBe(200)
    expect(await suppressed(world, org)).toEqual(optedOut)
  })

  it('is judged by the database when the key is gone, and not taken on trust while that is down', async () => {
    const { org, path, world } = await createScene({ ENCRYPTION_KEY: old })
    const now = createWorld()
    const [page, posted] = await withoutDatabase(now, async () => [
      await now.request('GET', path),
      await now.request('POST', path),
    ])
    expect([page?.status, posted?.status, posted?.headers.get('Retry-After')]).toEqual([
      503,
      503,
      expect.any(String),
    ])
    const bytes = fromBase64Url(path.slice('/u/'.length))
    bytes[30] = (bytes[30] ?? 0) ^ 1
    for (const method of ['GET', 'POST'])
      expect((await now.request(method, `/u/${toBase64Url(bytes)}`)).status).toBe(404)
    expect((await now.request('GET', path)).status).toBe(200)
    expect((await now.request('POST', path)).status).toBe(200)
    expect(await suppressed(world, org)).toEqual(optedOut)
  })
})

describe('while the database is down', () => {
  it('the wish is kept, and holds before anything that came in during the outage is answered', async () => {
    const { world, org, path } = await createScene()
    const lead = { body: { email: ADDRESS, message: 'Another inquiry' } }
    world.clock.advance(2 * 86_400)
    await withoutDatabase(world, async () => {
      const clicked = await world.request('POST', path, oneClick.urlencoded)
      expect([clicked.status, await clicked.text()]).toEqual([202, ''])
      const pressed = await world.request('POST', path)
      expect([pressed.status, (await pressed.text()).includes('You will be unsubscribed')]).toEqual([
        202,
        true,
      ])
      expect((await world.request('POST', `/lead/${org.slug}`, lead)).status).toBe(202)
    })
    expect(await suppressed(world, org)).toEqual([])
    await world.ctx().ingest(org.id).flush(world.clock.now())
    expect(await suppressed(world, org)).toEqual(optedOut)
    const [[flushed]] = await world.sql(
      q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, org.id)).orderBy(desc(leads.created_at)),
    )
    // What the object itself hands to its queue comes again here, and changes nothing.
    await sendLeadMails.run(world.ctx(), { org_id: org.id, lead_id: flushed?.id ?? '' })
    await world.drain()
    const states = async () =>
      (
        await world.sql(
          q
            .select({ state: sends.state, skip_reason: sends.skip_reason })
            .from(sends)
            .where(eq(sends.org_id, org.id))
            .orderBy(asc(sends.created_at)),
        )
      )[0]
    await expect.poll(states).toEqual([
      { state: 'sent', skip_reason: null },
      { state: 'skipped', skip_reason: 'suppressed' },
    ])
  })

  it('the item says for each wish what became of it, and twice is once', async () => {
    const { world, org, send_id } = await createScene()
    const received_at = new Date('2026-11-01T10:00:00.000Z')
    const item = (payload: Record<string, unknown>) => ({ id: crypto.randomUUID(), received_at, payload })
    const items = [
      item({ send_id }),
      item({ send_id: crypto.randomUUID() }),
      item({ nonsense: 1 }),
      item({ send_id }),
    ]
    for (let i = 0; i < 2; i++)
      expect(await unsubscribeIntake.store(world.ctx(), { org_id: org.id }, items)).toEqual([
        { outcome: 'stored' },
        { outcome: 'refused', code: 'unknown_send', where: null },
        { outcome: 'refused', code: 'malformed', where: null },
        { outcome: 'stored' },
      ])
    const [[row]] = await world.sql(q.select().from(suppressions).where(eq(suppressions.org_id, org.id)))
    expect(row?.created_at).toEqual(received_at)
    const stranger = await world.organization()
    expect(await unsubscribeIntake.store(world.ctx(), { org_id: stranger.id }, [item({ send_id })])).toEqual([
      { outcome: 'refused', code: 'unknown_send', where: null },
    ])
    expect(await unsubscribeIntake.store(world.ctx(), { slug: org.slug }, [item({ send_id })])).toEqual([
      { outcome: 'refused', code: 'malformed', where: null },
    ])
  })
})

describe('what leaves by hand', () => {
  it('offers no link: an answer is no mailing', async () => {
    const { world, org } = await createScene({}, 'draft')
    const { send_id } = await arrangeReply(world, org, { automatic: false })
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id })
    const [[mail]] = await world.sql(q.select().from(outbox_mails).where(eq(outbox_mails.send_id, send_id)))
    expect(mail?.raw).toContain('Ten seats')
    expect(mail?.raw).not.toMatch(/unsubscribe|\/u\//i)
  })
})

describe('the rows and answers of the API', () => {
  it('never show the link: it is the recipient’s', async () => {
    const { world, org, send_id, path } = await createScene()
    const { token } = await org.as('owner')
    const { body } = await read<{ text: string }>(
      await world.request('GET', `/api/v1/sends/${send_id}`, { token }),
    )
    expect(body.text).not.toContain('/u/')
    expect(JSON.stringify(body)).not.toContain(path)
  })
})
