import { and, eq, inArray, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { mailbox_days, mailboxes } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { outbox_mails, sends, suppressions } from '#db/schema/sending'
import { cancelReply, deliverSend, loadOutgoing, reconcileSend } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import type { Ctx } from '#platform/context'
import { arrive } from '#test/arrivals'
import {
  arrangeReply,
  createFakeMailbox,
  type FakeMailbox,
  insertMailbox,
  readSend,
  withMailbox,
} from '#test/sends'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { deliverSendJob } from '../../src/features/sending/jobs/deliver-send'
import { transports } from '../../src/features/sending/transports/index'

interface Scene {
  world: World
  org: TestOrganization
  mailbox_id: string
  fake: FakeMailbox
  ctx: (as_of?: Date) => Ctx
  deliver: (send_id: string, as_of?: Date) => Promise<unknown>
  reconcile: (send_id: string, as_of?: Date) => Promise<unknown>
}

async function createScene(given: Parameters<typeof insertMailbox>[2] = {}): Promise<Scene> {
  const world = createWorld()
  const org = await world.organization({ from_name: 'Shop' })
  const mailbox_id = await insertMailbox(world, org, given)
  const fake = createFakeMailbox()
  const ctx = (as_of?: Date) => withMailbox(world.ctx(as_of ? { as_of } : {}), fake)
  return {
    world,
    org,
    mailbox_id,
    fake,
    ctx,
    deliver: (send_id, as_of) => deliverSend.run(ctx(as_of), { org_id: org.id, send_id }),
    reconcile: (send_id, as_of) => reconcileSend.run(ctx(as_of), { org_id: org.id, send_id }),
  }
}

async function eventsOf(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q
      .select({ type: events.type, payload: events.payload })
      .from(events)
      .where(and(eq(events.org_id, org.id), inArray(events.type, ['message.sent', 'send.ended']))),
  )
  return rows
}

