import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import PostalMime from 'postal-mime'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { mail_templates, outbox_mails, sends, suppressions } from '#db/schema/sending'
import { inboundIntake } from '#features/inbound'
import { deliverSend, sendLeadMails, sendOperatorNotice } from '#features/sending'
import { fail, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import { kick, recordEvent } from '#platform/outbox'
import { arrive } from '#test/arrivals'
import { leadIntake } from '#test/intakes'
import { arrangeReply, createFakeMailbox, insertMailbox, readSend, withMailbox } from '#test/sends'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { deliverSendJob } from '../../src/features/sending/jobs/deliver-send'
import { reconcileSendJob } from '../../src/features/sending/jobs/reconcile-send'
import type { Transport } from '../../src/features/sending/transports/contract'

type Settings = Parameters<World['organization']>[0]

async function createScene(settings: Settings = {}, env: Record<string, string> = {}) {
  const world = createWorld({
    FROM_EMAIL: 'hello@inlet.test',
    ADMIN_EMAIL: 'Boss@Agency.test',
    INBOUND_EMAIL_DOMAIN: 'in.inlet.test',
    ...env,
  })
  world.fetch = async () => new Response('ok')
  const org = await world.organization({ name: 'Shop', reply_mode: 'off', ...settings })
  return { world, org }
}

async function post(world: World, org: TestOrganization, body: Record<string, unknown>): Promise<string> {
  const response = await world.request('POST', `/lead/${org.slug}`, {
    body: { email: 'ada@buyer.test', message: 'What do ten seats cost?', ...body },
  })
  expect(response.status).toBe(201)
  return ((await response.json()) as { leadId: string }).leadId
}

async function sendsOf(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q.select().from(sends).where(eq(sends.org_id, org.id)).orderBy(asc(sends.created_at), asc(sends.id)),
  )
  return rows
}

const outcomes = async (world: World, org: TestOrganization) =>
  (await sendsOf(world, org))
    .toSorted(byKind)
    .map(({ kind, state, skip_reason }) => [kind, state, skip_reason])

const byKind = (a: { kind: string }, b: { kind: string }) => a.kind.localeCompare(b.kind)

async function mailOf(world: World, kind: string, org: TestOrganization) {
  const [[row]] = await world.sql(
    q
      .select({ raw: outbox_mails.raw })
      .from(outbox_mails)
      .innerJoin(sends, and(eq(sends.org_id, outbox_mails.org_id), eq(sends.id, outbox_mails.send_id)))
      .where(and(eq(sends.org_id, org.id), eq(sends.kind, kind as 'welcome'))),
  )
  if (!row) throw new Error(`no mail of kind ${kind}`)
  return { raw: row.raw, parsed: await PostalMime.parse(row.raw) }
}

const run = (ctx: Ctx, org: TestOrganization, lead_id: string) =>
  sendLeadMails.run(ctx, { org_id: org.id, lead_id })

/** A context that dies at its nth round trip, before or after Postgres has done the work. */
function dying(ctx: Ctx, nth: number, when: 'before' | 'after'): Ctx {
  let count = 0
  return {
    ...ctx,
    db: {
      ...ctx.db,
      org: (scope) => {
        const door = ctx.db.org(scope)
        return {
          ...door,
          batch: async (statements) => {
            count++
            if (count === nth && when === 'before') throw new Error('killed')
            const result = await door.batch(statements)
            if (count === nth) throw new Error('killed')
            return result
          },
        }
      },
    },
  }
}

