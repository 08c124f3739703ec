import { and, eq, inArray, like, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts, conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { notices, notifications } from '#db/schema/notifications'
import { dead_letters, events, idempotency_keys, rate_limits, sweep_runs } from '#db/schema/platform'
import { mail_events, outbox_mails, sends, suppressions } from '#db/schema/sending'
import { applyRetention } from '#features/operations'
import type { RetainedTable } from '#kernel/vocabulary'
import { type Arrival, arrive } from '#test/arrivals'
import { arrangeReply } from '#test/sends'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { applyRetentionJob } from '../../src/features/operations/jobs/apply-retention'

const DAY = 86_400
const CRON = '0 3 * * *'
const MARK = 'no_organization_at_all'
const daysAgo = (days: number) => new Date(Date.now() - days * DAY * 1000)

async function scene(retention_days: Partial<Record<RetainedTable, number>> | null) {
  const world = createWorld()
  const org = await world.organization({ retention_days })
  const run = () => applyRetention.run(world.ctx(), { org_id: org.id })
  return { world, org, run }
}

/** An arrival whose draft is decided, as most are after a while: nothing waits for anybody. */
async function settled(world: World, org: TestOrganization, days: number, email?: string): Promise<Arrival> {
  const arrival = await arrive(world, org, { at: daysAgo(days), ...(email ? { email } : {}) })
  await world.sql(q.update(drafts).set({ status: 'rejected' }).where(eq(drafts.id, arrival.draft_id)))
  return arrival
}

const tables = {
  contacts,
  conversations,
  messages,
  leads,
  drafts,
  sends,
  outbox_mails,
  events,
  notices,
  notifications,
}

async function countsOf(world: World, org: TestOrganization) {
  const found: Record<string, number> = {}
  for (const [name, table] of Object.entries(tables)) {
    const [rows] = await world.sql(
      q.select({ org_id: table.org_id }).from(table).where(eq(table.org_id, org.id)),
    )
    found[name] = rows.length
  }
  return found
}

async function recordsOf(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q
      .select({
        fields: audit_logs.fields,
        entity_id: audit_logs.entity_id,
        actor_type: audit_logs.actor_type,
      })
      .from(audit_logs)
      .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'retention.applied'))),
  )
  return rows
}

/** A send that is over. */
async function ended(
  world: World,
  org: TestOrganization,
  arrival: Arrival,
  days: number,
  state: 'sent' | 'review' = 'sent',
) {
  const ctx = world.ctx()
  const id = ctx.newId()
  await world.sql(
    q.insert(sends).values({
      id,
      org_id: org.id,
      kind: 'reply',
      state,
      transport: 'outbox',
      conversation_id: arrival.conversation_id,
      lead_id: arrival.lead_id,
      draft_id: arrival.draft_id,
      automatic: true,
      to_email: `to-${id}@buyer.test`,
      to_domain: 'buyer.test',
      subject: 's',
      text: 't',
      message_id: `<${id}@inlet.test>`,
      dedupe_key: id,
      next_attempt_at: daysAgo(days),
      created_at: daysAgo(days),
    }),
    q.insert(outbox_mails).values({ org_id: org.id, send_id: id, raw: 'r', accepted_at: daysAgo(days) }),
  )
  return id
}

