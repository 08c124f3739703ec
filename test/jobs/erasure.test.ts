import { and, eq, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { comments, contact_handles, contacts, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { notifications } from '#db/schema/notifications'
import { organizations } from '#db/schema/organizations'
import { dead_letters } from '#db/schema/platform'
import { mail_events, sends, suppressions } from '#db/schema/sending'
import { deliverSend } from '#features/sending'
import { type Arrival, arrive } from '#test/arrivals'
import { arrangeReply, createFakeMailbox, insertMailbox, readSend, withMailbox } from '#test/sends'
import { createWorld, read, type TestOrganization, type World } from '#test/world'
import { deliverSendJob } from '../../src/features/sending/jobs/deliver-send'
import { unsubscribeUrl } from '../../src/features/sending/service/link-unsubscribe'
import { transports } from '../../src/features/sending/transports/index'

const ADDRESS = 'grace@buyer.test'

async function scene() {
  const world = createWorld()
  const org = await world.organization()
  const { token, id: user_id } = await org.as('owner')
  const erase = (id: string, as = token) => world.request('DELETE', `/api/v1/contacts/${id}`, { token: as })
  return { world, org, token, user_id, erase }
}

/** How many rows of the organization still say so, table by table. */
async function tracesOf(world: World, org: TestOrganization, marks: string[]) {
  const tables = [
    'contacts',
    'contact_handles',
    'conversations',
    'messages',
    'comments',
    'leads',
    'drafts',
    'sends',
    'outbox_mails',
    'suppressions',
    'notices',
    'notifications',
    'events',
    'audit_logs',
    'dead_letters',
    'mail_templates',
  ]
  const found: Record<string, number> = {}
  for (const table of tables) {
    const [{ rows }] = await world.sql(
      raw<{ n: number }>(
        sql`select count(*)::integer as n from ${sql.identifier(table)} t where org_id = ${org.id}
          and exists (select from unnest(${sql.param(marks)}::text[]) m where position(lower(m) in lower(to_jsonb(t)::text)) > 0)`,
      ),
    )
    if ((rows[0]?.n ?? 0) > 0) found[table] = rows[0]?.n ?? 0
  }
  return found
}

async function hashesOf(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q
      .select({ kind: suppressions.kind, value: suppressions.value_norm, reason: suppressions.reason })
      .from(suppressions)
      .where(eq(suppressions.org_id, org.id)),
  )
  return rows
}

async function suppress(world: World, org: TestOrganization, value_norm = ADDRESS) {
  await world.sql(
    q.insert(suppressions).values({
      org_id: org.id,
      id: world.ctx().newId(),
      kind: 'email',
      value_norm,
      reason: 'hard_bounce',
    }),
  )
}

describe('an erasure', () => {
  it('leaves no row that names the person, and tells what it took', async () => {
    const { world, org, user_id, erase } = await scene()
    const mine = await arrangeReply(world, org, { email: ADDRESS, text: 'Dear Grace, MARKED-REPLY' })
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id: mine.send_id })
    const pending = await arrangeReply(world, org, {
      email: ADDRESS,
      arrival: await arrive(world, org, {
        email: ADDRESS,
        text: 'MARKED-QUESTION',
        name: 'Grace MARKED-NAME',
      }),
      automatic: false,
      text: 'MARKED-PENDING',
    })
    const other = await arrive(world, org, { email: 'other@buyer.test' })
    const ctx = world.ctx()
    await world.sql(
      q.insert(comments).values({
        org_id: org.id,
        id: ctx.newId(),
        conversation_id: pending.conversation_id,
        author_id: user_id,
        body: 'MARKED-COMMENT',
      }),
      q.insert(contact_handles).values({
        org_id: org.id,
        channel: 'whatsapp',
        handle: '+4917MARKED',
        contact_id: pending.contact_id === mine.contact_id ? pending.contact_id : mine.contact_id,
      }),
      q.insert(notifications).values({
        org_id: org.id,
        id: ctx.newId(),
        user_id,
        type: 'lead',
        entity_type: 'lead',
        entity_id: pending.lead_id,
        title: 'MARKED-TITLE',
        body: `${ADDRESS} wrote`,
        dedupe_key: 'k',
      }),
      // In somebody else's thread: a copy to them, and words of theirs.
      q.insert(messages).values({
        org_id: org.id,
        id: ctx.newId(),
        conversation_id: other.conversation_id,
        direction: 'inbound',
        channel: 'email',
        from_email: ADDRESS,
        from_name: 'MARKED-NAME',
        text: 'MARKED-ELSEWHERE',
        stripped_text: '',
        received_at: world.clock.now(),
      }),
      q
        .update(messages)
        .set({
          cc: [
            { email: ADDRESS, name: 'MARKED-NAME' },
            { email: 'third@buyer.test', name: '' },
          ],
        })
        .where(eq(messages.id, other.message_id)),
      q.insert(mail_events).values({
        provider: 'postmark',
        dedupe_key: `d-${pending.send_id}`,
        kind: 'delivery',
        send_id: pending.send_id,
        recipient: ADDRESS,
        detail: {},
        occurred_at: world.clock.now(),
      }),
    )
    const [[contact]] = await world.sql(
      q
        .select({ id: contacts.id })
        .from(contacts)
        .where(and(eq(contacts.org_id, org.id), eq(contacts.email_norm, ADDRESS))),
    )
    const answer = await read(await erase(contact?.id ?? ''))
    expect(answer).toEqual({
      status: 200,
      body: {
        id: contact?.id,
        erased_at: expect.any(String),
        suppressed: false,
        removed: { leads: 2, conversations: 2, messages: 4, comments: 1, drafts: 2, sends: 2 },
      },
    })
    expect(await tracesOf(world, org, [ADDRESS, 'MARKED'])).toEqual({})
    const [reports, [kept], entries] = await world.sql(
      q.select().from(mail_events).where(eq(mail_events.recipient, ADDRESS)),
      q.select({ cc: messages.cc }).from(messages).where(eq(messages.id, other.message_id)),
      q
        .select({ entity_id: audit_logs.entity_id, fields: audit_logs.fields, actor: audit_logs.actor_id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'contact.erased'))),
    )
    expect({ reports, kept, entries }).toEqual({
      reports: [],
      kept: { cc: [{ email: 'third@buyer.test', name: '' }] },
      entries: [{ entity_id: contact?.id, fields: [], actor: user_id }],
    })
    expect((await erase(contact?.id ?? '')).status).toBe(404)
  })

  it('keeps that an address is suppressed, by a hash alone, also when the person comes back', async () => {
    const { world, org, token, erase } = await scene()
    const before = await arrangeReply(world, org, { email: ADDRESS })
    await suppress(world, org)
    expect(await read(await erase(before.contact_id))).toMatchObject({
      status: 200,
      body: { suppressed: true },
    })
    const [kept] = await hashesOf(world, org)
    expect(await hashesOf(world, org)).toEqual([
      { kind: 'email_hash', value: expect.stringMatching(/^[0-9a-f]{64}$/), reason: 'hard_bounce' },
    ])
    // They write again: a new contact, whom no automatic mail reaches.
    const again = await arrangeReply(world, org, { email: ADDRESS })
    expect(again.contact_id).not.toBe(before.contact_id)
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id: again.send_id })
    expect(await readSend(world, again.send_id)).toMatchObject({
      state: 'skipped',
      skip_reason: 'suppressed',
    })
    const byHand = await world.request('POST', `/api/v1/conversations/${again.conversation_id}/messages`, {
      token,
      body: { text: 'Hello again' },
    })
    expect(await read(byHand)).toMatchObject({ status: 422, body: { code: 'unprocessable' } })
    // Somebody else is not meant by it, and a second erasure of the same address keeps the same hash.
    const other = await arrangeReply(world, org, { email: 'other@buyer.test' })
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id: other.send_id })
    expect((await readSend(world, other.send_id)).state).toBe('sent')
    expect(await read(await erase(again.contact_id))).toMatchObject({
      status: 200,
      body: { suppressed: true },
    })
    expect(await hashesOf(world, org)).toEqual([kept])
  })

  it('refuses to approve a draft to whom it has left suppressed', async () => {
    const { world, org, token, erase } = await scene()
    const before = await arrive(world, org, { email: ADDRESS })
    await suppress(world, org)
    await erase(before.contact_id)
    const again = await arrive(world, org, { email: ADDRESS })
    await world.sql(
      q.update(drafts).set({ status: 'ready', text: 'Hello' }).where(eq(drafts.id, again.draft_id)),
    )
    const answer = await world.request('POST', `/api/v1/drafts/${again.draft_id}/approve`, {
      token,
      body: { text: 'Hello' },
    })
    expect(await read(answer)).toMatchObject({ status: 422, body: { code: 'unprocessable' } })
  })

  it('is no opt-out: who was not suppressed may be answered when they write again', async () => {
    const { world, org, erase } = await scene()
    const before = await arrangeReply(world, org, { email: ADDRESS })
    expect(await read(await erase(before.contact_id))).toMatchObject({ body: { suppressed: false } })
    const again = await arrangeReply(world, org, { email: ADDRESS })
    await deliverSend.run(world.ctx(), { org_id: org.id, send_id: again.send_id })
    expect((await readSend(world, again.send_id)).state).toBe('sent')
    expect(await hashesOf(world, org)).toEqual([])
  })

  it('turns a complaint that still waits for its send into the hash', async () => {
    const { world, org, erase } = await scene()
    const reply = await arrangeReply(world, org, { email: ADDRESS })
    await world.sql(
      q.insert(mail_events).values({
        provider: 'postmark',
        dedupe_key: `c-${reply.send_id}`,
        kind: 'complaint',
        send_id: reply.send_id,
        recipient: ADDRESS,
        detail: { effect: 'complained' },
        occurred_at: world.clock.now(),
      }),
    )
    expect(await read(await erase(reply.contact_id))).toMatchObject({ body: { suppressed: true } })
    expect(await hashesOf(world, org)).toMatchObject([{ kind: 'email_hash', reason: 'complaint' }])
  })

  it('hashes one address differently in every organization, and keeps no key in the clear', async () => {
    const { world, org, erase } = await scene()
    const other = await world.organization()
    for (const [place, as] of [
      [org, undefined],
      [other, (await other.as('admin')).token],
    ] as const) {
      const { contact_id } = await arrive(world, place, { email: ADDRESS })
      await suppress(world, place)
      expect((await erase(contact_id, as)).status).toBe(200)
    }
    const [[mine], [theirs]] = [await hashesOf(world, org), await hashesOf(world, other)]
    expect(mine?.value).not.toBe(theirs?.value)
    const [[row]] = await world.sql(
      q
        .select({ key: organizations.erasure_key_sealed })
        .from(organizations)
        .where(eq(organizations.id, org.id)),
    )
    expect(row?.key).toMatch(/^v1\./)
  })

  it('of people at the same moment makes one key', async () => {
    const { world, org, erase } = await scene()
    const people = await Promise.all(
      Array.from({ length: 8 }, (_, i) => arrive(world, org, { email: `p${i}@buyer.test` })),
    )
    for (let i = 0; i < 8; i++) await suppress(world, org, `p${i}@buyer.test`)
    const answers = await Promise.all(people.map(({ contact_id }) => erase(contact_id)))
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 8 }, () => 200))
    // Each is still known by it.
    for (let i = 0; i < 8; i++) {
      const again = await arrangeReply(world, org, { email: `p${i}@buyer.test` })
      await deliverSend.run(world.ctx(), { org_id: org.id, send_id: again.send_id })
      expect((await readSend(world, again.send_id)).skip_reason).toBe('suppressed')
    }
  })

  it('without the right key erases nobody, sends nothing and overwrites nothing', async () => {
    const { world, org, token, erase } = await scene()
    const before = await arrive(world, org, { email: ADDRESS })
    await suppress(world, org)
    await erase(before.contact_id)
    const again = await arrangeReply(world, org, { email: ADDRESS })
    const lost = createWorld({ ENCRYPTION_KEY: 'ff'.repeat(32) })
    const answer = await lost.request('DELETE', `/api/v1/contacts/${again.contact_id}`, { token })
    expect(await read(answer)).toMatchObject({
      status: 503,
      body: { code: 'not_configured', settings: ['ENCRYPTION_KEY'] },
    })
    await deliverSend.run(lost.ctx(), { org_id: org.id, send_id: again.send_id })
    expect(await readSend(world, again.send_id)).toMatchObject({
      state: 'scheduled',
      waits_because: 'suppressions_unreadable',
      attempts: 0,
    })
    // The key is back, and with it the memory.
    await deliverSend.run(world.ctx({ as_of: new Date(Date.now() + 600_000) }), {
      org_id: org.id,
      send_id: again.send_id,
    })
    expect(await readSend(world, again.send_id)).toMatchObject({
      state: 'skipped',
      skip_reason: 'suppressed',
    })
  })

  it('still knows the suppressed after a rotation of the key and a resealing', async () => {
    const { world, org, erase } = await scene()
    const before = await arrive(world, org, { email: ADDRESS })
    await suppress(world, org)
    await erase(before.contact_id)
    const next = 'ab'.repeat(32)
    const rotating = createWorld({
      ENCRYPTION_KEY: next,
      ENCRYPTION_KEY_PREVIOUS: String(world.env.ENCRYPTION_KEY),
    })
    await rotating.tick('0 3 * * *')
    const alone = createWorld({ ENCRYPTION_KEY: next })
    const again = await arrangeReply(world, org, { email: ADDRESS })
    await deliverSend.run(alone.ctx(), { org_id: org.id, send_id: again.send_id })
    expect(await readSend(world, again.send_id)).toMatchObject({
      state: 'skipped',
      skip_reason: 'suppressed',
    })
  })
})