describe('a lead by the form', () => {
  it('is acknowledged to its sender and told to the operator, once each, and no word of it is in the acknowledgement', async () => {
    const { world, org } = await createScene({ from_name: 'The shop', postal_address: '1 High Street' })
    const lead_id = await post(world, org, {
      name: 'Ada Lovelace',
      company: 'Engines',
      phone: '+44 1',
      message: 'What do ten seats cost at http://evil.test/x?\nBye',
    })
    await world.drain()
    // The event again, as a relay that died half way brings it.
    await run(world.ctx(), org, lead_id)
    await world.drain()

    const [[lead], rows, [conversation], thread, audits] = [
      ...(await world.sql(q.select().from(leads).where(eq(leads.id, lead_id)))),
      await sendsOf(world, org),
      ...(await world.sql(
        q.select().from(conversations).where(eq(conversations.org_id, org.id)),
        q.select().from(messages).where(eq(messages.org_id, org.id)),
        q
          .select({ action: audit_logs.action, actor_id: audit_logs.actor_id })
          .from(audit_logs)
          .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'send')))
          .orderBy(audit_logs.action),
      )),
    ]
    const shown = rows.map(({ kind, state, transport, automatic, to_email, to_name, dedupe_key }) => ({
      kind,
      state,
      transport,
      automatic,
      to_email,
      to_name,
      dedupe_key,
    }))
    const same = { state: 'sent', transport: 'outbox', automatic: true, to_name: null }
    expect(shown.toSorted(byKind)).toEqual([
      { ...same, kind: 'admin_alert', to_email: 'boss@agency.test', dedupe_key: `admin_alert:${lead_id}` },
      { ...same, kind: 'welcome', to_email: 'ada@buyer.test', dedupe_key: `welcome:${lead_id}` },
    ])
    for (const row of rows) expect([row.lead_id, row.conversation_id]).toEqual([lead_id, conversation?.id])
    expect(audits).toEqual(
      [
        { action: 'send.scheduled', actor_id: 'send-lead-mails' },
        { action: 'send.scheduled', actor_id: 'send-lead-mails' },
        { action: 'send.sent', actor_id: 'deliver-send' },
        { action: 'send.sent', actor_id: 'deliver-send' },
      ].map((entry) => ({ ...entry, actor_id: expect.any(String) })),
    )

    // The conversation is as it was: unanswered, nobody's first response, nothing of ours in the thread.
    expect({ status: lead?.status, first_response_at: lead?.first_response_at }).toEqual({
      status: 'received',
      first_response_at: null,
    })
    expect({
      status: conversation?.status,
      human: conversation?.last_human_activity_at,
      last: conversation?.last_message_at,
    }).toEqual({ status: 'open', human: null, last: conversation?.last_inbound_at })
    expect(thread.map(({ direction }) => direction)).toEqual(['inbound'])

    const welcome = await mailOf(world, 'welcome', org)
    expect(welcome.parsed.subject).toBe('We have received your inquiry')
    expect(welcome.parsed.from).toEqual({ name: 'The shop', address: 'hello@inlet.test' })
    expect(welcome.parsed.replyTo?.[0]?.address).toMatch(/^reply\+[a-z2-7]+@in\.inlet\.test$/)
    expect(welcome.raw).toContain('Auto-Submitted: auto-generated\r\n')
    const link = /^List-Unsubscribe: <(http:\/\/inlet\.test\/u\/[\w-]{67})>\r$/m.exec(welcome.raw)?.[1]
    expect(link).toBeDefined()
    expect(welcome.parsed.text?.trimEnd().endsWith(`No more mail like this: ${link}`)).toBe(true)
    expect(welcome.raw).not.toMatch(/Ada|Lovelace|Engines|seats|evil|\+44/)

    const alert = await mailOf(world, 'admin_alert', org)
    expect(alert.parsed.subject).toBe('New lead for Shop: Ada Lovelace')
    expect(alert.parsed.text).toContain('ada@buyer.test')
    expect(alert.parsed.text).toContain('> What do ten seats cost at http: / /evil. test/x? Bye')
    expect(alert.parsed.text).toContain(`http://inlet.test/leads/${lead_id}`)
    expect(alert.raw).not.toContain('List-Unsubscribe')
    expect(alert.raw).not.toContain('Reply-To')
  })

  it('links to the console where there is one', async () => {
    const { world, org } = await createScene({}, { FRONTEND_URL: 'https://console.test/' })
    const lead_id = await post(world, org, {})
    await world.drain()
    expect((await mailOf(world, 'admin_alert', org)).parsed.text).toContain(
      `\nhttps://console.test/leads/${lead_id}`,
    )
  })

  it.each([
    [1, 'before'],
    [1, 'after'],
    [2, 'before'],
    [2, 'after'],
  ] as const)('has each of its mails once when the job is killed %s %s', async (nth, when) => {
    const { world, org } = await createScene()
    const lead_id = await post(world, org, {})
    world.queued.splice(0)
    await expect(run(dying(world.ctx(), nth, when), org, lead_id)).rejects.toThrow('killed')
    await run(world.ctx(), org, lead_id)
    // Where the wake-up was lost too, the minute finds what is due.
    world.queued.splice(0)
    await world.tick('* * * * *')
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['admin_alert', 'sent', null],
      ['welcome', 'sent', null],
    ])
  })

  it('has each of its mails once when it came in while the database was down', async () => {
    const { world, org } = await createScene()
    // As the buffer stores it, and once more because it died before it had noted that.
    const item = await leadIntake(world, org, { key: 'k', email: 'ada@buyer.test' })
    for (const outcome of ['stored', 'known'])
      expect(await inboundIntake.store(world.ctx(), { org_id: org.id }, [item])).toEqual([{ outcome }])
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['admin_alert', 'sent', null],
      ['welcome', 'sent', null],
    ])
  })

  it('has its mails also when every queue message was lost, but not where the settings came after it', async () => {
    const { world, org } = await createScene()
    const late = await world.organization({ name: 'Late', reply_mode: 'off', welcome_mail: false })
    await post(world, org, {})
    await post(world, late, {})
    world.queued.splice(0)
    await world.sql(
      q
        .update(events)
        .set({ dispatched_at: sql`now()` })
        .where(inArray(events.org_id, [org.id, late.id])),
    )
    world.clock.advance(30)
    await world.sql(
      q
        .update(organizations)
        .set({ welcome_mail: true, updated_at: world.clock.now() })
        .where(eq(organizations.id, late.id)),
    )
    world.clock.advance(200)
    await world.tick('*/5 * * * *')
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['admin_alert', 'sent', null],
      ['welcome', 'sent', null],
    ])
    // An alert is for whoever runs the installation; the acknowledgement was switched on for leads to come.
    expect((await sendsOf(world, late)).map(({ kind }) => kind)).toContain('admin_alert')
    world.clock.advance(300)
    await world.tick('*/5 * * * *')
    expect(world.queued.filter(({ body }) => JSON.stringify(body).includes(org.id))).toEqual([])
  })
})

