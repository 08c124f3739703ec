import { and, eq, sql } from 'drizzle-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import { noticeSubscribers, postNotice } from '#features/notifications'
import { q } from '#db/client'
import { drafts } from '#db/schema/drafting'
import { mailboxes } from '#db/schema/mailboxes'
import { notices } from '#db/schema/notifications'
import { dead_letters, events } from '#db/schema/platform'
import { sends } from '#db/schema/sending'
import type { EventType } from '#kernel/event'
import type { SendState } from '#kernel/vocabulary'
import { kick } from '#platform/outbox'
import { type Arrival, arrive } from '#test/arrivals'
import { createFakeSlack, type FakeSlack, RETRY_AFTER_SECONDS } from '#test/fake-slack'
import { createWorld, type TestOrganization, type World } from '#test/world'

let world: World
let slack: FakeSlack
let organization: TestOrganization

beforeEach(async () => {
  world = createWorld()
  // Leads of other files, by the thousand, would fill what the sweep takes at a time.
  await world.sql(q.delete(notices))
  slack = createFakeSlack()
  world.fetch = slack.fetch
  organization = await world.organization({ name: 'Demo' })
})

type Key = { notice_id: string } | { lead_id: string } | { mailbox_id: string }

/** One delivery of the job's message. */
async function deliver(key: Key, org_id = organization.id): Promise<void> {
  world.queued.length = 0
  await world
    .ctx()
    .enqueueMessages('notifications', [{ message: { job: postNotice.name, payload: { org_id, ...key } } }])
  await world.drain()
}

async function stored(arrival: Arrival) {
  const [[row]] = await world.sql(
    q
      .select({
        state: notices.state,
        attempts: notices.attempts,
        next_attempt_at: notices.next_attempt_at,
        lease_until: notices.lease_until,
        error: sql<string | null>`${notices.last_error}->>'code'`,
      })
      .from(notices)
      .where(eq(notices.id, arrival.notice_id)),
  )
  if (!row) throw new Error('The notice is gone')
  const { next_attempt_at, lease_until, ...rest } = row
  return {
    ...rest,
    leased: lease_until !== null,
    waits_seconds: Math.round((next_attempt_at.getTime() - world.clock.now().getTime()) / 1000),
  }
}

async function setDraft(arrival: Arrival, set: Partial<typeof drafts.$inferInsert>): Promise<void> {
  await world.sql(q.update(drafts).set(set).where(eq(drafts.id, arrival.draft_id)))
}

async function setSend(arrival: Arrival, state: SendState): Promise<void> {
  const id = crypto.randomUUID()
  await world.sql(
    q
      .insert(sends)
      .values({
        id,
        org_id: organization.id,
        kind: 'reply',
        state,
        transport: 'outbox',
        conversation_id: arrival.conversation_id,
        lead_id: arrival.lead_id,
        draft_id: arrival.draft_id,
        automatic: true,
        to_email: 'ada@buyer.test',
        to_domain: 'buyer.test',
        subject: 'Re: Pricing?',
        text: 'Ten.',
        message_id: `<${id}@demo.test>`,
        dedupe_key: `test:${arrival.draft_id}`,
        next_attempt_at: world.clock.now(),
      })
      .onConflictDoUpdate({ target: [sends.org_id, sends.dedupe_key], set: { state } }),
  )
}

async function answered(arrival: Arrival): Promise<void> {
  await setDraft(arrival, { status: 'approved', decision: 'auto_send' })
  await setSend(arrival, 'sent')
}