describe('a delivery', () => {
  it('sends the reply from its mailbox and writes all of it down at once', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const reply = await arrangeReply(world, org, { mailbox_id })
    await deliver(reply.send_id)
    const send = await readSend(world, reply.send_id)
    expect(fake.accepted.map((mail) => mail.send_id)).toEqual([reply.send_id])
    expect({ ...send, created_at: 0, updated_at: 0, next_attempt_at: 0, send_started_at: 0 }).toEqual({
      id: reply.send_id,
      org_id: org.id,
      kind: 'reply',
      state: 'sent',
      transport: 'mailbox',
      mailbox_id,
      conversation_id: reply.conversation_id,
      lead_id: reply.lead_id,
      draft_id: reply.draft_id,
      automatic: true,
      to_email: send.to_email,
      to_domain: 'buyer.test',
      to_name: 'Ada',
      subject: 'Re: Pricing?',
      text: 'Ten seats cost 90.',
      in_reply_to: `<${reply.message_id}@buyer.test>`,
      references: ['<before@buyer.test>', `<${reply.message_id}@buyer.test>`],
      provider_thread_id: `t-${reply.send_id}`,
      message_id: `<${reply.send_id}@shop.test>`,
      provider_draft_id: fake.accepted[0]?.provider_draft_id,
      provider_message_id: `m-${reply.send_id}`,
      dedupe_key: `reply:${reply.send_id}`,
      attempts: 1,
      claim_token: null,
      lease_until: null,
      sent_at: expect.any(Date),
      waits_because: null,
      skip_reason: null,
      last_error: null,
      delivered_at: null,
      bounced_at: null,
      bounce: null,
      complained_at: null,
      created_by: null,
      created_at: 0,
      updated_at: 0,
      next_attempt_at: 0,
      send_started_at: 0,
    })
    const [[message], [conversation], [lead], audits] = await world.sql(
      q.select().from(messages).where(eq(messages.send_id, reply.send_id)),
      q.select().from(conversations).where(eq(conversations.id, reply.conversation_id)),
      q.select().from(leads).where(eq(leads.id, reply.lead_id)),
      q.select().from(audit_logs).where(eq(audit_logs.entity_id, reply.send_id)),
    )
    expect(message).toMatchObject({
      conversation_id: reply.conversation_id,
      direction: 'outbound',
      classification: 'own',
      mailbox_id,
      provider_message_id: `m-${reply.send_id}`,
      message_id: `<rewritten-${reply.send_id}@mail.gmail.com>`,
      in_reply_to: send.in_reply_to,
      references: send.references,
      from_email: 'Sales@Shop.test',
      to: [{ email: send.to_email, name: 'Ada' }],
      subject: 'Re: Pricing?',
      text: 'Ten seats cost 90.',
      sent_at: send.sent_at,
    })
    expect({ at: conversation?.last_message_at, status: conversation?.status }).toEqual({
      at: send.sent_at,
      status: 'waiting',
    })
    expect({ status: lead?.status, first_response_at: lead?.first_response_at }).toEqual({
      status: 'contacted',
      first_response_at: null,
    })
    expect(audits.map((entry) => [entry.action, entry.entity, entry.fields])).toEqual([
      ['send.sent', 'send', ['state']],
    ])
    expect(await eventsOf(world, org)).toEqual([
      {
        type: 'message.sent',
        payload: {
          send_id: reply.send_id,
          state: 'sent',
          kind: 'reply',
          conversation_id: reply.conversation_id,
          lead_id: reply.lead_id,
          draft_id: reply.draft_id,
        },
      },
    ])
  })

  it('takes four round trips: claim, the mail for the mailbox, gate and outcome', async () => {
    const { world, org, mailbox_id, fake, ctx } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const run = ctx()
    fake.before.createDraft = async (id) => {
      expect(await loadOutgoing(run, org.id, id)).toMatchObject({ message_id: `<${send_id}@shop.test>` })
    }
    await deliverSend.run(run, { org_id: org.id, send_id })
    expect((await readSend(world, send_id)).state).toBe('sent')
    expect(run.meter.round_trips).toBe(4)
  })

  it('counts an approved reply as the first response to the lead', async () => {
    const { world, org, mailbox_id, deliver } = await createScene()
    const reply = await arrangeReply(world, org, { mailbox_id, automatic: false })
    await deliver(reply.send_id)
    const [[lead]] = await world.sql(q.select().from(leads).where(eq(leads.id, reply.lead_id)))
    expect(lead?.first_response_at).toEqual((await readSend(world, reply.send_id)).sent_at)
  })

  it('has one effect when its job comes twice', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    await deliver(send_id)
    await deliver(send_id)
    expect(fake.accepted).toHaveLength(1)
    expect(await eventsOf(world, org)).toHaveLength(1)
  })

  it('leaves a local outbox mail where there is no mailbox, through the real queue', async () => {
    const world = createWorld()
    world.fetch = async () => new Response('ok')
    const org = await world.organization()
    const { send_id } = await arrangeReply(world, org)
    await world.tick('* * * * *')
    await world.drain()
    const [[mail]] = await world.sql(q.select().from(outbox_mails).where(eq(outbox_mails.send_id, send_id)))
    expect((await readSend(world, send_id)).state).toBe('sent')
    expect(mail?.raw).toContain('Subject: Re: Pricing?\r\n')
    expect(mail?.raw).toContain('Auto-Submitted: auto-replied\r\n')
    expect(mail?.raw).toContain('From: no-reply@inlet.test\r\n')
  })

  it('takes the first connected mailbox of the organization when none is named, but not its thread', async () => {
    const { world, org, mailbox_id } = await createScene({ connected_at: new Date('2026-01-01') })
    await insertMailbox(world, org, { connected_at: new Date('2026-02-01'), status: 'connected' })
    await insertMailbox(world, org, { connected_at: new Date('2025-01-01'), status: 'reconnect_required' })
    const { send_id } = await arrangeReply(world, org)
    expect(await readSend(world, send_id)).toMatchObject({
      transport: 'mailbox',
      mailbox_id,
      provider_thread_id: null,
      message_id: `<${send_id}@shop.test>`,
    })
  })

  it('does nothing for a send of another organization', async () => {
    const { world, mailbox_id, org, fake, ctx } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const other = await world.organization()
    await deliverSend.run(ctx(), { org_id: other.id, send_id })
    expect(await loadOutgoing(ctx(), other.id, send_id)).toBeNull()
    expect({ state: (await readSend(world, send_id)).state, calls: fake.calls }).toEqual({
      state: 'scheduled',
      calls: [],
    })
  })

  it('schedules one send for one key', async () => {
    const { world, org, mailbox_id } = await createScene()
    const first = await arrangeReply(world, org, { mailbox_id })
    await arrangeReply(world, org, { mailbox_id, arrival: first, id: first.send_id }).catch(() => undefined)
    const [rows] = await world.sql(q.select().from(sends).where(eq(sends.org_id, org.id)))
    expect(rows).toHaveLength(1)
  })
})

describe('the undo window', () => {
  it('holds the send until it is over, whatever wakes it', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const due_at = addSeconds(world.clock.now(), 60)
    const { send_id } = await arrangeReply(world, org, { mailbox_id, due_at })
    expect((await readSend(world, send_id)).waits_because).toBe('undo_window')
    await deliver(send_id)
    expect(fake.calls).toEqual([])
    await deliver(send_id, addSeconds(due_at, 1))
    expect(fake.accepted).toHaveLength(1)
  })

  it('lets the reply be taken back, and tells so', async () => {
    const { world, org, mailbox_id, fake, deliver, ctx } = await createScene()
    const reply = await arrangeReply(world, org, { mailbox_id })
    await ctx()
      .db.org({ org_id: org.id, visibility: 'all' })
      .batch([cancelReply(ctx(), { org_id: org.id, draft_id: reply.draft_id, reason: 'rejected' })])
    await deliver(reply.send_id)
    expect(await readSend(world, reply.send_id)).toMatchObject({ state: 'skipped', skip_reason: 'rejected' })
    expect(fake.calls).toEqual([])
    expect((await eventsOf(world, org)).map((event) => [event.type, event.payload.state])).toEqual([
      ['send.ended', 'skipped'],
    ])
  })

  it('is over for what has passed the gate', async () => {
    const { world, org, mailbox_id, fake, deliver, ctx } = await createScene()
    const reply = await arrangeReply(world, org, { mailbox_id })
    fake.before.sendDraft = () =>
      ctx()
        .db.org({ org_id: org.id, visibility: 'all' })
        .batch([cancelReply(ctx(), { org_id: org.id, draft_id: reply.draft_id, reason: 'rejected' })])
    await deliver(reply.send_id)
    expect((await readSend(world, reply.send_id)).state).toBe('sent')
  })
})