describe('who gets an acknowledgement', () => {
  it.each<[string, Settings, Record<string, string>, string[]]>([
    ['nobody, where the organization wants none', { welcome_mail: false }, {}, ['admin_alert']],
    ['the sender alone, where no operator has an address', {}, { ADMIN_EMAIL: '' }, ['welcome']],
  ])('%s', async (_, settings, env, kinds) => {
    const { world, org } = await createScene(settings, env)
    await post(world, org, {})
    await world.drain()
    expect((await sendsOf(world, org)).map(({ kind }) => kind)).toEqual(kinds)
  })

  it('nobody whose mail reached a mailbox: they are answered in their thread; the operator is told', async () => {
    const { world, org } = await createScene()
    const arrival = await arrive(world, org)
    await world.sql(
      q.update(conversations).set({ channel: 'email' }).where(eq(conversations.id, arrival.conversation_id)),
    )
    await run(world.ctx(), org, arrival.lead_id)
    expect((await sendsOf(world, org)).map(({ kind }) => kind)).toEqual(['admin_alert'])
  })

  it('nobody who has no address, or whose address is another than the one that was written from', async () => {
    const { world, org } = await createScene()
    const [nameless, other] = [await arrive(world, org), await arrive(world, org)]
    await world.sql(
      q.update(contacts).set({ email: null, email_norm: null }).where(eq(contacts.id, nameless.contact_id)),
      q
        .update(messages)
        .set({ from_email: '+44123456', channel: 'whatsapp' })
        .where(eq(messages.id, other.message_id)),
    )
    for (const { lead_id } of [nameless, other]) await run(world.ctx(), org, lead_id)
    expect((await sendsOf(world, org)).map(({ kind }) => kind)).toEqual(['admin_alert', 'admin_alert'])
  })

  it('nobody by spam, whether the form knew it or it was found out before the mail left', async () => {
    const { world, org } = await createScene()
    await world.request('POST', `/lead/${org.slug}`, {
      body: { email: 'bot@buyer.test', message: 'x', website_url: 'y', _hp: 'z' },
    })
    const late = await post(world, org, { email: 'casino@buyer.test' })
    await world.sql(q.update(leads).set({ status: 'spam' }).where(eq(leads.id, late)))
    await world.drain()
    expect((await sendsOf(world, org)).filter(({ lead_id }) => lead_id === late)).toEqual([])

    const known = await post(world, org, { email: 'known@buyer.test' })
    await run(world.ctx(), org, known)
    await world.sql(q.update(leads).set({ status: 'spam' }).where(eq(leads.id, known)))
    await world.drain()
    const rows = (await sendsOf(world, org)).filter(({ lead_id }) => lead_id === known)
    expect(rows.map(({ kind, state, skip_reason }) => [kind, state, skip_reason])).toContainEqual([
      'welcome',
      'skipped',
      'lead_is_spam',
    ])
  })

  it('nobody who is suppressed, and it says so', async () => {
    const { world, org } = await createScene()
    await world.sql(
      q.insert(suppressions).values({
        id: crypto.randomUUID(),
        org_id: org.id,
        kind: 'email',
        value_norm: 'ada@buyer.test',
        reason: 'unsubscribed',
      }),
    )
    await post(world, org, {})
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['admin_alert', 'sent', null],
      ['welcome', 'skipped', 'suppressed'],
    ])
  })

  it('nobody a second time within a day, however many inquiries one address is used for', async () => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    for (let i = 0; i < 20; i++) await post(world, org, { message: `Inquiry ${i}` })
    await world.drain()
    const counted = (await outcomes(world, org)).map((outcome) => outcome.join(' '))
    expect(counted.filter((one) => one === 'welcome sent ')).toHaveLength(1)
    expect(counted.filter((one) => one === 'welcome skipped address_cap')).toHaveLength(19)
    const [mails] = await world.sql(q.select().from(outbox_mails).where(eq(outbox_mails.org_id, org.id)))
    expect(mails).toHaveLength(1)
    world.clock.advance(86_401)
    await post(world, org, { message: 'The next day' })
    await world.drain()
    expect((await outcomes(world, org)).filter(([, state]) => state === 'sent')).toHaveLength(2)
  })

  it.each([
    ['tags', ['ada@buyer.test', 'ada+1@buyer.test', 'ada+two@buyer.test'], 'ada.lovelace@buyer.test'],
    [
      'dots where they mean nothing',
      ['a.da@gmail.com', 'ad.a@gmail.com', 'ada+x@gmail.com'],
      'adam@gmail.com',
    ],
  ])(
    'one, by whatever aliases with %s the inbox is filled; a neighbour gets their own',
    async (_, one, other) => {
      const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
      for (const email of [...one, other]) await post(world, org, { email })
      await world.drain()
      const sent = (await sendsOf(world, org)).filter(({ state }) => state === 'sent')
      expect(sent.filter(({ to_email }) => to_email === other)).toHaveLength(1)
      expect(sent).toHaveLength(2)
      const skipped = (await sendsOf(world, org)).filter(({ state }) => state !== 'sent')
      expect(skipped.map(({ skip_reason }) => skip_reason)).toEqual(['address_cap', 'address_cap'])
    },
  )

  it('one, when twenty deliveries to the address run at the same moment', async () => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    for (let i = 0; i < 20; i++) {
      const lead_id = await post(world, org, { message: `Inquiry ${i}` })
      world.queued.splice(0)
      await run(world.ctx(), org, lead_id)
    }
    const ids = (await sendsOf(world, org)).map(({ id }) => id)
    await Promise.all(ids.map((send_id) => deliverSend.run(world.ctx(), { org_id: org.id, send_id })))
    const states = (await sendsOf(world, org)).map(({ state }) => state)
    expect(states.filter((state) => state === 'sent')).toHaveLength(1)
    expect(states.filter((state) => state === 'skipped')).toHaveLength(19)
  })
})