describe('the notice of a lead', () => {
  it('is posted once with outcome and link, however often the job runs', async () => {
    const arrival = await arrive(world, organization, {
      name: '<!channel>',
      email: 'ada@buyer.test',
      text: `Ten seats? <https://evil.test|click> ${'x'.repeat(500)}`,
    })
    await answered(arrival)
    for (const key of [{ lead_id: arrival.lead_id }, { notice_id: arrival.notice_id }]) await deliver(key)
    expect(slack.posted).toEqual([
      {
        url: expect.stringContaining('/services/T000000001/B000000001/X000000001'),
        text: [
          '*New lead for Demo: &lt;!channel&gt; (ada@buyer.test)*',
          `Pricing? – Ten seats? &lt;https://evil.test|click&gt; ${'x'.repeat(102)}…`,
          'Answered automatically.',
          `<http://inlet.test/leads/${arrival.lead_id}|Open the lead>`,
        ].join('\n'),
      },
    ])
    expect(await stored(arrival)).toEqual(
      expect.objectContaining({ state: 'sent', attempts: 1, error: null, leased: false }),
    )
  })

  it('waits for the outcome without burning an attempt, and is woken early by what settles it', async () => {
    const arrival = await arrive(world, organization)
    const waiting = { state: 'pending', attempts: 0, error: null, leased: false, waits_seconds: 60 }
    await deliver({ lead_id: arrival.lead_id })
    expect(await stored(arrival)).toEqual(waiting)
    await setDraft(arrival, { status: 'approved', decision: 'auto_send' })
    for (const state of ['scheduled', 'claimed', 'sending', 'unknown'] as const) {
      await setSend(arrival, state)
      await deliver({ lead_id: arrival.lead_id })
      expect(await stored(arrival)).toEqual(waiting)
    }
    expect(slack.posted).toEqual([])
    await setSend(arrival, 'sent')
    await deliver({ lead_id: arrival.lead_id })
    expect(slack.posted.map((message) => message.text.split('\n')[2])).toEqual(['Answered automatically.'])
  })

  it('says why a reply needs approval', async () => {
    const arrival = await arrive(world, organization)
    await setDraft(arrival, {
      status: 'ready',
      decision: 'needs_review',
      gate: [
        { rule: 'mode', passed: true, detail: 'auto' },
        { rule: 'confidence', passed: false, detail: '0.4 < 0.8' },
      ],
    })
    await deliver({ lead_id: arrival.lead_id })
    expect(slack.posted.map((message) => message.text.split('\n')[2])).toEqual([
      'The reply needs approval: confidence: 0.4 &lt; 0.8.',
    ])
  })

  it('goes to the organization’s own webhook when it has one, and links to the front end', async () => {
    const own = 'https://hooks.slack.com/services/T1/B1/own'
    world = createWorld({ FRONTEND_URL: 'https://app.demo.test/' })
    world.fetch = slack.fetch
    const id = crypto.randomUUID()
    organization = await world.organization({
      id,
      reply_mode: 'off',
      slack_webhook_sealed: await world.ctx().seal(own, `organization:${id}:slack`),
    })
    const arrival = await arrive(world, organization)
    await deliver({ lead_id: arrival.lead_id })
    expect(slack.posted.map(({ url, text }) => [url, text.split('\n').slice(2)])).toEqual([
      [
        own,
        [
          'No automatic reply: replies are off.',
          `<https://app.demo.test/leads/${arrival.lead_id}|Open the lead>`,
        ],
      ],
    ])
  })

  it('is posted by one of two runs at the same time', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    const run = () => postNotice.run(world.ctx(), { org_id: organization.id, lead_id: arrival.lead_id })
    await Promise.all([run(), run(), run()])
    expect(slack.posted.length).toBe(1)
  })

  it('stays another organization’s secret', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    const other = await world.organization()
    await deliver({ lead_id: arrival.lead_id }, other.id)
    await deliver({ notice_id: arrival.notice_id }, other.id)
    expect(slack.posted).toEqual([])
    expect((await stored(arrival)).attempts).toBe(0)
  })
})

it('a lead that comes in is told once its answer has left, woken by nothing but events', async () => {
  const arrival = await arrive(world, organization, { text: 'Do you also deliver to Leeds?' })
  const [facts] = await world.sql(
    q.select({ id: events.id }).from(events).where(eq(events.org_id, organization.id)),
  )
  kick(
    world.ctx(),
    facts.map((event) => event.id),
  )
  await world.drain()
  expect(slack.posted.map((message) => message.text.split('\n').slice(1))).toEqual([
    [
      'Pricing? – Do you also deliver to Leeds?',
      'Answered automatically.',
      `<http://inlet.test/leads/${arrival.lead_id}|Open the lead>`,
    ],
  ])
  expect((await stored(arrival)).state).toBe('sent')
})

