// While mails arrive, workerd and the whole stack are killed hard at random moments and started again: every mail becomes one
// lead and gets one reply. The whole number of the acceptance by hand: E2E_MAILS=100 E2E_KILLS=5 E2E_PATIENT=1.
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { answers, inquiry, Product, senderOf } from '../e2e/product.ts'
import { report } from '../e2e/report.ts'
import { answersHealth, deliverOnce, settle } from '../e2e/settle.ts'
import { type Stack, startStack, until } from '../e2e/stack.ts'

const MAILS = Number(process.env['E2E_MAILS'] ?? 30)
/** Of each kind. */
const KILLS = Number(process.env['E2E_KILLS'] ?? 2)
const SEED = Number(process.env['E2E_SEED'] ?? Date.now() % 1_000_000)
/** Waits for leases in real time, where the test otherwise ends those of dead runs by hand. */
const PATIENT = Boolean(process.env['E2E_PATIENT'])

const MINUTE_MS = 60_000

function randomness(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Kill {
  what: 'workerd' | 'stack'
  /** When so many mails have been delivered … */
  after: number
  /** … and this long after it. */
  delayMs: number
  /** Only once a reply is on its way: between claim and outcome a kill matters most. */
  aimed: boolean
}

function plan(random: () => number): Kill[] {
  const kinds = Array.from(
    { length: KILLS * 2 },
    (_, i) => (i % 2 === 0 ? 'workerd' : 'stack') as Kill['what'],
  )
  return kinds
    .map((what) => ({
      what,
      after: 1 + Math.floor(random() * (MAILS - 1)),
      delayMs: random() * 600,
      aimed: random() < 0.7,
    }))
    .sort((a, b) => a.after - b.after)
}

it(`answers each of ${MAILS} mails exactly once through ${KILLS} kills of workerd and ${KILLS} of everything (seed ${SEED})`, {
  timeout: PATIENT ? 30 * MINUTE_MS : 4 * MINUTE_MS,
}, async () => {
  const random = randomness(SEED)
  const kills = plan(random)
  const mails = Array.from({ length: MAILS }, (_, i) => inquiry(`mail-${i}`))
  const stack = await startStack()
  const product = new Product(stack)
  await slowGmail(product)
  const caught = { claimed: new Set<string>(), sending: new Set<string>() }

  let delivered = 0
  const delivering = (async () => {
    for (const mail of mails) {
      await deliverOnce(product, mail)
      delivered++
      // In bursts, so that much is under way when a kill comes.
      if (random() < 0.4) await delay(random() * 400)
    }
  })()
  // Without this, a failure of it would end the process before the kills are over.
  delivering.catch(() => undefined)
  let lastKill = new Date(0)
  for (const kill of kills) {
    await until(`${kill.after} mails`, () => delivered >= kill.after, { withinMs: 2 * MINUTE_MS, everyMs: 5 })
    if (kill.aimed) await underWay(product, lastKill)
    await delay(kill.aimed ? kill.delayMs / 4 : kill.delayMs)
    lastKill = new Date()
    if (kill.what === 'workerd') await killWorkerd(stack)
    else {
      await stack.killAll()
      await stack.restart()
      await slowGmail(product)
    }
    const interrupted = await product.sql<{ id: string; state: 'claimed' | 'sending' }>(
      "select id, state from sends where state in ('claimed', 'sending')",
    )
    for (const { id, state } of interrupted) caught[state].add(id)
  }
  await delivering
  await until('the API answers', async () => await answersHealth(stack), { withinMs: 30_000 })
  const begun = Date.now()
  const rounds = await settle(product, mails.length, { patient: PATIENT })

  const sent = await product.sent()
  const counts = answers(sent)
  const leads = await product.leads()
  const sends = await product.sends()
  const letters = await product.operator<{ data: unknown[] }>('/admin/dead-letters')
  report({
    seed: SEED,
    mails: MAILS,
    kills: kills.map(({ what, after, aimed }) => `${what}@${after}${aimed ? '!' : ''}`),
    caught_claimed: caught.claimed.size,
    caught_sending: caught.sending.size,
    leads: leads.length,
    replies: sent.length,
    twice: [...counts.values()].filter((count) => count > 1).length,
    attempts: Math.max(...sends.map(({ attempts }) => attempts)),
    drafts_left: (await product.mailbox()).filter(({ label_ids }) => label_ids.includes('DRAFT')).length,
    slack: (await product.slack()).length,
    dead_letters: letters.data.length,
    settled_s: Math.round((Date.now() - begun) / 1000),
    rounds,
  })
  expect(leads.map(({ contact }) => contact.email).sort()).toEqual(mails.map(senderOf).sort())
  expect(Object.fromEntries(counts)).toEqual(
    Object.fromEntries(mails.map(({ message_id }) => [message_id, 1])),
  )
  expect(sent).toHaveLength(MAILS)
  expect(tally(sends.map(({ kind, state }) => `${kind} ${state}`))).toEqual({
    'reply sent': MAILS,
    'admin_alert sent': MAILS,
  })
  expect(letters.data).toEqual([])
  expect(await product.get('/audit-logs/verify')).toMatchObject({ ok: true })
})

const tally = (names: string[]): Record<string, number> =>
  names.reduce<Record<string, number>>((all, name) => ({ ...all, [name]: (all[name] ?? 0) + 1 }), {})

/** A draft and its sending take a while each, so that many kills come between request, effect and answer. */
async function slowGmail(product: Product): Promise<void> {
  await product.google('faults', { path_pattern: '/drafts', method: 'POST', delay_ms: 150, times: 0 })
}

/** Or nothing is any more, because an earlier kill has lost the queues; then any moment is as good. */
async function underWay(product: Product, since: Date): Promise<void> {
  const look = async () => {
    const [row] = await product.sql(
      "select from sends where state in ('claimed', 'sending') and updated_at > $1 limit 1",
      [since],
    )
    return row !== undefined
  }
  await until('a reply on its way', look, { withinMs: 3000, everyMs: 5 }).catch(() => undefined)
}

async function killWorkerd(stack: Stack): Promise<void> {
  const killed = await until('a workerd to kill', () => stack.pidOf('workerd'))
  stack.kill('workerd')
  await until('another workerd', () => {
    const pid = stack.pidOf('workerd')
    return pid !== undefined && pid !== killed
  })
}