describe('an acknowledgement and an automatic answer', () => {
  const sure = { message: 'Please send me your price list for widgets' }

  it('are one mail: the answer, when the AI is sure of it', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto' }, { ADMIN_EMAIL: '' })
    await post(world, org, sure)
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['reply', 'sent', null],
      ['welcome', 'skipped', 'automatic_reply'],
    ])
  })

  it('are one answer, by whatever aliases the inbox is filled', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto', welcome_mail: false }, { ADMIN_EMAIL: '' })
    for (const email of ['ada@buyer.test', 'ada+1@buyer.test', 'ada+2@buyer.test'])
      await post(world, org, { ...sure, email })
    await world.drain()
    const states = (await sendsOf(world, org)).map(({ state }) => state)
    expect(states.filter((state) => state === 'sent')).toHaveLength(1)
  })

  it('say nothing to a stranger that was written by whoever gave their address', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto' }, { ADMIN_EMAIL: '' })
    await post(world, org, { ...sure, name: 'You won at evil.test', service: 'Claim http://evil.test now' })
    await world.drain()
    const { raw, parsed } = await mailOf(world, 'reply', org)
    expect(raw).not.toMatch(/evil|you won|claim/i)
    expect(parsed.subject).toBe('Your inquiry')
  })

  it('are one mail: the acknowledgement, when a person has to look first', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto' }, { ADMIN_EMAIL: '' })
    await post(world, org, { message: 'Hello' })
    await world.drain()
    expect(await outcomes(world, org)).toEqual([['welcome', 'sent', null]])
    const [[draft]] = await world.sql(q.select().from(drafts).where(eq(drafts.org_id, org.id)))
    expect(draft?.decision).toBe('needs_review')
  })

  it('are one mail: the acknowledgement, when the answer takes too long; that becomes a draft for a person', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto' }, { ADMIN_EMAIL: '' })
    const lead_id = await post(world, org, sure)
    const waiting = world.queued.splice(0)
    await run(world.ctx(), org, lead_id)
    await world.drain()
    const [early] = await sendsOf(world, org)
    expect({ state: early?.state, waits: early?.waits_because }).toEqual({
      state: 'scheduled',
      waits: 'automatic_reply_first',
    })
    world.clock.advance(121)
    await world.tick('* * * * *')
    world.queued.splice(0, world.queued.length, ...world.queued.filter(({ queue }) => queue === 'sends'))
    await world.drain()
    expect(await outcomes(world, org)).toEqual([['welcome', 'sent', null]])
    world.queued.push(...waiting)
    await world.drain()
    expect(await outcomes(world, org)).toEqual([['welcome', 'sent', null]])
    const [[draft]] = await world.sql(q.select().from(drafts).where(eq(drafts.org_id, org.id)))
    expect(draft?.gate.filter(({ passed }) => !passed).map(({ rule }) => rule)).toEqual([
      'one_form_reply_per_address_24h',
    ])
  })

  it('are one mail also when both are about to leave, for whichever comes first', async () => {
    const { world, org } = await createScene({ reply_mode: 'auto' }, { ADMIN_EMAIL: '' })
    const first = await post(world, org, sure)
    // The welcome of the first lead waits; the second lead's answer is decided before either has left.
    await run(world.ctx(), org, first)
    await world.sql(
      q
        .update(sends)
        .set({ next_attempt_at: world.clock.now(), waits_because: null })
        .where(eq(sends.org_id, org.id)),
    )
    await world.drain()
    const left = (await sendsOf(world, org)).filter(({ state }) => state === 'sent')
    const [mails] = await world.sql(q.select().from(outbox_mails).where(eq(outbox_mails.org_id, org.id)))
    expect([left.length, mails.length]).toEqual([1, 1])
  })

  it.each([
    ['email', 'sent', null],
    ['form', 'skipped', 'address_cap'],
  ] as const)('hold back the answer to what came by %s: %s', async (channel, state, skip_reason) => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    await post(world, org, {})
    await world.drain()
    await world.sql(q.update(organizations).set({ reply_mode: 'auto' }).where(eq(organizations.id, org.id)))
    const mailbox_id = await insertMailbox(world, org)
    const reply = await arrangeReply(world, org, { mailbox_id, email: 'ada@buyer.test' })
    await world.sql(q.update(messages).set({ channel }).where(eq(messages.id, reply.message_id)))
    const fake = createFakeMailbox()
    await deliverSend.run(withMailbox(world.ctx(), fake), { org_id: org.id, send_id: reply.send_id })
    const send = await readSend(world, reply.send_id)
    expect({ state: send.state, skip_reason: send.skip_reason, left: fake.accepted.length }).toEqual({
      state,
      skip_reason,
      left: state === 'sent' ? 1 : 0,
    })
  })

  it('leave a person who was quicker alone', async () => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    const lead_id = await post(world, org, {})
    world.queued.splice(0)
    await run(world.ctx(), org, lead_id)
    world.queued.splice(0)
    const [welcome] = await sendsOf(world, org)
    const agent = await org.as('agent')
    const answered = await world.request(
      'POST',
      `/api/v1/conversations/${welcome?.conversation_id}/messages`,
      { token: agent.token, body: { text: 'Ten seats cost 90.' } },
    )
    expect(answered.status).toBe(201)
    await world.drain()
    await world.tick('* * * * *')
    await world.drain()
    expect(await outcomes(world, org)).toEqual([
      ['reply', 'sent', null],
      ['welcome', 'skipped', 'answered_already'],
    ])
  })
})

