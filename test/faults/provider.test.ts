// What Google does to a connected mailbox: it forgets history, loses an answer, asks to slow down, ends tokens and grants.
import { beforeAll, beforeEach, expect, it } from 'vitest'
import { answers, inquiry, type MailboxConnection, Product, type Send, senderOf } from '../e2e/product.ts'
import { type Stack, startStack, until } from '../e2e/stack.ts'

const MINUTE_MS = 60_000

let stack: Stack
let product: Product

beforeAll(async () => {
  stack = await startStack()
  product = new Product(stack)
})

beforeEach(async () => {
  await product.resetShim()
})

const mailsOf = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => inquiry(`${name}-${i}`))

async function sendTo(mail: { from: string }): Promise<Send | undefined> {
  return (await product.sends()).find(({ to }) => to === senderOf(mail))
}

/** The number of leads and of replies in Sent for each of them. */
async function outcomes(mails: ReturnType<typeof inquiry>[]): Promise<[leads: number, replies: number][]> {
  const counts = answers(await product.sent())
  const leads = await product.leads()
  return mails.map((mail) => [
    leads.filter(({ contact }) => contact.email === senderOf(mail)).length,
    counts.get(mail.message_id) ?? 0,
  ])
}

const once = (mails: unknown[]) => mails.map(() => [1, 1])

async function answered(mails: ReturnType<typeof inquiry>[], withinMs = 60_000): Promise<void> {
  await until(
    'a reply to each mail',
    async () => (await outcomes(mails)).every(([, replies]) => replies > 0),
    { withinMs, everyMs: 250 },
  )
}

async function connection(): Promise<MailboxConnection> {
  const [mailbox, ...more] = await product.connections()
  if (!mailbox || more.length > 0) throw new Error('the demo organization has one mailbox')
  return mailbox
}

it('finds each of thirty mails once though the history expires while they arrive, and shows the gap', async () => {
  const mails = mailsOf('expired', 30)
  for (const [index, mail] of mails.entries()) {
    await product.deliver(mail)
    if (index === 9 || index === 19)
      await product.google('expire-history', { email: stack.local.demo.mailbox })
  }
  await answered(mails)
  await product.sync()
  expect(await outcomes(mails)).toEqual(once(mails))
  const { status, gaps } = await connection()
  expect(status).toBe('connected')
  expect(gaps.length).toBeGreaterThan(0)
  expect(gaps.filter(({ closed_at }) => closed_at === null)).toEqual([])
})

it('refreshes once when twenty mails meet an expired token', async () => {
  await product.google('expire-tokens', {})
  const mails = mailsOf('token', 20)
  await Promise.all(mails.map(async (mail) => await product.deliver(mail)))
  await answered(mails)
  expect((await product.stats())['tokens']).toEqual({ refresh_token: 1 })
  expect(await outcomes(mails)).toEqual(once(mails))
})

it('finds out that a mail has left whose answer got lost, and does not send it again', async () => {
  await product.google('faults', { path_pattern: '/drafts/send', method: 'POST', after_commit: true })
  const [mail] = mailsOf('lost-answer', 1) as [ReturnType<typeof inquiry>]
  await product.deliver(mail)
  await until('a send of unknown fate', async () => (await sendTo(mail))?.state === 'unknown')
  expect(answers(await product.sent()).get(mail.message_id)).toBe(1)

  await product.tick('* * * * *', Date.now() + 19 * MINUTE_MS)
  expect((await sendTo(mail))?.state).toBe('unknown')
  await product.tick('* * * * *', Date.now() + 21 * MINUTE_MS)
  await until('sent', async () => (await sendTo(mail))?.state === 'sent')
  expect(await sendTo(mail)).toMatchObject({ attempts: 1, last_error: null })
  expect(await outcomes([mail])).toEqual([[1, 1]])
  expect(await product.calls(/POST .*drafts\/send/)).toBe(1)
})

it('sends again after twenty minutes what never reached Gmail', async () => {
  await product.google('faults', { path_pattern: '/drafts/send', method: 'POST', drop: true })
  const [mail] = mailsOf('lost-request', 1) as [ReturnType<typeof inquiry>]
  await product.deliver(mail)
  await until('a send of unknown fate', async () => (await sendTo(mail))?.state === 'unknown')
  expect(answers(await product.sent()).has(mail.message_id)).toBe(false)

  const later = Date.now() + 21 * MINUTE_MS
  await product.tick('* * * * *', later)
  await until('it waits to be sent again', async () => (await sendTo(mail))?.state !== 'unknown')
  await product.tick('* * * * *', later + MINUTE_MS)
  await until('sent', async () => (await sendTo(mail))?.state === 'sent')
  expect(await outcomes([mail])).toEqual([[1, 1]])
})