describe('the gate', () => {
  /** Changes the world when the draft is made, so after the claim and before the gate. */
  async function refusal(
    change: (scene: Scene, reply: Awaited<ReturnType<typeof arrangeReply>>) => Promise<unknown>,
    automatic = true,
  ) {
    const scene = await createScene()
    const reply = await arrangeReply(scene.world, scene.org, { mailbox_id: scene.mailbox_id, automatic })
    scene.fake.before.createDraft = () => change(scene, reply)
    await scene.deliver(reply.send_id)
    const { state, skip_reason } = await readSend(scene.world, reply.send_id)
    return { state, skip_reason, accepted: scene.fake.accepted.length, drafts: scene.fake.drafts.size }
  }
  const skipped = (skip_reason: string) => ({ state: 'skipped', skip_reason, accepted: 0, drafts: 0 })
  const sent = { state: 'sent', skip_reason: null, accepted: 1, drafts: 0 }

  it.each([true, false])('refuses a draft that is approved no longer (automatic: %s)', async (automatic) => {
    const change = ({ world }: Scene, { draft_id }: { draft_id: string }) =>
      world.sql(q.update(drafts).set({ status: 'rejected' }).where(eq(drafts.id, draft_id)))
    expect(await refusal(change, automatic)).toEqual(skipped('draft_not_approved'))
  })

  it.each(['email', 'domain'] as const)('refuses a suppressed %s', async (kind) => {
    const change = async ({ world, org }: Scene, { send_id }: { send_id: string }) => {
      const { to_email, to_domain } = await readSend(world, send_id)
      const value_norm = kind === 'email' ? to_email : to_domain
      const id = world.ctx().newId()
      await world.sql(
        q.insert(suppressions).values({ id, org_id: org.id, kind, value_norm, reason: 'hard_bounce' }),
      )
    }
    expect(await refusal(change)).toEqual(skipped('suppressed'))
    expect(await refusal(change, false)).toEqual(skipped('suppressed'))
  })

  const newerMessage = async ({ world, org }: Scene, reply: { conversation_id: string }) => {
    const id = world.ctx().newId()
    await world.sql(
      q.insert(messages).values({
        id,
        org_id: org.id,
        conversation_id: reply.conversation_id,
        direction: 'inbound',
        channel: 'email',
        text: 'One more thing',
        stripped_text: 'One more thing',
        received_at: addSeconds(world.clock.now(), 1),
      }),
    )
  }
  const humanActivity = ({ world }: Scene, { conversation_id }: { conversation_id: string }) =>
    world.sql(
      q
        .update(conversations)
        .set({ last_human_activity_at: addSeconds(world.clock.now(), 1) })
        .where(eq(conversations.id, conversation_id)),
    )
  const switchedOff = ({ world, org }: Scene) =>
    world.sql(q.update(organizations).set({ reply_mode: 'draft' }).where(eq(organizations.id, org.id)))
  const mailboxOff = ({ world, mailbox_id }: Scene) =>
    world.sql(q.update(mailboxes).set({ auto_send: false }).where(eq(mailboxes.id, mailbox_id)))

  it.each([
    ['newer_message', newerMessage],
    ['human_activity', humanActivity],
    ['reply_mode_not_auto', switchedOff],
    ['mailbox_auto_send_off', mailboxOff],
  ] as const)(
    'refuses an automatic reply for %s, and passes what a person approved',
    async (reason, change) => {
      expect(await refusal(change)).toEqual(skipped(reason))
      expect(await refusal(change, false)).toEqual(sent)
    },
  )

  it('tells of a refusal with event and audit entry', async () => {
    const { world, org, mailbox_id, deliver } = await createScene()
    const reply = await arrangeReply(world, org, { mailbox_id })
    await world.sql(q.update(organizations).set({ reply_mode: 'off' }).where(eq(organizations.id, org.id)))
    await deliver(reply.send_id)
    const [audits] = await world.sql(
      q.select().from(audit_logs).where(eq(audit_logs.entity_id, reply.send_id)),
    )
    expect(audits.map((entry) => entry.action)).toEqual(['send.skipped'])
    expect(
      (await eventsOf(world, org)).map(({ type, payload }) => [type, payload.state, payload.lead_id]),
    ).toEqual([['send.ended', 'skipped', reply.lead_id]])
    expect(world.queued.some((message) => message.queue === 'events')).toBe(true)
  })

  it('holds back a mailbox that was paused meanwhile, keeps the draft and burns no attempt', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.before.createDraft = () =>
      world.sql(q.update(mailboxes).set({ status: 'paused' }).where(eq(mailboxes.id, mailbox_id)))
    await deliver(send_id)
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'scheduled',
      waits_because: 'mailbox_paused',
      attempts: 0,
      provider_draft_id: expect.any(String),
      send_started_at: null,
    })
    await world.sql(q.update(mailboxes).set({ status: 'connected' }).where(eq(mailboxes.id, mailbox_id)))
    await deliver(send_id)
    expect({ state: (await readSend(world, send_id)).state, accepted: fake.accepted.length }).toEqual({
      state: 'sent',
      accepted: 1,
    })
    expect(fake.calls.filter((call) => call === 'createDraft')).toHaveLength(1)
  })

  it('sends three automatic replies into a thread and no fourth', async () => {
    const { world, org, mailbox_id, deliver } = await createScene()
    const first = await arrangeReply(world, org, { mailbox_id, email: 'ada@buyer.test' })
    const states: [string, string | null][] = []
    for (let i = 0; i < 4; i++) {
      // Each from another address of another domain, so that only the thread's cap counts.
      const { send_id } = await arrangeReply(world, org, {
        mailbox_id,
        arrival: first,
        email: `ada@buyer${i}.test`,
      })
      await deliver(send_id)
      const send = await readSend(world, send_id)
      states.push([send.state, send.skip_reason])
    }
    expect(states).toEqual([
      ['sent', null],
      ['sent', null],
      ['sent', null],
      ['skipped', 'thread_cap'],
    ])
  })

  it('sends one automatic reply to a sender in 24 hours', async () => {
    const { world, org, mailbox_id, deliver } = await createScene()
    const email = 'ada@buyer.test'
    const states: string[] = []
    for (const hours of [0, 23, 25]) {
      world.clock.set(addSeconds(new Date(), hours * 3600))
      const { send_id } = await arrangeReply(world, org, {
        mailbox_id,
        email,
        arrival: await arrive(world, org, { email }),
      })
      await deliver(send_id)
      const send = await readSend(world, send_id)
      states.push(send.skip_reason ?? send.state)
    }
    expect(states).toEqual(['sent', 'sender_cap', 'sent'])
  })

  it('sends 500 automatic replies into a domain in a day, and no more', async () => {
    const { world, org, mailbox_id, deliver } = await createScene()
    const first = await arrangeReply(world, org, { mailbox_id, email: 'one@big.test' })
    await deliver(first.send_id)
    const sent_one = await readSend(world, first.send_id)
    const ctx = world.ctx()
    await world.sql(
      q.insert(sends).values(
        Array.from({ length: 498 }, (_, i) => ({
          ...sent_one,
          id: ctx.newId(),
          conversation_id: null,
          draft_id: null,
          to_email: `n${i}@big.test`,
          dedupe_key: `n${i}`,
        })),
      ),
    )
    const states: string[] = []
    for (const email of ['499@big.test', '500@big.test']) {
      const { send_id } = await arrangeReply(world, org, { mailbox_id, email })
      await deliver(send_id)
      const send = await readSend(world, send_id)
      states.push(send.skip_reason ?? send.state)
    }
    expect(states).toEqual(['sent', 'domain_cap'])
  })
})