describe('what strangers write', () => {
  it.each([
    '{{ secrets }}',
    '{% for i in (1..1000000) %}x{% endfor %}',
    '{{ organization_name | upcase }}',
    '{% raw %}',
    '{%',
  ])('is data and never a template: %s', async (name) => {
    const { world, org } = await createScene()
    await world.sql(
      q.insert(mail_templates).values({
        org_id: org.id,
        kind: 'welcome',
        subject: 'Dear {{ contact_name }}',
        body: 'Hello {{ contact_name }} of {{ contact_company }}.',
      }),
    )
    await post(world, org, { name, company: name })
    await world.drain()
    const { parsed } = await mailOf(world, 'welcome', org)
    expect(parsed.subject).toBe(`Dear ${name}`)
    expect(parsed.text).toContain(`Hello ${name} of ${name}.`)
  })

  it('adds no header, no line and no link to a mail of ours', async () => {
    const { world, org } = await createScene()
    await world.sql(
      q.insert(mail_templates).values({
        org_id: org.id,
        kind: 'welcome',
        subject: 'Dear {{ contact_name }}',
        body: 'Hello {{ contact_name }}!\nBye',
      }),
    )
    await post(world, org, {
      name: 'Win now at https://evil.example/win\r\nBcc: victim@evil.example\r\n\r\nwww.evil.example',
    })
    await world.drain()
    const { raw, parsed } = await mailOf(world, 'welcome', org)
    expect(parsed.headers.map(({ key }) => key).filter((key) => /^(?:b?cc|x-injected)$/.test(key))).toEqual(
      [],
    )
    expect(parsed.to).toEqual([{ name: '', address: 'ada@buyer.test' }])
    expect(parsed.text).toMatch(/^Hello Win now at https: \/ \/evil\. example\/win .*!\nBye\n/)
    expect(raw).not.toMatch(/https?:\/\/evil|www\.evil|@evil/)
  })
})

