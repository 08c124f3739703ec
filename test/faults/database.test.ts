// The database goes away while mails arrive, in every way that it can: stopped for a while, killed, frozen, and with the
// gateway before it. Nothing is lost and nothing happens twice.
import { readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parentOf, signal } from '../../scripts/stack/processes.ts'
import { type Postgres, startPostgres } from '../../scripts/stack/postgres.ts'
import { answers, inquiry, Product, senderOf } from '../e2e/product.ts'
import { answersHealth, deliverOnce, settle } from '../e2e/settle.ts'
import { freePorts, newDataDir, type Stack, startStack, until } from '../e2e/stack.ts'

const MAILS = 16

let database: { dataDir: string; port: number; password: string }
let postgres: Postgres
let stack: Stack
let product: Product
const all: ReturnType<typeof inquiry>[] = []

beforeAll(async () => {
  database = { dataDir: newDataDir(), port: (await freePorts()) + 9, password: 'test-only' }
  postgres = await startPostgres(database)
  stack = await startStack({ env: { DATABASE_URL: postgres.ownerUrl } })
  product = new Product(stack, postgres.superuserUrl)
})

afterAll(async () => {
  await postgres.stop()
})

/** Mails in bursts; `disturb` is called once in the midst of them, and they go on arriving meanwhile. */
async function arriveDuring(name: string, disturb: () => Promise<void>): Promise<void> {
  const mails = Array.from({ length: MAILS }, (_, i) => inquiry(`${name}-${i}`))
  all.push(...mails)
  let disturbing: Promise<void> | undefined
  for (const [index, mail] of mails.entries()) {
    await deliverOnce(product, mail)
    if (index === 5) {
      disturbing = disturb()
      // It is awaited below; until then a failure of it shall not end the run.
      disturbing.catch(() => undefined)
    }
    if (index % 3 === 2) await delay(150)
  }
  await disturbing
  await until('it answers', async () => await answersHealth(stack), { withinMs: 30_000 })
}

async function expectEachOnce(): Promise<void> {
  await settle(product, all.length)
  const once = Object.fromEntries(all.map(({ message_id }) => [message_id, 1]))
  expect(Object.fromEntries(answers(await product.sent()))).toEqual(once)
  const leads = (await product.leads()).map(({ contact }) => contact.email)
  expect(leads.toSorted()).toEqual(all.map(senderOf).toSorted())
  expect((await product.sends()).filter(({ state }) => state !== 'sent')).toEqual([])
  expect(await product.operator<{ data: unknown[] }>('/admin/dead-letters')).toMatchObject({ data: [] })
}

it('says so while Postgres is stopped, and then answers every mail that came meanwhile, once', async () => {
  await arriveDuring('stopped', async () => {
    await postgres.stop()
    const health = await fetch(`${stack.api}/health`)
    expect(health.status).toBe(503)
    // Not a lead: those are kept (faults/outage).
    const refused = await fetch(`${stack.api}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'ada@form.test', password: 'not the password' }),
    })
    expect({ status: refused.status, retry: refused.headers.has('retry-after') }).toEqual({
      status: 503,
      retry: true,
    })
    const problem = (await refused.json()) as Record<string, unknown>
    expect(problem).toMatchObject({ status: 503, code: 'unavailable' })
    expect(JSON.stringify(problem)).not.toMatch(/postgres|password|127\.0\.0\.1/i)
    // So long that pushes were refused, too.
    await until('a refused push', async () =>
      Object.keys((await product.stats())['pushes'] ?? {}).some((name) => name.startsWith('refused')),
    )
    await delay(2000)
    postgres = await startPostgres(database)
  })
  await expectEachOnce()
})

it('loses and doubles nothing when Postgres is killed three times', async () => {
  await arriveDuring('killed', async () => {
    for (let kill = 0; kill < 3; kill++) {
      signal(postgres.pid, 'SIGKILL')
      await until('it answers again', async () => await answersHealth(stack), { withinMs: 30_000 })
      await delay(200)
    }
  })
  await expectEachOnce()
})

it('loses and doubles nothing when the gateway is killed three times', async () => {
  await arriveDuring('gateway', async () => {
    for (let kill = 0; kill < 3; kill++) {
      // One that died at its start is started again; meanwhile there is none to kill.
      await until('a gateway', () => stack.pidOf('gateway') !== undefined)
      const killed = stack.kill('gateway')
      await until(
        'another gateway',
        () => stack.pidOf('gateway') !== undefined && stack.pidOf('gateway') !== killed,
      )
      await delay(200)
    }
  })
  await expectEachOnce()
})

it('waits for a database that is asleep, and loses and doubles nothing', async () => {
  await arriveDuring('asleep', async () => {
    const processes = [postgres.pid, ...childrenOf(postgres.pid)]
    for (const pid of processes) signal(pid, 'SIGSTOP')
    const begun = Date.now()
    const asked = fetch(`${stack.api}/health/db`)
    await delay(3000)
    for (const pid of processes) signal(pid, 'SIGCONT')
    expect((await asked).status).toBe(200)
    expect(Date.now() - begun).toBeLessThan(10_000)
  })
  await expectEachOnce()
})

const childrenOf = (parent: number): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && parentOf(pid) === parent)
