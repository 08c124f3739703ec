// A delivery through the real object and an emulated Gmail that fails as the real one does.
import { eq } from 'drizzle-orm'
import { afterEach, expect, it } from 'vitest'
import { q } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { mailboxes } from '#db/schema/mailboxes'
import { deliverSend, reconcileSend } from '#features/sending'
import { addSeconds } from '#kernel/clock'
import { type ConnectedMailbox, connectMailbox, deliver, shim } from '#test/google'
import { readSend } from '#test/sends'
import { createWorld, read } from '#test/world'

interface Stored {
  thread_id: string
  label_ids: string[]
  raw: string
}

afterEach(async () => {
  await shim('faults', {}, 'DELETE')
})

async function stored(mailbox: ConnectedMailbox): Promise<Stored[]> {
  return (await shim<{ messages: Stored[] }>('mailbox', { email: mailbox.email })).messages
}

/** A mail has arrived, and a person has answered it by hand. */
async function answer() {
  const world = createWorld()
  const org = await world.organization({ reply_mode: 'off' })
  const mailbox = await connectMailbox(world, org)
  const message_id = `<${crypto.randomUUID()}@buyer.test>`
  const from = `ada-${crypto.randomUUID().slice(0, 8)}@buyer.test`
  const arrived = await deliver(mailbox.email, { from: `Ada <${from}>`, message_id })
  await world.ctx().mailboxes(mailbox.id).sync(new Date().toISOString())
  const [[conversation]] = await world.sql(
    q.select().from(conversations).where(eq(conversations.provider_thread_id, arrived.threadId)),
  )
  const { token } = await org.as('agent')
  const { status, body } = await read(
    await world.request('POST', `/api/v1/conversations/${conversation?.id}/messages`, {
      token,
      body: { text: 'Ten seats cost 90.' },
    }),
  )
  expect(status).toBe(201)
  const send_id = String(body.id)
  // Only what this answer makes is looked at.
  const earlier = (await stored(mailbox)).filter((message) => message.label_ids.includes('SENT')).length
  world.queued.splice(0)
  return {
    world,
    mailbox,
    message_id,
    arrived,
    send_id,
    sent: async () =>
      (await stored(mailbox)).filter((message) => message.label_ids.includes('SENT')).slice(earlier),
    run: (at?: Date) => deliverSend.run(world.ctx(at ? { as_of: at } : {}), { org_id: org.id, send_id }),
    reconcile: (at: Date) => reconcileSend.run(world.ctx({ as_of: at }), { org_id: org.id, send_id }),
    started: async (minutes: number) => {
      const { send_started_at } = await readSend(world, send_id)
      if (!send_started_at) throw new Error('not started')
      return addSeconds(send_started_at, minutes * 60)
    },
  }
}

it('leaves from the account, in the same thread, and its own copy in Sent makes no second message', async () => {
  const { world, mailbox, message_id, arrived, send_id, sent, run } = await answer()
  await run()
  const [mail, ...more] = await sent()
  const raw = atob((mail?.raw ?? '').replaceAll('-', '+').replaceAll('_', '/'))
  expect({ thread: mail?.thread_id, more }).toEqual({ thread: arrived.threadId, more: [] })
  expect(raw).toContain(`In-Reply-To: ${message_id}`)
  expect(raw).toContain(`X-Inlet-Send-Id: ${send_id}`)
  expect(raw).not.toContain('Auto-Submitted')
  await world.ctx().mailboxes(mailbox.id).sync(new Date().toISOString())
  const [rows] = await world.sql(
    q.select().from(messages).where(eq(messages.mailbox_id, mailbox.id)).orderBy(messages.direction),
  )
  expect(rows.map((row) => [row.direction, row.send_id])).toEqual([
    ['inbound', null],
    ['outbound', send_id],
  ])
})

it('is one mail when Gmail sends it and the answer gets lost', async () => {
  const { world, send_id, sent, run, reconcile, started } = await answer()
  await shim('faults', { method: 'POST', path_pattern: '/drafts/send', after_commit: true })
  await run()
  expect((await readSend(world, send_id)).state).toBe('unknown')
  await reconcile(await started(19))
  expect((await readSend(world, send_id)).state).toBe('unknown')
  await reconcile(await started(21))
  await run(await started(60))
  expect((await readSend(world, send_id)).state).toBe('sent')
  expect(await sent()).toHaveLength(1)
})

it('is one mail when the request never reaches Gmail: the same draft is sent later', async () => {
  const { world, send_id, sent, run, reconcile, started } = await answer()
  await shim('faults', { method: 'POST', path_pattern: '/drafts/send', drop: true })
  await run()
  expect({ state: (await readSend(world, send_id)).state, sent: await sent() }).toEqual({
    state: 'unknown',
    sent: [],
  })
  await reconcile(await started(21))
  expect((await readSend(world, send_id)).state).toBe('scheduled')
  await run(await started(22))
  expect((await readSend(world, send_id)).state).toBe('sent')
  expect(await sent()).toHaveLength(1)
})

it('waits as long as Gmail asks, and burns no attempt', async () => {
  const { world, send_id, sent, run } = await answer()
  await shim('faults', {
    method: 'POST',
    path_pattern: '/drafts/send',
    status: 429,
    headers: { 'Retry-After': '40' },
    body: { error: { code: 429, message: 'rateLimitExceeded' } },
  })
  await run()
  const waiting = await readSend(world, send_id)
  expect(waiting).toMatchObject({ state: 'scheduled', attempts: 0, waits_because: 'rate_limited' })
  expect(waiting.next_attempt_at.getTime() - world.clock.now().getTime()).toBeGreaterThan(30_000)
  expect(await sent()).toEqual([])
})

it('waits for a person to reconnect when the grant is dead, and says so', async () => {
  const { world, mailbox, send_id, sent, run } = await answer()
  await shim('revoke', { email: mailbox.email })
  await run()
  await run(addSeconds(world.clock.now(), 3600))
  expect(await readSend(world, send_id)).toMatchObject({
    state: 'scheduled',
    attempts: 0,
    waits_because: 'mailbox_reconnect_required',
  })
  const [[row]] = await world.sql(q.select().from(mailboxes).where(eq(mailboxes.id, mailbox.id)))
  expect({ status: row?.status, sent: await sent() }).toEqual({ status: 'reconnect_required', sent: [] })
})