describe('a template that does not work', () => {
  it('costs its own words and never the mail, and the send says so for good', async () => {
    const { world, org } = await createScene()
    await world.sql(
      q.insert(mail_templates).values([
        { org_id: org.id, kind: 'welcome', subject: 'Hi', body: 'Hello\n{{ gone_since_then }}' },
        { org_id: org.id, kind: 'admin_alert', subject: '{% for %}', body: 'x' },
      ]),
    )
    await post(world, org, {})
    await world.drain()
    const rows = await sendsOf(world, org)
    expect(
      rows.toSorted(byKind).map(({ kind, state, subject, last_error }) => [kind, state, subject, last_error]),
    ).toEqual([
      [
        'admin_alert',
        'sent',
        'New lead for Shop: ada@buyer.test',
        {
          code: 'template_failed',
          message: 'The template for this mail does not work (subject, line 1), so it has our own words.',
          at: expect.any(String),
        },
      ],
      [
        'welcome',
        'sent',
        'We have received your inquiry',
        {
          code: 'template_failed',
          message: 'The template for this mail does not work (body, line 2), so it has our own words.',
          at: expect.any(String),
        },
      ],
    ])
  })
})

describe('attempts', () => {
  function refusing(failures: ReturnType<typeof fail>[]): Transport {
    return {
      name: 'outbox',
      carries: ['transactional'],
      prepare: async () => succeed({ provider_draft_id: null, provider_thread_id: null }),
      deliver: async () => {
        const next = failures.shift()
        return next ? { outcome: 'refused', failure: next.failure } : { outcome: 'accepted', message: null }
      },
      reconcile: async () => ({ outcome: 'not_sent' }),
      discard: async () => succeed(null),
    }
  }

  async function attempt(failures: ReturnType<typeof fail>[]) {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    const lead_id = await post(world, org, {})
    world.queued.splice(0)
    await run(world.ctx(), org, lead_id)
    const job = deliverSendJob([refusing([...failures])])
    const seen = []
    for (let i = 0; i <= failures.length; i++) {
      const [before] = await sendsOf(world, org)
      if (!before || before.state !== 'scheduled') break
      const wait = before.next_attempt_at.getTime() - world.clock.now().getTime()
      if (wait > 0) world.clock.advance(wait / 1000 + 1)
      await job.run(world.ctx(), { org_id: org.id, send_id: before.id })
      const [after] = await sendsOf(world, org)
      seen.push([after?.state, after?.attempts, after?.waits_because, after?.last_error?.code ?? null])
    }
    return seen
  }

  const down = () => fail('transient', 'provider_unavailable', 'It answered 503.')
  const busy = () => fail('rate_limited', 'rate_limited', 'Slow down.', 30)

  it('are three, each of them visible, and then it has failed', async () => {
    expect(await attempt([down(), down(), down(), down()])).toEqual([
      ['scheduled', 1, 'provider_unavailable', 'provider_unavailable'],
      ['scheduled', 2, 'provider_unavailable', 'provider_unavailable'],
      ['failed', 3, null, 'provider_unavailable'],
    ])
  })

  it('are three also when nobody answered, and the provider says later that it never got it', async () => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    const lead_id = await post(world, org, {})
    world.queued.splice(0)
    await run(world.ctx(), org, lead_id)
    const [send] = await sendsOf(world, org)
    const payload = { org_id: org.id, send_id: send?.id ?? '' }
    const silent: Transport = {
      ...refusing([]),
      deliver: async () => ({ outcome: 'ambiguous', failure: down().failure }),
    }
    const seen = []
    for (let i = 0; i < 4; i++) {
      await deliverSendJob([silent]).run(world.ctx(), payload)
      world.clock.advance(21 * 60)
      await reconcileSendJob([silent]).run(world.ctx(), payload)
      const [after] = await sendsOf(world, org)
      seen.push([after?.state, after?.attempts])
    }
    expect(seen).toEqual([
      ['scheduled', 1],
      ['scheduled', 2],
      ['failed', 3],
      ['failed', 3],
    ])
  })

  it('are not used up by being throttled', async () => {
    expect(await attempt([busy(), busy(), busy(), busy()])).toEqual([
      ['scheduled', 0, 'rate_limited', 'rate_limited'],
      ['scheduled', 0, 'rate_limited', 'rate_limited'],
      ['scheduled', 0, 'rate_limited', 'rate_limited'],
      ['scheduled', 0, 'rate_limited', 'rate_limited'],
      ['sent', 1, null, null],
    ])
  })
})

