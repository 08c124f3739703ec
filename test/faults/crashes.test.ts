// While mails arrive, workerd and the whole stack are killed hard at random moments and started again: every mail becomes one
// lead and gets one reply. The whole number of the acceptance by hand: E2E_MAILS=100 E2E_KILLS=5 E2E_PATIENT=1.
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { answers, inquiry, Product } from '../e2e/product.ts'
import { report } from '../e2e/report.ts'
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
}

function plan(random: () => number): Kill[] {
  const kinds = Array.from(
    { length: KILLS * 2 },
    (_, i) => (i % 2 === 0 ? 'workerd' : 'stack') as Kill['what'],
  )
  return kinds
    .map((what) => ({ what, after: 1 + Math.floor(random() * (MAILS - 1)), delayMs: random() * 600 }))
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
  const caught = { claimed: new Set<string>(), sending: new Set<string>() }

  let delivered = 0
  const delivering = (async () => {
    for (const mail of mails) {
      await deliverOnce(product, mail)
      delivered++
      await delay(random() * 200)
    }
  })()
  // Without this, a failure of it would end the process before the kills are over.
  delivering.catch(() => undefined)
  for (const kill of kills) {
    await until(`${kill.after} mails`, () => delivered >= kill.after, { withinMs: 2 * MINUTE_MS, everyMs: 5 })
    await delay(kill.delayMs)
    if (kill.what === 'workerd') await killWorkerd(stack)
    else {
      await stack.killAll()
      await stack.restart()
    }
    const interrupted = await product.sql<{ id: string; state: 'claimed' | 'sending' }>(
      "select id, state from sends where state in ('claimed', 'sending')",
    )
    for (const { id, state } of interrupted) caught[state].add(id)
  }
  await delivering
  await until('the API answers', async () => await isUp(stack.api), { withinMs: 30_000 })
  const begun = Date.now()
  const rounds = await settle(product)

  const sent = await product.sent()
  const counts = answers(sent)
  const leads = await product.leads()
  const sends = await product.sends()
  const letters = await product.operator<{ data: unknown[] }>('/admin/dead-letters')
  report({
    seed: SEED,
    mails: MAILS,
    kills: kills.map(({ what, after }) => `${what}@${after}`),
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
  expect(leads.map(({ contact }) => contact.email).sort()).toEqual(
    mails.map(({ from }) => addressOf(from)).sort(),
  )
  expect(Object.fromEntries(counts)).toEqual(
    Object.fromEntries(mails.map(({ message_id }) => [message_id, 1])),
  )
  expect(sent).toHaveLength(MAILS)
  expect(tally(sends.map(({ state }) => state))).toEqual({ sent: MAILS })
  expect(letters.data).toEqual([])
  expect(await product.get('/audit-logs/verify')).toMatchObject({ ok: true })
})

const addressOf = (from: string) => /<(.+)>/.exec(from)?.[1] ?? from

const tally = (names: string[]): Record<string, number> =>
  names.reduce<Record<string, number>>((all, name) => ({ ...all, [name]: (all[name] ?? 0) + 1 }), {})

async function isUp(api: string): Promise<boolean> {
  try {
    return (await fetch(`${api}/health`, { signal: AbortSignal.timeout(3000) })).ok
  } catch {
    return false
  }
}

async function killWorkerd(stack: Stack): Promise<void> {
  const killed = await until('a workerd to kill', () => stack.pidOf('workerd'))
  stack.kill('workerd')
  await until('another workerd', () => {
    const pid = stack.pidOf('workerd')
    return pid !== undefined && pid !== killed
  })
}

/** The mail's sender insists, as a mail server does; what was accepted before the answer got lost is not delivered again. */
async function deliverOnce(product: Product, mail: ReturnType<typeof inquiry>): Promise<void> {
  for (let uncertain = false; ; uncertain = true) {
    try {
      if (uncertain && (await product.mailbox()).some(({ message_id }) => message_id === mail.message_id))
        return
      await product.deliver(mail)
      return
    } catch {
      await delay(50)
    }
  }
}

/**
 * Lets everything come to its end: polls for what push has lost, ticks for what queues have lost; and when nothing moves any
 * more, time goes on past the twenty minutes after which a send of unknown fate is looked for.
 */
async function settle(product: Product): Promise<number> {
  let asOf = Date.now()
  for (let round = 1; ; round++) {
    await product.poll()
    await product.tick('* * * * *', asOf)
    await quiet(product)
    if ((await openWork(product)) === 0 && (await product.leads()).length >= MAILS) return round
    if (!PATIENT) await endLeases(product)
    else await delay(30_000)
    asOf += 21 * MINUTE_MS
    if (round > 40) throw new Error(`it does not settle: ${JSON.stringify(await product.sends())}`)
  }
}

/** Nobody changes a send, a draft or an event for a while. */
async function quiet(product: Product): Promise<void> {
  let last = ''
  let since = Date.now()
  await until(
    'quiet',
    async () => {
      const [row] = await product.sql<{ seen: string }>(
        `select concat_ws(' ', (select count(*) || ' ' || max(updated_at) from sends), (select count(*) || ' ' || max(updated_at) from drafts),
           (select count(*) || ' ' || count(dispatched_at) from events), (select count(*) || ' ' || sum(attempts) from notices)) as seen`,
      )
      if (row?.seen !== last) {
        last = row?.seen ?? ''
        since = Date.now()
      }
      return Date.now() - since > 1500
    },
    { withinMs: 60_000, everyMs: 250 },
  )
}

async function openWork(product: Product): Promise<number> {
  const [row] = await product.sql<{ n: number }>(
    `select ((select count(*) from sends where state not in ('sent', 'skipped', 'failed', 'review'))
      + (select count(*) from drafts where status = 'pending')
      + (select count(*) from events where dispatched_at is null)
      + (select count(*) from notices where state = 'pending'))::int as n`,
  )
  return row?.n ?? 0
}

/** The runs that held them were killed, and nothing moves: the two minutes are only waiting. */
async function endLeases(product: Product): Promise<void> {
  for (const table of ['sends', 'drafts', 'notices']) {
    await product.sql(
      `update ${table} set lease_until = now() - interval '1 second' where lease_until > now()`,
    )
  }
}