describe('the claim', () => {
  it('keeps to the slots of the mailbox and says when the next is free', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene({ daily_cap: 2 })
    const replies = [
      await arrangeReply(world, org, { mailbox_id }),
      await arrangeReply(world, org, { mailbox_id }),
      await arrangeReply(world, org, { mailbox_id }),
    ]
    for (const { send_id } of replies) await deliver(send_id)
    const last = await readSend(world, replies[2]?.send_id ?? '')
    const midnight = new Date(world.clock.now())
    midnight.setUTCHours(24, 0, 0, 0)
    expect(last).toMatchObject({
      state: 'scheduled',
      waits_because: 'daily_cap',
      attempts: 0,
      next_attempt_at: midnight,
    })
    expect(fake.accepted).toHaveLength(2)
    await deliver(last.id, midnight)
    expect((await readSend(world, last.id)).state).toBe('sent')
    const [days] = await world.sql(
      q.select({ used: mailbox_days.used }).from(mailbox_days).where(eq(mailbox_days.org_id, org.id)),
    )
    expect(days.map((day) => day.used).sort((a, b) => a - b)).toEqual([1, 2])
  })

  it('lets nothing leave a mailbox whose cap is 0', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene({ daily_cap: 0 })
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    await deliver(send_id)
    expect({ waits: (await readSend(world, send_id)).waits_because, calls: fake.calls }).toEqual({
      waits: 'daily_cap',
      calls: [],
    })
  })

  it('keeps the gap and the own cap of sequences, which replies do not know', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene({
      sequence_daily_cap: 2,
      sequence_gap_seconds: 480,
    })
    const replies = []
    for (let i = 0; i < 3; i++) replies.push(await arrangeReply(world, org, { mailbox_id, automatic: false }))
    const ids = replies.map((reply) => reply.send_id)
    await world.sql(q.update(sends).set({ kind: 'sequence' }).where(inArray(sends.id, ids)))
    const seen: (string | null)[] = []
    const noon = new Date(world.clock.now())
    noon.setUTCHours(36, 0, 0, 0)
    for (const [i, id] of [ids[0], ids[1], ids[1], ids[2]].entries()) {
      // The gap of 8 minutes varies by 30 %: after 2 minutes it is never over, after 11 always.
      await deliver(id ?? '', addSeconds(noon, [0, 120, 660, 1320][i] ?? 0))
      const send = await readSend(world, id ?? '')
      seen.push(send.waits_because ?? send.state)
      if (i === 1) expect(send.next_attempt_at.getTime() - noon.getTime()).toBeGreaterThanOrEqual(336_000)
      if (i === 1) expect(send.next_attempt_at.getTime() - noon.getTime()).toBeLessThanOrEqual(624_000)
    }
    expect(seen).toEqual(['sent', 'sequence_gap', 'sent', 'daily_cap'])
    const reply = await arrangeReply(world, org, { mailbox_id })
    await deliver(reply.send_id, addSeconds(noon, 1320))
    expect((await readSend(world, reply.send_id)).state).toBe('sent')
    expect(fake.accepted).toHaveLength(3)
  })

  it('waits for a dead mailbox without burning attempts, and goes on when it is connected again', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene({ status: 'reconnect_required' })
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    await deliver(send_id)
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'scheduled',
      waits_because: 'mailbox_reconnect_required',
      attempts: 0,
    })
    world.queued.splice(0)
    await world.tick('* * * * *')
    expect(deliveriesOf(world, send_id)).toEqual([])
    await world.sql(q.update(mailboxes).set({ status: 'connected' }).where(eq(mailboxes.id, mailbox_id)))
    await world.tick('* * * * *', addSeconds(world.clock.now(), 60))
    expect(deliveriesOf(world, send_id)).toEqual(['deliver-send'])
    await deliver(send_id)
    expect(fake.accepted).toHaveLength(1)
  })

  it('lets one of twenty parallel deliveries through', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    await Promise.all(Array.from({ length: 20 }, () => deliver(send_id)))
    expect({ accepted: fake.accepted.length, drafts: fake.drafts.size }).toEqual({ accepted: 1, drafts: 0 })
    expect(await readSend(world, send_id)).toMatchObject({ state: 'sent', attempts: 1 })
    const [[day]] = await world.sql(
      q.select().from(mailbox_days).where(eq(mailbox_days.mailbox_id, mailbox_id)),
    )
    expect(day?.used).toBe(1)
  })

  it('keeps the day cap of a mailbox under parallel deliveries of many sends', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene({ daily_cap: 5 })
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => arrangeReply(world, org, { mailbox_id })),
    )
    await Promise.all(replies.flatMap(({ send_id }) => [deliver(send_id), deliver(send_id)]))
    expect(fake.accepted).toHaveLength(5)
  })
})