describe('a channel that refuses', () => {
  it('by throttling is asked again when it said so, not earlier, and it costs no attempt', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    slack.mood = 'throttled'
    await deliver({ lead_id: arrival.lead_id })
    const waiting = {
      state: 'pending',
      attempts: 0,
      error: 'slack_rate_limited',
      leased: false,
      waits_seconds: RETRY_AFTER_SECONDS,
    }
    expect(await stored(arrival)).toEqual(waiting)
    slack.mood = 'well'
    await deliver({ lead_id: arrival.lead_id })
    expect(slack.posted).toEqual([])
    world.clock.advance(RETRY_AFTER_SECONDS + 1)
    await deliver({ notice_id: arrival.notice_id })
    expect(slack.posted.length).toBe(1)
  })

  it('by being down or silent is tried eight times, and then the notice has failed, visibly', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    const seen: unknown[] = []
    for (let attempt = 1; attempt <= 9; attempt++) {
      slack.mood = attempt % 2 === 0 ? 'silent' : 'down'
      await deliver({ notice_id: arrival.notice_id })
      const { state, attempts, error } = await stored(arrival)
      seen.push([state, attempts, error])
      world.clock.advance(3 * 3600)
    }
    expect(seen).toEqual([
      ['pending', 1, 'slack_unavailable'],
      ['pending', 2, 'timeout'],
      ['pending', 3, 'slack_unavailable'],
      ['pending', 4, 'timeout'],
      ['pending', 5, 'slack_unavailable'],
      ['pending', 6, 'timeout'],
      ['pending', 7, 'slack_unavailable'],
      ['failed', 8, 'timeout'],
      ['failed', 8, 'timeout'],
    ])
  })

  it('for good ends it at once, and no send or draft has noticed', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    slack.gone = 'no_service'
    await deliver({ lead_id: arrival.lead_id })
    expect(await stored(arrival)).toEqual(
      expect.objectContaining({ state: 'failed', attempts: 1, error: 'no_service', leased: false }),
    )
    const [[send], dead] = await world.sql(
      q.select({ state: sends.state }).from(sends).where(eq(sends.lead_id, arrival.lead_id)),
      q.select().from(dead_letters).where(eq(dead_letters.org_id, organization.id)),
    )
    expect([send, dead]).toEqual([{ state: 'sent' }, []])
  })

  it('by losing its answer may get the message twice, never none', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    slack.mood = 'drops'
    await deliver({ lead_id: arrival.lead_id })
    slack.mood = 'well'
    world.clock.advance(3600)
    await deliver({ notice_id: arrival.notice_id })
    expect((await stored(arrival)).state).toBe('sent')
    expect(slack.posted.length).toBe(2)
  })
})

describe('a run that dies', () => {
  const abandon = (arrival: Arrival, attempts: number) =>
    world.sql(
      q
        .update(notices)
        .set({ attempts, lease_until: sql`now() - interval '1 second'` })
        .where(eq(notices.id, arrival.notice_id)),
    )

  it('leaves its notice to the next one when its lease is over', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    await abandon(arrival, 1)
    await deliver({ notice_id: arrival.notice_id })
    expect((await stored(arrival)).state).toBe('sent')
  })

  it('again and again ends the notice instead of trying for ever', async () => {
    const arrival = await arrive(world, organization)
    await answered(arrival)
    await abandon(arrival, 8)
    await deliver({ notice_id: arrival.notice_id })
    expect(await stored(arrival)).toEqual(expect.objectContaining({ state: 'failed', error: 'died' }))
    expect(slack.posted).toEqual([])
  })
})

describe('the notice of a lost mailbox', () => {
  const connected_at = new Date('2026-11-20T09:00:00.000Z')

  async function mailbox(set: Partial<typeof mailboxes.$inferInsert> = {}): Promise<string> {
    const id = crypto.randomUUID()
    await world.sql(
      q.insert(mailboxes).values({
        id,
        org_id: organization.id,
        provider: 'google',
        account_subject: id,
        email: 'sales@demo.test',
        email_norm: 'sales@demo.test',
        status: 'reconnect_required',
        connected_at,
        ...set,
      }),
    )
    return id
  }

  const change = (id: string, set: Partial<typeof mailboxes.$inferInsert>) =>
    world.sql(q.update(mailboxes).set(set).where(eq(mailboxes.id, id)))

  it('is posted once for each loss of the grant', async () => {
    const mailbox_id = await mailbox()
    await deliver({ mailbox_id })
    await deliver({ mailbox_id })
    expect(slack.posted.map((message) => message.text)).toEqual([
      [
        '*Demo has lost a mailbox: sales@demo.test*',
        'The provider has ended our access: no mail comes in and none goes out until a person reconnects it.',
        `<http://inlet.test/mailboxes/${mailbox_id}|Open the mailbox>`,
      ].join('\n'),
    ])
    await change(mailbox_id, { connected_at: new Date('2026-11-21T09:00:00.000Z') })
    await deliver({ mailbox_id })
    expect(slack.posted.length).toBe(2)
  })

  it('is not made when the mailbox was reconnected in the meantime, is another organization’s, or nobody listens', async () => {
    await deliver({ mailbox_id: await mailbox({ status: 'connected' }) })
    const mailbox_id = await mailbox()
    await deliver({ mailbox_id }, (await world.organization()).id)
    world = createWorld({ SLACK_WEBHOOK_URL: '' })
    world.fetch = slack.fetch
    await deliver({ mailbox_id })
    const [made] = await world.sql(q.select().from(notices).where(eq(notices.org_id, organization.id)))
    expect([made, slack.posted]).toEqual([[], []])
  })

  it('is tried again when the channel was down', async () => {
    slack.mood = 'down'
    const mailbox_id = await mailbox()
    await deliver({ mailbox_id })
    slack.mood = 'well'
    world.clock.advance(60)
    await sweep()
    expect(slack.posted.length).toBe(1)
  })
})