it('waits as long as Gmail asks, then sends once, and burns no attempt', async () => {
  const waitSeconds = 4
  await product.google('faults', {
    path_pattern: '/drafts/send',
    method: 'POST',
    status: 429,
    headers: { 'retry-after': String(waitSeconds) },
    body: { error: { code: 429, message: 'Too many requests', errors: [{ reason: 'rateLimitExceeded' }] } },
  })
  const [mail] = mailsOf('slow-down', 1) as [ReturnType<typeof inquiry>]
  await product.deliver(mail)
  const refused = await until('a send that waits', async () => {
    const send = await sendTo(mail)
    return send?.waits_because === 'rate_limited' ? send : undefined
  })
  expect(refused).toMatchObject({ state: 'scheduled', attempts: 0, last_error: { code: 'rate_limited' } })
  const refusedAt = Date.parse(refused.next_attempt_at) - waitSeconds * 1000
  const sent = await until(
    'sent',
    async () => {
      await product.tick('* * * * *')
      const send = await sendTo(mail)
      return send?.state === 'sent' ? send : undefined
    },
    { everyMs: 300 },
  )
  expect(sent.attempts).toBe(1)
  expect(Date.parse(sent.sent_at ?? '') - refusedAt).toBeGreaterThanOrEqual(waitSeconds * 1000)
  expect(await product.calls(/POST .*drafts\/send/)).toBe(2)
  expect(await outcomes([mail])).toEqual([[1, 1]])
})

it('says once that a grant has ended, calls no more, and goes on after a reconnect', async () => {
  const lost = async () => (await product.slack()).filter((text) => text.includes('has lost a mailbox'))
  // A reply that waits for its undo window when the grant ends.
  const waiting = inquiry('waiting')
  await product.setOrganization({ undo_seconds: 600 })
  await product.deliver(waiting)
  await until('a reply that waits', async () => (await sendTo(waiting))?.state === 'scheduled')
  await product.setOrganization({ undo_seconds: 0 })

  await product.google('revoke', { email: stack.local.demo.mailbox })
  await product.resetShim()
  await product.tick('* * * * *', Date.now() + 11 * MINUTE_MS)
  await until('reconnect_required', async () => (await connection()).status === 'reconnect_required')
  await until('one notice', async () => (await lost()).length === 1)
  expect((await product.stats())['tokens']).toEqual({ refresh_token: 1 })
  await until(
    'the send waits',
    async () => (await sendTo(waiting))?.waits_because === 'mailbox_reconnect_required',
  )

  // From here on silence towards Google, whatever happens.
  await product.resetShim()
  const meanwhile = mailsOf('meanwhile', 3)
  for (const mail of meanwhile) await product.deliver(mail)
  await until('pushes', async () => ((await product.stats())['pushes']?.['acknowledged'] ?? 0) > 0)
  await product.poll()
  await product.tick('*/30 * * * *', Date.now() + 30 * MINUTE_MS)
  await product.tick('* * * * *', Date.now() + 30 * MINUTE_MS)
  await behindTheQueues()
  expect(await product.calls()).toBe(0)
  expect(await lost()).toHaveLength(1)
  expect(await sendTo(waiting)).toMatchObject({ state: 'scheduled', attempts: 0 })

  const { status, page } = await product.connect(stack.local.demo.mailbox, {
    mailbox_id: (await connection()).id,
  })
  expect({ status, page }).toMatchObject({ status: 200, page: expect.stringContaining('Status: connected') })
  await answered(meanwhile)
  await product.tick('* * * * *', Date.now() + 40 * MINUTE_MS)
  await answered([waiting])
  expect(await outcomes([waiting, ...meanwhile])).toEqual(once([waiting, ...meanwhile]))
  expect((await connection()).status).toBe('connected')
  expect(await lost()).toHaveLength(1)
})

/** A lead by the form takes the same queues: when its draft is written, what was enqueued before has been worked off. */
async function behindTheQueues(): Promise<void> {
  const posted = await fetch(`${stack.api}/lead/${stack.local.demo.slug}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'fence@form.test', message: 'What would 10 seats cost?' }),
  })
  const { leadId } = (await posted.json()) as { leadId: string }
  await until('the draft for the form', async () => {
    const { data } = await product.get<{ data: { lead_id: string; status: string }[] }>('/drafts?limit=5')
    return data.some(({ lead_id, status }) => lead_id === leadId && status !== 'pending')
  })
}