describe('a newer message that arrives during the delivery', () => {
  const ingest = async (
    world: World,
    org: TestOrganization,
    reply: { message_id: string },
    email: string,
  ) => {
    const ctx = world.ctx()
    const names = ['contact', 'conversation', 'message', 'lead', 'draft', 'notice', 'suppression', 'audit']
    const ids = [...names, 'message_event', 'lead_event', 'draft_event'].map((name) => [name, ctx.newId()])
    const now = world.clock.now().toISOString()
    const input = {
      now,
      actor: 'test',
      ids: Object.fromEntries(ids),
      source: 'email',
      contact: { email, email_norm: email, name: 'Ada' },
      reference_ids: [`<${reply.message_id}@buyer.test>`],
      message: {
        channel: 'email',
        received_at: addSeconds(world.clock.now(), 1).toISOString(),
        message_id: `<${ctx.newId()}@buyer.test>`,
        from_email: email,
        text: 'One more thing',
        stripped_text: 'One more thing',
        references: [],
        classification: 'human',
      },
    }
    const [{ rows }] = await ctx.db
      .org({ org_id: org.id, visibility: 'all' })
      .batch([
        raw<{ result: { outcome: string } }>(
          sql`select ingest_inbound(${JSON.stringify(input)}::jsonb) as result`,
        ),
      ])
    return rows[0]?.result.outcome
  }

  it('either stops it or comes after it, and the two never block each other', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const replies = []
    for (let i = 0; i < 30; i++) {
      const email = `ada${i}@buyer.test`
      replies.push({ email, ...(await arrangeReply(world, org, { mailbox_id, email })) })
    }
    const outcomes = await Promise.all(
      replies.flatMap((reply, i) => {
        const both = [() => deliver(reply.send_id), () => ingest(world, org, reply, reply.email)]
        return (i % 2 === 0 ? both : both.toReversed()).map((work) => work())
      }),
    )
    expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual(replies.map(() => 'created'))
    const states = await Promise.all(
      replies.map(async ({ send_id }) => {
        const send = await readSend(world, send_id)
        return `${send.state} ${send.skip_reason}`
      }),
    )
    expect(states.filter((state) => state !== 'sent null' && state !== 'skipped newer_message')).toEqual([])
    expect(fake.accepted).toHaveLength(states.filter((state) => state === 'sent null').length)
  })
})