/** The minute's tick, and then only what it handed over for our organization's notices. */
async function sweep(): Promise<unknown[]> {
  world.queued.length = 0
  await world.tick('* * * * *')
  const ours = world.queued.filter((message) => {
    const { job, payload } = message.body as { job: string; payload: { org_id?: string } }
    return job === postNotice.name && payload.org_id === organization.id
  })
  world.queued.splice(0, world.queued.length, ...ours)
  const payloads = ours.map((message) => (message.body as { payload: unknown }).payload)
  await world.drain()
  return payloads
}

describe('the sweep', () => {
  it('brings back each due notice, and none that is not due or under way', async () => {
    const [due, later, leased, failed] = [
      await arrive(world, organization),
      await arrive(world, organization),
      await arrive(world, organization),
      await arrive(world, organization),
    ]
    const set = (arrival: Arrival, values: Partial<typeof notices.$inferInsert>) =>
      world.sql(
        q
          .update(notices)
          .set(values)
          .where(and(eq(notices.org_id, organization.id), eq(notices.id, arrival.notice_id))),
      )
    await set(later, { next_attempt_at: new Date(world.clock.now().getTime() + 30_000) })
    await set(leased, { lease_until: new Date(Date.now() + 60_000) })
    await set(failed, { state: 'failed' })
    expect(await sweep()).toEqual([{ org_id: organization.id, notice_id: due.notice_id }])
  })

  it('posts what became known while a wake-up was lost, at the time of its tick', async () => {
    const arrival = await arrive(world, organization)
    await deliver({ lead_id: arrival.lead_id })
    await answered(arrival)
    expect(await sweep()).toEqual([])
    world.clock.advance(61)
    await sweep()
    expect((await stored(arrival)).state).toBe('sent')
  })
})

describe('the events that wake a notice', () => {
  const wake = (type: EventType, payload: Record<string, string>) =>
    noticeSubscribers
      .filter((subscriber) => subscriber.event === type)
      .map((subscriber) => [
        subscriber.job,
        subscriber.queue,
        subscriber.payload({ id: 'e', org_id: 'o', type, payload, as_of: new Date() }),
      ])

  it('are those of its lead or mailbox; a mail without a lead wakes none', () => {
    for (const type of ['lead.created', 'draft.ready', 'message.sent', 'send.ended'] as const) {
      expect(wake(type, { lead_id: 'l', send_id: 's' })).toEqual([
        ['post-notice', 'notifications', { lead_id: 'l' }],
      ])
      expect(wake(type, { send_id: 's' })).toEqual([['post-notice', 'notifications', null]])
    }
    expect(wake('mailbox.reconnect_required', { mailbox_id: 'm' })).toEqual([
      ['post-notice', 'notifications', { mailbox_id: 'm' }],
    ])
  })
})

it('a message that names no notice is done, one that is no message of ours becomes a dead letter', async () => {
  await world
    .ctx()
    .enqueueMessages('notifications', [
      { message: { job: postNotice.name, payload: { org_id: organization.id } } },
      { message: { job: postNotice.name, payload: { org_id: organization.id, lead_id: 'not-an-id' } } },
    ])
  await world.drain()
  const [dead] = await world.sql(
    q
      .select({ job: dead_letters.job, code: sql`${dead_letters.failure}->>'code'` })
      .from(dead_letters)
      .where(eq(dead_letters.org_id, organization.id)),
  )
  expect(dead).toEqual([{ job: 'post-notice', code: 'poison_message' }])
})