const newIds = (world: World) =>
  Object.fromEntries(
    'contact conversation message lead draft notice suppression audit message_event lead_event draft_event'
      .split(' ')
      .map((name) => [name, world.ctx().newId()]),
  )

/** Another connection has come to a row that this one holds. */
async function untilSomebodyWaits(
  run: (statement: ReturnType<typeof raw<{ n: number }>>) => Promise<{ rows: { n: number }[] }>,
) {
  for (let waiting = 0; waiting === 0; ) {
    const { rows } = await run(
      raw<{ n: number }>(sql`select count(*)::integer as n from pg_locks where not granted`),
    )
    waiting = Number(rows[0]?.n)
  }
}

describe('an erasure while the product is at work', () => {
  async function sending(until: 'claim' | 'prepare' | 'gate') {
    const world = createWorld()
    const org = await world.organization()
    const { token } = await org.as('owner')
    const fake = createFakeMailbox()
    const reply: Arrival & { send_id: string } = await arrangeReply(world, org, {
      email: ADDRESS,
      mailbox_id: await insertMailbox(world, org),
    })
    const answers: Response[] = []
    const erase = () => world.request('DELETE', `/api/v1/contacts/${reply.contact_id}`, { token })
    const job = deliverSendJob(transports, async (after) => {
      if (after === until) answers.push(await erase())
    })
    await job.run(withMailbox(world.ctx(), fake), { org_id: org.id, send_id: reply.send_id })
    return { world, org, fake, reply, answers, erase }
  }

  it.each(['claim', 'prepare'] as const)(
    'takes a mail back that has not passed the gate (after %s)',
    async (until) => {
      const { world, org, fake, answers } = await sending(until)
      expect(answers.map((answer) => answer.status)).toEqual([200])
      expect(fake.accepted).toEqual([])
      // What was prepared at the provider is removed again.
      expect([...fake.drafts]).toEqual([])
      expect(await tracesOf(world, org, [ADDRESS])).toEqual({})
    },
  )

  it('waits for a mail that is with its provider: 409 and nothing is changed, then it goes', async () => {
    const { world, org, fake, reply, answers, erase } = await sending('gate')
    expect(await read(answers[0] ?? new Response())).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    })
    expect(answers[0]?.headers.get('Retry-After')).toBe('30')
    expect(fake.accepted).toHaveLength(1)
    expect((await readSend(world, reply.send_id)).state).toBe('sent')
    expect((await erase()).status).toBe(200)
    expect(await tracesOf(world, org, [ADDRESS])).toEqual({})
  })

  it('lets no run of an unknown fate bring the mail back', async () => {
    const { world, org, token } = await scene()
    const reply = await arrangeReply(world, org, { email: ADDRESS })
    await world.sql(
      q
        .update(sends)
        .set({
          state: 'unknown',
          claim_token: world.ctx().newId(),
          send_started_at: new Date(Date.now() - 3600_000),
        })
        .where(eq(sends.id, reply.send_id)),
    )
    const answer = await world.request('DELETE', `/api/v1/contacts/${reply.contact_id}`, { token })
    expect(answer.status).toBe(200)
    await world.tick('* * * * *')
    await world.drain()
    expect(await tracesOf(world, org, [ADDRESS])).toEqual({})
  })

  it('and an opt-out at that moment leave the hash or nothing, and never the address', async () => {
    const { world, org, erase } = await scene()
    for (let round = 0; round < 8; round++) {
      const email = `leaving${round}@buyer.test`
      const reply = await arrangeReply(world, org, { email })
      const url = await unsubscribeUrl(world.ctx(), org.id, reply.send_id)
      const [erased, left] = await Promise.all([
        erase(reply.contact_id),
        world.request('POST', new URL(url).pathname, {
          headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          body: 'List-Unsubscribe=One-Click',
        }),
      ])
      expect([200, 202, 404]).toContain(left.status)
      expect(erased.status).toBe(200)
      const kept = (await hashesOf(world, org)).length
      if (left.status === 200) expect(kept).toBe(1)
      expect(await tracesOf(world, org, [email])).toEqual({})
      await world.sql(q.delete(suppressions).where(eq(suppressions.org_id, org.id)))
    }
  })

  it('and its jobs end quietly when their rows are gone', async () => {
    const { world, org, erase } = await scene()
    const posted = await world.request('POST', `/lead/${org.slug}`, {
      body: { email: ADDRESS, message: 'What do ten seats cost?' },
    })
    expect(posted.status).toBe(201)
    const [[contact]] = await world.sql(
      q.select({ id: contacts.id }).from(contacts).where(eq(contacts.org_id, org.id)),
    )
    expect((await erase(contact?.id ?? '')).status).toBe(200)
    await world.drain()
    const [buried] = await world.sql(q.select().from(dead_letters).where(eq(dead_letters.org_id, org.id)))
    expect({ traces: await tracesOf(world, org, [ADDRESS]), buried }).toEqual({ traces: {}, buried: [] })
  })

  it('loses no mail that comes at that moment, and what stays belongs to the new contact', async () => {
    const { world, org, erase } = await scene()
    for (let round = 0; round < 6; round++) {
      const email = `race${round}@buyer.test`
      const first = await arrive(world, org, { email })
      const [answer, ...arrivals] = await Promise.all([
        erase(first.contact_id),
        ...Array.from({ length: 4 }, () => arrive(world, org, { email, text: 'Once more' })),
      ])
      expect(answer.status).toBe(200)
      expect(arrivals).toHaveLength(4)
      const [people, orphans] = await world.sql(
        q
          .select({ id: contacts.id })
          .from(contacts)
          .where(and(eq(contacts.org_id, org.id), eq(contacts.email_norm, email))),
        raw<{ id: string }>(
          sql`select id from conversations where org_id = ${org.id} and contact_id is null
            union all select id from messages where org_id = ${org.id} and from_email = ${email}
              and conversation_id in (select id from conversations where contact_id = ${first.contact_id})`,
        ),
      )
      expect(people.filter(({ id }) => id === first.contact_id)).toEqual([])
      expect(orphans.rows).toEqual([])
    }
  })

  it('waits for a mail that is being stored, and takes it along', async () => {
    const { world, org, erase } = await scene()
    const known = await arrive(world, org, { email: ADDRESS })
    const ctx = world.ctx()
    let erased: Promise<Response> | undefined
    await ctx.db.org({ org_id: org.id, visibility: 'all' }).transaction(async (run) => {
      const now = world.clock.now().toISOString()
      const mail = {
        now,
        actor: 'test',
        ids: newIds(world),
        source: 'email',
        contact: { email: ADDRESS, email_norm: ADDRESS, name: 'Grace' },
        message: { channel: 'email', received_at: now, from_email: ADDRESS, text: 'x', stripped_text: 'x' },
      }
      await run(raw(sql`select ingest_inbound(${JSON.stringify(mail)}::jsonb)`))
      erased = erase(known.contact_id)
      await untilSomebodyWaits(run)
    })
    expect(await read((await erased) ?? new Response())).toMatchObject({
      status: 200,
      body: { removed: { conversations: 2, messages: 2, leads: 2, drafts: 2 } },
    })
    expect(await tracesOf(world, org, [ADDRESS])).toEqual({})
  })

  it('sends a mail that came into a thread just then on a way of its own', async () => {
    const { world, org } = await scene()
    const known = await arrive(world, org, { email: ADDRESS })
    const ctx = world.ctx()
    const now = world.clock.now().toISOString()
    const bounce = {
      now,
      actor: 'test',
      ids: newIds(world),
      source: 'email',
      contact: null,
      reference_ids: [`<${known.message_id}@buyer.test>`],
      message: {
        channel: 'email',
        received_at: now,
        from_email: 'daemon@buyer.test',
        text: 'x',
        stripped_text: 'x',
        classification: 'automated',
      },
    }
    let arrived: Promise<unknown> = Promise.resolve()
    const door = ctx.db.org({ org_id: org.id, visibility: 'all' })
    await door.transaction(async (run) => {
      await run(raw(sql`delete from conversations where id = ${known.conversation_id}`))
      // It has found the thread, and waits for the row that is about to go.
      arrived = door.batch([raw(sql`select ingest_inbound(${JSON.stringify(bounce)}::jsonb) as result`)])
      await untilSomebodyWaits(run)
    })
    expect(await arrived).toMatchObject([{ rows: [{ result: { outcome: 'raced' } }] }])
  })
})