describe('a run that has lost its claim', () => {
  const lose = (world: World, send_id: string, set: Partial<typeof sends.$inferInsert>) => () =>
    world.sql(q.update(sends).set(set).where(eq(sends.id, send_id)))

  it.each(['lease', 'token'] as const)(
    'by its %s does not pass the gate, and removes its draft',
    async (by) => {
      const { world, org, mailbox_id, fake, deliver } = await createScene()
      const { send_id } = await arrangeReply(world, org, { mailbox_id })
      const other = world.ctx().newId()
      fake.before.createDraft = lose(
        world,
        send_id,
        by === 'lease' ? { lease_until: addSeconds(new Date(), -1) } : { claim_token: other },
      )
      await deliver(send_id)
      expect({ calls: fake.calls, drafts: fake.drafts.size }).toEqual({
        calls: ['createDraft', 'deleteDraft'],
        drafts: 0,
      })
      expect(await readSend(world, send_id)).toMatchObject({ state: 'claimed', provider_draft_id: null })
    },
  )

  it('leaves the draft alone that the row keeps, because another run may be sending it', async () => {
    const { world, org, mailbox_id, fake, ctx } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.drafts.set('kept', send_id)
    await world.sql(q.update(sends).set({ provider_draft_id: 'kept' }).where(eq(sends.id, send_id)))
    const job = deliverSendJob(transports, async (after) => {
      if (after === 'prepare') await lose(world, send_id, { claim_token: world.ctx().newId() })()
    })
    await job.run(ctx(), { org_id: org.id, send_id })
    expect({ calls: fake.calls, drafts: [...fake.drafts.keys()] }).toEqual({ calls: [], drafts: ['kept'] })
  })

  it('writes down no outcome, whatever the provider answered', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    for (const fault of [undefined, 'rate_limited', 'refused', 'lost_response'] as const) {
      const { send_id } = await arrangeReply(world, org, { mailbox_id })
      fake.faults.sendDraft = [fault]
      fake.before.sendDraft = lose(world, send_id, { state: 'review', claim_token: null })
      await deliver(send_id)
      expect(await readSend(world, send_id)).toMatchObject({
        state: 'review',
        last_error: null,
        sent_at: null,
      })
    }
    const [rows] = await world.sql(
      q
        .select({ id: messages.id })
        .from(messages)
        .where(and(eq(messages.org_id, org.id), eq(messages.direction, 'outbound'))),
    )
    expect({ rows, told: await eventsOf(world, org) }).toEqual({ rows: [], told: [] })
  })
})

function deliveriesOf(world: World, send_id: string): string[] {
  return world.queued
    .map((message) => message.body as { job: string; payload: { send_id?: string } })
    .filter((body) => body.payload.send_id === send_id)
    .map((body) => body.job)
}

describe('caps under parallel gates', () => {
  it('answer one sender once, though ten replies come to the gate together', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const email = 'ada@buyer.test'
    const replies = []
    for (let i = 0; i < 10; i++)
      replies.push(
        await arrangeReply(world, org, { mailbox_id, email, arrival: await arrive(world, org, { email }) }),
      )
    await Promise.all(replies.map(({ send_id }) => deliver(send_id)))
    const states = await Promise.all(
      replies.map(async ({ send_id }) => {
        const send = await readSend(world, send_id)
        return send.skip_reason ?? send.state
      }),
    )
    expect(states.sort()).toEqual([...Array.from({ length: 9 }, () => 'sender_cap'), 'sent'])
    expect(fake.accepted).toHaveLength(1)
  })

  it('answer a thread three times, though ten replies of ten domains come together', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const arrival = await arrive(world, org, { email: 'ada@buyer.test' })
    const replies = []
    for (let i = 0; i < 10; i++)
      replies.push(await arrangeReply(world, org, { mailbox_id, arrival, email: `ada@buyer${i}.test` }))
    await Promise.all(replies.map(({ send_id }) => deliver(send_id)))
    expect(fake.accepted).toHaveLength(3)
  })
})

