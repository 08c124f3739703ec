// How a test waits until everything that can still move has moved.
import { setTimeout as delay } from 'node:timers/promises'
import type { inquiry, Product } from './product.ts'
import { type Stack, until } from './stack.ts'

const MINUTE_MS = 60_000

export async function answersHealth(stack: Stack): Promise<boolean> {
  try {
    return (await fetch(`${stack.api}/health`, { signal: AbortSignal.timeout(3000) })).ok
  } catch {
    return false
  }
}

/** The mail's sender insists, as a mail server does; what was accepted before the answer got lost is not delivered again. */
export async function deliverOnce(product: Product, mail: ReturnType<typeof inquiry>): Promise<void> {
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
export async function settle(product: Product, leads: number, { patient = false } = {}): Promise<number> {
  let asOf = Date.now()
  for (let round = 1; ; round++) {
    await product.poll()
    await product.tick('* * * * *', asOf)
    await quiet(product)
    if ((await openWork(product)) === 0 && (await product.leads()).length >= leads) return round
    if (!patient) await endLeases(product)
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
    // A thousand leads have two mails each.
    { withinMs: 5 * MINUTE_MS, everyMs: 250 },
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