/** A UUIDv7 of that day. */
function idOf(days: number): string {
  const hex = daysAgo(days).getTime().toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${crypto.randomUUID().slice(15)}`
}

describe('the daily sweep', () => {
  it('hands over the organizations that let something expire, and no others', async () => {
    const world = createWorld()
    const wanted = await world.organization({ retention_days: { leads: 30 } })
    const others = [await world.organization(), await world.organization({ retention_days: {} })]
    const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 60_000)
    await world.tick(CRON, at)
    const messages = world.queued.filter(({ body }) => (body as { job: string }).job === 'apply-retention')
    expect(messages.filter(({ body }) => JSON.stringify(body).includes(wanted.id))).toEqual([
      {
        queue: 'events',
        body: { job: 'apply-retention', payload: { org_id: wanted.id }, as_of: at.toISOString() },
        attempts: 1,
        delay_seconds: 0,
      },
    ])
    for (const other of others) expect(JSON.stringify(messages)).not.toContain(other.id)
  })

  it('moves its time along: what is due by the tick is gone after it', async () => {
    const { world, org } = await scene({ leads: 30, conversations: 30 })
    await settled(world, org, 1)
    await world.tick(CRON)
    await world.drain()
    expect(await countsOf(world, org)).toMatchObject({ leads: 1, conversations: 1 })
    await world.tick(CRON, new Date(Date.now() + 31 * DAY * 1000))
    await world.drain()
    expect(await countsOf(world, org)).toMatchObject({ leads: 0, conversations: 0, messages: 0, contacts: 0 })
  })
})

describe('retention', () => {
  it('removes what is past its time with all that belongs to it, once, and keeps one record of it', async () => {
    const { world, org, run } = await scene({
      leads: 30,
      conversations: 30,
      sends: 30,
      notifications: 30,
      events: 10,
    })
    const old = await settled(world, org, 31)
    await ended(world, org, old, 31)
    const recent = await settled(world, org, 29)
    await ended(world, org, recent, 29)
    await run()
    expect(await countsOf(world, org)).toMatchObject({
      contacts: 1,
      conversations: 1,
      messages: 1,
      leads: 1,
      drafts: 1,
      sends: 1,
      outbox_mails: 1,
      notices: 1,
    })
    const record = {
      fields: ['sends:1', 'leads:1', 'contacts:1', 'messages:1', 'conversations:1'],
      entity_id: org.id,
      actor_type: 'system',
    }
    const [first] = await recordsOf(world, org)
    expect({ ...first, fields: first?.fields.toSorted() }).toEqual({
      ...record,
      fields: record.fields.toSorted(),
    })
    await run()
    expect(await recordsOf(world, org)).toHaveLength(1)
  })

  it('removes nothing of an organization without limits, nor of another one', async () => {
    const { world, org, run } = await scene(null)
    const { world: theirs, org: other } = await scene({ leads: 1, conversations: 1, sends: 30 })
    await ended(world, org, await settled(world, org, 4000), 4000)
    await ended(theirs, other, await settled(theirs, other, 4000), 4000)
    await run()
    expect(await countsOf(world, org)).toMatchObject({ leads: 1, conversations: 1, sends: 1 })
    expect(await countsOf(theirs, other)).toMatchObject({ leads: 1, conversations: 1, sends: 1 })
    expect(await recordsOf(world, org)).toEqual([])
  })

  it('keeps what is not named: a lead its conversation, a send itself', async () => {
    const { world, org, run } = await scene({ conversations: 10 })
    const withLead = await settled(world, org, 20)
    const without = await settled(world, org, 20)
    const send_id = await ended(world, org, without, 20)
    await world.sql(
      q.update(sends).set({ lead_id: null }).where(eq(sends.id, send_id)),
      q.update(drafts).set({ lead_id: null }).where(eq(drafts.id, without.draft_id)),
      q.delete(leads).where(eq(leads.id, without.lead_id)),
    )
    await run()
    const [left, [send]] = await world.sql(
      q.select({ id: conversations.id }).from(conversations).where(eq(conversations.org_id, org.id)),
      q.select().from(sends).where(eq(sends.id, send_id)),
    )
    expect(left).toEqual([{ id: withLead.conversation_id }])
    expect(send).toMatchObject({
      conversation_id: null,
      draft_id: null,
      lead_id: null,
      state: 'sent',
      text: 't',
    })
  })

  it('lets leads go before their conversations where only they have a limit, and takes no draft along', async () => {
    const { world, org, run } = await scene({ leads: 10 })
    const old = await settled(world, org, 20)
    const send_id = await ended(world, org, old, 20)
    await run()
    expect(await countsOf(world, org)).toMatchObject({
      leads: 0,
      conversations: 1,
      messages: 1,
      drafts: 1,
      sends: 1,
      contacts: 1,
    })
    const [[send]] = await world.sql(q.select().from(sends).where(eq(sends.id, send_id)))
    expect(send).toMatchObject({ lead_id: null, conversation_id: old.conversation_id })
  })

  it('counts a lead’s age from the last message of its conversation', async () => {
    const { world, org, run } = await scene({ leads: 10, conversations: 10 })
    const alive = await settled(world, org, 20)
    await world.sql(
      q
        .update(conversations)
        .set({ last_message_at: daysAgo(5) })
        .where(eq(conversations.id, alive.conversation_id)),
    )
    await run()
    expect(await countsOf(world, org)).toMatchObject({ leads: 1, conversations: 1 })
  })

  it.each(['pending draft', 'ready draft', 'scheduled send', 'send in review'])(
    'leaves a conversation alone that still has a %s',
    async (holding) => {
      const { world, org, run } = await scene({ leads: 1, conversations: 1, sends: 30 })
      const held = await settled(world, org, 400)
      if (holding.endsWith('draft'))
        await world.sql(
          q
            .update(drafts)
            .set({ status: holding === 'pending draft' ? 'pending' : 'ready' })
            .where(eq(drafts.id, held.draft_id)),
        )
      else if (holding === 'send in review') await ended(world, org, held, 400, 'review')
      else
        await arrangeReply(world, org, {
          arrival: held,
          email: 'x@buyer.test',
          due_at: new Date(Date.now() + 1e7),
        })
      await run()
      expect(await countsOf(world, org)).toMatchObject({
        leads: 1,
        conversations: 1,
        messages: 1,
        contacts: 1,
      })
    },
  )

  it('keeps a contact of whom something is left, or whose address is suppressed', async () => {
    const { world, org, run } = await scene({ leads: 10, conversations: 10 })
    await settled(world, org, 20, 'gone@buyer.test')
    await settled(world, org, 20, 'busy@buyer.test')
    await settled(world, org, 2, 'busy@buyer.test')
    await settled(world, org, 20, 'blocked@buyer.test')
    await world.sql(
      q.insert(suppressions).values({
        org_id: org.id,
        id: world.ctx().newId(),
        kind: 'email',
        value_norm: 'blocked@buyer.test',
        reason: 'hard_bounce',
      }),
    )
    await run()
    const [left] = await world.sql(
      q
        .select({ email: contacts.email_norm })
        .from(contacts)
        .where(eq(contacts.org_id, org.id))
        .orderBy(contacts.email_norm),
    )
    expect(left).toEqual([{ email: 'blocked@buyer.test' }, { email: 'busy@buyer.test' }])
  })

  it('lets dispatched events, read notifications and finished notices go, and keeps the others', async () => {
    const { world, org, run } = await scene({ events: 10, notifications: 10 })
    const { id: user_id } = await org.as('owner')
    const at = daysAgo(20)
    const event = (dispatched_at: Date | null, days = 20) => ({
      org_id: org.id,
      id: idOf(days),
      type: 'lead.updated' as const,
      payload: {},
      as_of: at,
      created_at: daysAgo(days),
      dispatched_at,
    })
    const notification = (read_at: Date | null) => ({
      org_id: org.id,
      id: idOf(20),
      user_id,
      type: 't',
      entity_type: 'system',
      title: 't',
      body: 'b',
      dedupe_key: crypto.randomUUID(),
      created_at: at,
      read_at,
    })
    const notice = (state: 'pending' | 'sent' | 'failed') => ({
      org_id: org.id,
      id: idOf(20),
      channel: 'slack' as const,
      kind: 'lead_outcome' as const,
      dedupe_key: crypto.randomUUID(),
      state,
      next_attempt_at: at,
      created_at: at,
    })
    await world.sql(
      q.insert(events).values([event(at), event(null), event(at, 9)]),
      q.insert(notifications).values([notification(at), notification(null)]),
      q.insert(notices).values([notice('pending'), notice('sent'), notice('failed')]),
    )
    await run()
    expect(await countsOf(world, org)).toMatchObject({ events: 2, notifications: 1, notices: 1 })
  })

  it('keeps sends for the 30 days in which their link to unsubscribe has to work, whatever is set', async () => {
    const { world, org, run } = await scene({ sends: 1 })
    const arrival = await settled(world, org, 40)
    const kept = await ended(world, org, arrival, 29)
    await ended(world, org, arrival, 31)
    // Its account was refused for weeks before it left.
    const late = await ended(world, org, arrival, 32)
    await world.sql(
      q
        .update(sends)
        .set({ sent_at: daysAgo(3) })
        .where(eq(sends.id, late)),
    )
    await run()
    const [left] = await world.sql(q.select({ id: sends.id }).from(sends).where(eq(sends.org_id, org.id)))
    expect(left.map(({ id }) => id).toSorted()).toEqual([kept, late].toSorted())
  })

  it('works in small batches past what stays, and goes on in a next run when its time is over', async () => {
    const { world, org } = await scene({ leads: 10, conversations: 10 })
    for (let i = 0; i < 5; i++) await settled(world, org, 40 - i)
    const [rows] = await world.sql(
      q
        .select({ id: drafts.id })
        .from(drafts)
        .where(eq(drafts.org_id, org.id))
        .orderBy(drafts.created_at, drafts.id)
        .limit(3),
    )
    // The three oldest are held: a batch of two sees only them, and has to look further.
    await world.sql(
      q
        .update(drafts)
        .set({ status: 'ready' })
        .where(
          inArray(
            drafts.id,
            rows.map(({ id }) => id),
          ),
        ),
    )
    await applyRetentionJob({ rows: 2, run_ms: 60_000 }).run(world.ctx(), { org_id: org.id })
    expect(await countsOf(world, org)).toMatchObject({ leads: 3, conversations: 3 })
    await world.sql(q.update(drafts).set({ status: 'rejected' }).where(eq(drafts.org_id, org.id)))
    await applyRetentionJob({ rows: 1, run_ms: 0 }).run(world.ctx(), { org_id: org.id })
    expect(world.queued).toMatchObject([
      { queue: 'events', body: { job: 'apply-retention', payload: { org_id: org.id } } },
    ])
    await world.drain()
    expect(await countsOf(world, org)).toMatchObject({ leads: 0, conversations: 0 })
  })

  it('run by several at once removes everything once', async () => {
    const { world, org } = await scene({ leads: 10, conversations: 10 })
    for (let i = 0; i < 12; i++) await settled(world, org, 20)
    const job = applyRetentionJob({ rows: 3, run_ms: 60_000 })
    await Promise.all(Array.from({ length: 4 }, () => job.run(world.ctx(), { org_id: org.id })))
    await job.run(world.ctx(), { org_id: org.id })
    expect(await countsOf(world, org)).toMatchObject({ leads: 0, conversations: 0, messages: 0, contacts: 0 })
    const counted = (await recordsOf(world, org))
      .flatMap(({ fields }) => fields)
      .filter((field) => field.startsWith('leads:'))
    expect(counted.reduce((sum, field) => sum + Number(field.split(':')[1]), 0)).toBe(12)
  })

  it('loses nothing of a person who writes at that moment', async () => {
    const { world, org } = await scene({ leads: 10, conversations: 10 })
    for (let round = 0; round < 5; round++) {
      const email = `late${round}@buyer.test`
      await settled(world, org, 20, email)
      const arrivals = await Promise.all([
        arrive(world, org, { email }),
        applyRetention.run(world.ctx(), { org_id: org.id }).then(() => null),
        arrive(world, org, { email }),
      ])
      const ids = arrivals.flatMap((arrival) => (arrival ? [arrival.message_id] : []))
      const [left] = await world.sql(
        q
          .select({ id: messages.id })
          .from(messages)
          .innerJoin(conversations, eq(conversations.id, messages.conversation_id))
          .innerJoin(contacts, and(eq(contacts.id, conversations.contact_id), eq(contacts.email_norm, email)))
          .where(inArray(messages.id, ids)),
      )
      expect(left).toHaveLength(2)
    }
  })

  it('ends quietly for an organization that is gone, and buries a payload that is none', async () => {
    const world = createWorld()
    const org_id = crypto.randomUUID()
    await applyRetention.run(world.ctx(), { org_id })
    expect(world.queued).toEqual([])
    await world.env.EVENTS_QUEUE.send({ job: 'apply-retention', payload: { org_id: MARK } })
    await world.drain()
    const [buried] = await world.sql(q.select().from(dead_letters).where(sql`payload->>'org_id' = ${MARK}`))
    expect(buried).toMatchObject([{ job: 'apply-retention', failure: { code: 'poison_message' } }])
  })
})

describe('what the installation keeps for itself', () => {
  /** Table by table: when its rows go. A new table has to say so here. */
  const ends = {
    'of an organization, by its wish': [
      'conversations',
      'events',
      'leads',
      'notices',
      'notifications',
      'sends',
    ],
    'with the row that it belongs to': [
      'comments',
      'contact_handles',
      'drafts',
      'mailbox_gaps',
      'messages',
      'outbox_mails',
    ],
    'when nothing is left of it': ['contacts'],
    'when a person removes it': [
      'mail_templates',
      'mailboxes',
      'organizations',
      'site_tokens',
      'suppressions',
      'users',
    ],
    'never: append-only': ['audit_chain', 'audit_logs'],
    'one row a transport': ['transport_pauses'],
    'by trim-leftovers': [
      'dead_letters',
      'idempotency_keys',
      'mail_events',
      'mailbox_days',
      'oauth_states',
      'rate_limits',
      'refresh_tokens',
      'sessions',
      'sweep_runs',
    ],
  }

  it('has an end, table by table', async () => {
    const world = createWorld()
    const [{ rows }] = await world.sql(
      raw<{ name: string }>(
        sql`select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = 'public' and c.relkind in ('r', 'p') order by c.relname`,
      ),
    )
    expect(rows.map(({ name }) => name)).toEqual(Object.values(ends).flat().toSorted())
  })

  it('goes after 14 days, a month or when it has expired, and what is younger stays', async () => {
    const world = createWorld()
    const mark = `trim-${crypto.randomUUID()}`
    const ages = (old: number, young: number) => [old, young] as const
    const letters = ages(15, 13).map((days) => ({
      id: world.ctx().newId(),
      queue: 'sends',
      job: mark,
      payload: {},
      failure: { kind: 'permanent', code: 'c', message: 'm' },
      attempts: 1,
      created_at: daysAgo(days),
    }))
    await world.sql(
      q.insert(dead_letters).values(letters),
      q.insert(sweep_runs).values(
        ages(31, 29).map((days) => ({
          name: mark,
          scheduled_at: daysAgo(days),
          cron: CRON,
          started_at: daysAgo(days),
          finished_at: daysAgo(days),
        })),
      ),
      q.insert(mail_events).values(
        ages(15, 13).map((days) => ({
          provider: mark,
          dedupe_key: String(days),
          kind: 'delivery' as const,
          recipient: 'x@buyer.test',
          detail: {},
          occurred_at: daysAgo(days),
          created_at: daysAgo(days),
        })),
      ),
      q.insert(idempotency_keys).values(
        ages(0.01, -0.5).map((days) => ({
          scope: mark,
          key: String(days),
          request_hash: 'h',
          state: 'done' as const,
          lease_until: daysAgo(days),
          expires_at: daysAgo(days),
        })),
      ),
      q
        .insert(rate_limits)
        .values(ages(2, 0.5).map((days) => ({ key: mark, window_at: daysAgo(days), count: 1 }))),
    )
    await world.tick(CRON)
    const left = await world.sql(
      q.select({ at: dead_letters.created_at }).from(dead_letters).where(eq(dead_letters.job, mark)),
      q.select({ at: sweep_runs.started_at }).from(sweep_runs).where(eq(sweep_runs.name, mark)),
      q.select({ at: mail_events.created_at }).from(mail_events).where(eq(mail_events.provider, mark)),
      q
        .select({ at: idempotency_keys.expires_at })
        .from(idempotency_keys)
        .where(eq(idempotency_keys.scope, mark)),
      q.select({ at: rate_limits.window_at }).from(rate_limits).where(like(rate_limits.key, mark)),
    )
    const days = left.map((rows) =>
      rows.map(({ at }) => Math.round(((Date.now() - at.getTime()) / DAY / 1000) * 2) / 2),
    )
    expect(days).toEqual([[13], [29], [13], [-0.5], [0.5]])
  })
})