describe('a refusal of the provider', () => {
  it('with Retry-After waits that long and burns no attempt', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.faults.sendDraft = ['rate_limited']
    const before = world.clock.now()
    await deliver(send_id)
    const send = await readSend(world, send_id)
    expect(send).toMatchObject({
      state: 'scheduled',
      attempts: 0,
      waits_because: 'rate_limited',
      last_error: { code: 'rate_limited' },
      claim_token: null,
    })
    const waits = send.next_attempt_at.getTime() - before.getTime()
    expect(waits).toBeGreaterThanOrEqual(17_000)
    expect(waits).toBeLessThan(27_000)
    await deliver(send_id, addSeconds(send.next_attempt_at, 1))
    expect({
      accepted: fake.accepted.length,
      made: fake.calls.filter((call) => call === 'createDraft').length,
    }).toEqual({ accepted: 1, made: 1 })
  })

  it.each(['createDraft', 'sendDraft'] as const)(
    'of a dead grant at %s keeps it scheduled and burns no attempt',
    async (call) => {
      const { world, org, mailbox_id, fake, deliver } = await createScene()
      const { send_id } = await arrangeReply(world, org, { mailbox_id })
      fake.faults[call] = ['dead_grant']
      await deliver(send_id)
      expect(await readSend(world, send_id)).toMatchObject({
        state: 'scheduled',
        attempts: 0,
        waits_because: 'mailbox_reconnect_required',
      })
    },
  )

  it('before the draft is made is tried again later, eight times at most', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.faults.createDraft = Array.from({ length: 8 }, () => 'unavailable' as const)
    let at = world.clock.now()
    for (let i = 1; i <= 8; i++) {
      await deliver(send_id, at)
      const send = await readSend(world, send_id)
      expect({ attempts: send.attempts, state: send.state }).toEqual({
        attempts: i,
        state: i < 8 ? 'scheduled' : 'failed',
      })
      at = addSeconds(send.next_attempt_at, 1)
    }
    expect((await eventsOf(world, org)).map(({ type, payload }) => [type, payload.state])).toEqual([
      ['send.ended', 'failed'],
    ])
  })

  it('because a person has answered in the thread skips it, and its draft is out of date', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.faults.createDraft = ['answered']
    await deliver(send_id)
    const { state, skip_reason } = await readSend(world, send_id)
    expect({ state, skip_reason, calls: fake.calls }).toEqual({
      state: 'skipped',
      skip_reason: 'answered_by_a_person',
      calls: ['createDraft'],
    })
    expect((await eventsOf(world, org)).map(({ type, payload }) => [type, payload.state])).toEqual([
      ['send.ended', 'skipped'],
    ])
  })

  it('for good fails it once, removes the draft and suppresses nobody', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.faults.sendDraft = ['refused']
    await deliver(send_id)
    await deliver(send_id)
    const [rows] = await world.sql(q.select().from(suppressions).where(eq(suppressions.org_id, org.id)))
    expect({ state: (await readSend(world, send_id)).state, rows, drafts: fake.drafts.size }).toEqual({
      state: 'failed',
      rows: [],
      drafts: 0,
    })
  })

  it('of a bad recipient suppresses the address', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    fake.faults.sendDraft = ['bad_recipient']
    await deliver(send_id)
    const [rows] = await world.sql(
      q
        .select({ kind: suppressions.kind, value_norm: suppressions.value_norm, reason: suppressions.reason })
        .from(suppressions)
        .where(eq(suppressions.org_id, org.id)),
    )
    const send = await readSend(world, send_id)
    expect({ state: send.state, rows }).toEqual({
      state: 'failed',
      rows: [{ kind: 'email', value_norm: send.to_email, reason: 'bad_recipient' }],
    })
  })

  it('is not asked for by a run that was suspended behind the gate', async () => {
    const { world, org, mailbox_id, fake, ctx } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const run = ctx()
    const clock = run.clock
    // The clock jumps once the draft is there and the time of the gate is taken.
    let jumps = -1
    const suspended: Ctx = {
      ...run,
      clock: { now: () => (jumps >= 0 && jumps++ >= 2 ? addSeconds(clock.now(), 61) : clock.now()) },
    }
    fake.before.createDraft = async () => {
      jumps = 0
    }
    await deliverSend.run(suspended, { org_id: org.id, send_id })
    expect(fake.calls).toEqual(['createDraft'])
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'scheduled',
      last_error: { code: 'suspended' },
    })
  })
})