describe('what could not be stored', () => {
  it('is told to the operator once a day for an organization, with the number and the place', async () => {
    const { world, org } = await createScene()
    const tell = async (count: string) => {
      const ctx = world.ctx()
      const id = ctx.newId()
      await ctx.db.org({ org_id: org.id, visibility: 'all' }).batch([
        recordEvent(ctx, {
          id,
          org_id: org.id,
          type: 'ingest.dead',
          payload: { count, code: '23514', item_ids: crypto.randomUUID() },
        }),
      ])
      kick(ctx, [id])
      await world.drain()
    }
    world.clock.set(new Date('2031-05-05T10:00:00Z'))
    await tell('3')
    await tell('1')
    const shown = async () =>
      (await sendsOf(world, org)).map(({ kind, state, to_email, subject }) => [
        kind,
        state,
        to_email,
        subject,
      ])
    expect(await shown()).toEqual([
      ['operator_notice', 'sent', 'boss@agency.test', 'Inlet: 3 inquiries of Shop could not be stored'],
    ])
    expect((await mailOf(world, 'operator_notice', org)).parsed.text).toContain(
      'http://inlet.test/admin/queue/items',
    )
    world.clock.advance(86_400)
    await tell('1')
    expect(await shown()).toHaveLength(2)
  })

  it('is told to nobody where no operator has an address', async () => {
    const { world, org } = await createScene({}, { ADMIN_EMAIL: '' })
    await sendOperatorNotice.run(world.ctx(), { org_id: org.id, day: '2031-05-05', count: '1', code: 'x' })
    expect(await sendsOf(world, org)).toEqual([])
  })
})