describe('a send without an outcome', () => {
  async function lose(fault: 'lost_request' | 'lost_response') {
    const scene = await createScene()
    const { send_id } = await arrangeReply(scene.world, scene.org, { mailbox_id: scene.mailbox_id })
    scene.fake.faults.sendDraft = [fault]
    await scene.deliver(send_id)
    const { send_started_at } = await readSend(scene.world, send_id)
    if (!send_started_at) throw new Error('not started')
    return { ...scene, send_id, after: (minutes: number) => addSeconds(send_started_at, minutes * 60 + 1) }
  }

  it('is of unknown fate, and nobody asks before 20 minutes are over', async () => {
    const { world, fake, send_id, after, reconcile, deliver } = await lose('lost_response')
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'unknown',
      last_error: { code: 'mailbox_unreachable' },
    })
    await deliver(send_id, after(60))
    await reconcile(send_id, after(19))
    await world.tick('* * * * *', after(19))
    expect({ calls: fake.calls, queued: deliveriesOf(world, send_id) }).toEqual({
      calls: ['createDraft', 'sendDraft'],
      queued: [],
    })
    await world.tick('* * * * *', after(20))
    expect(deliveriesOf(world, send_id)).toEqual(['reconcile-send'])
  })

  it('is sent when the provider has it', async () => {
    const { world, org, fake, send_id, after, reconcile } = await lose('lost_response')
    await reconcile(send_id, after(20))
    await reconcile(send_id, after(20))
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'sent',
      provider_message_id: `m-${send_id}`,
      last_error: null,
    })
    expect(fake.accepted).toHaveLength(1)
    expect((await eventsOf(world, org)).map((event) => event.type)).toEqual(['message.sent'])
    const [rows] = await world.sql(q.select().from(messages).where(eq(messages.send_id, send_id)))
    expect(rows).toHaveLength(1)
  })

  it('is scheduled again when the draft still lies there, and the same draft is sent', async () => {
    const { world, fake, send_id, after, reconcile, deliver } = await lose('lost_request')
    await reconcile(send_id, after(20))
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'scheduled',
      attempts: 1,
      claim_token: null,
    })
    await deliver(send_id, after(21))
    expect({ calls: fake.calls, accepted: fake.accepted.length }).toEqual({
      calls: ['createDraft', 'sendDraft', 'findSent', 'sendDraft'],
      accepted: 1,
    })
    expect((await readSend(world, send_id)).state).toBe('sent')
  })

  it('is a matter for a person when the provider knows neither draft nor mail', async () => {
    const { world, org, fake, send_id, after, reconcile } = await lose('lost_request')
    fake.drafts.clear()
    await reconcile(send_id, after(20))
    expect(await readSend(world, send_id)).toMatchObject({
      state: 'review',
      waits_because: 'decision_of_a_person',
      last_error: { code: 'inconclusive' },
    })
    expect((await eventsOf(world, org)).map(({ type, payload }) => [type, payload.state])).toEqual([
      ['send.ended', 'review'],
    ])
  })

  it('is asked for again in five minutes when the provider is away, and for a day at most', async () => {
    const { world, fake, send_id, after, reconcile } = await lose('lost_response')
    fake.faults.findSent = ['unavailable', 'unavailable']
    await reconcile(send_id, after(20))
    const send = await readSend(world, send_id)
    expect({ state: send.state, next: send.next_attempt_at }).toEqual({
      state: 'unknown',
      next: addSeconds(after(20), 300),
    })
    await reconcile(send_id, after(24))
    expect(fake.calls.filter((call) => call === 'findSent')).toHaveLength(1)
    await reconcile(send_id, after(24 * 60))
    expect((await readSend(world, send_id)).state).toBe('review')
  })

  it('is found by the sweep when the run died behind the gate', async () => {
    const { world, send_id, after, reconcile } = await lose('lost_response')
    await world.sql(q.update(sends).set({ state: 'sending' }).where(eq(sends.id, send_id)))
    await world.tick('* * * * *', after(19))
    expect((await readSend(world, send_id)).state).toBe('sending')
    await world.tick('* * * * *', after(20))
    expect((await readSend(world, send_id)).state).toBe('unknown')
    expect(deliveriesOf(world, send_id)).toEqual(['reconcile-send'])
    await reconcile(send_id, after(20))
    expect((await readSend(world, send_id)).state).toBe('sent')
  })
})

describe('the sweep', () => {
  it('wakes what is due, also when its queue message was lost, and nothing else', async () => {
    const { world, org, mailbox_id } = await createScene()
    const due = await arrangeReply(world, org, { mailbox_id })
    const later = await arrangeReply(world, org, { mailbox_id, due_at: addSeconds(world.clock.now(), 3600) })
    await world.tick('* * * * *')
    expect([deliveriesOf(world, due.send_id), deliveriesOf(world, later.send_id)]).toEqual([
      ['deliver-send'],
      [],
    ])
    await world.tick('* * * * *', addSeconds(world.clock.now(), 3601))
    expect(deliveriesOf(world, later.send_id)).toEqual(['deliver-send'])
  })

  it('frees a claim whose lease is over, which is a free retry', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const claim_token = world.ctx().newId()
    const set = (lease_until: Date) =>
      world.sql(
        q
          .update(sends)
          .set({ state: 'claimed', claim_token, lease_until, attempts: 1 })
          .where(eq(sends.id, send_id)),
      )
    await set(addSeconds(new Date(), 60))
    await world.tick('* * * * *', addSeconds(world.clock.now(), 86_400))
    expect((await readSend(world, send_id)).state).toBe('claimed')
    await set(addSeconds(new Date(), -1))
    await world.tick('* * * * *', addSeconds(world.clock.now(), 86_460))
    expect(deliveriesOf(world, send_id)).toEqual(['deliver-send'])
    await deliver(send_id, addSeconds(world.clock.now(), 86_460))
    expect(fake.accepted).toHaveLength(1)
  })

  it('gives a mail up whose every run dies before it could leave', async () => {
    const { world, org, mailbox_id, fake, deliver } = await createScene()
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    await world.sql(q.update(sends).set({ attempts: 8 }).where(eq(sends.id, send_id)))
    await deliver(send_id)
    expect(await readSend(world, send_id)).toMatchObject({ state: 'failed', last_error: { code: 'crashes' } })
    expect(fake.calls).toEqual([])
  })
})
