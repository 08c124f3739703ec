// `npm start` from the outside: it goes on where it ended, ends without a trace, names what is wrong, and outlives any kill -9.
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { LocalFile } from '../../scripts/stack/local-file.ts'
import { startOf } from '../../scripts/stack/processes.ts'
import { answers, inquiry, Product } from './product.ts'
import { freePorts, listening, newDataDir, type ProcessName, runStart, startStack, until } from './stack.ts'

/** `poll`: a sync that failed makes the mailbox wait half a minute, and the next poll ends that. */
async function answered(product: Product, name: string, poll = true): Promise<void> {
  const mail = inquiry(name)
  await product.deliver(mail)
  if (poll) await product.poll()
  await until(`the reply to ${name}`, async () => answers(await product.sent()).get(mail.message_id) === 1)
}

it('goes on where the last start ended, and leaves nothing behind after Ctrl-C', async () => {
  const first = await startStack()
  const product = new Product(first)
  await answered(product, 'first', false)
  await until('Slack has heard of it', async () => (await product.slack()).length === 1)
  const secrets = { operator: first.local.operator, demo: first.local.demo }
  expect(await first.interrupt()).toMatchObject({ code: 0, signal: null })
  expect({ ports: await listening(first.port), alive: first.alive(), left: first.leftovers() }).toEqual({
    ports: [],
    alive: [],
    left: [],
  })

  const second = await startStack({ dataDir: first.dataDir, port: first.port, npm: true })
  expect({ operator: second.local.operator, demo: second.local.demo }).toEqual(secrets)
  expect((await product.leads()).map(({ contact }) => contact.email)).toEqual(['ada@first.test'])
  expect(await product.connections()).toMatchObject([{ status: 'connected', push: 'on' }])
  expect(await product.slack()).toHaveLength(1)
  await answered(product, 'second', false)
  expect([...answers(await product.sent()).values()]).toEqual([1, 1])
  // The terminal tells npm and us, and npm passes it on: it comes twice.
  await second.interrupt()
  await until('everything has ended', () => second.alive().length === 0 && second.leftovers().length === 0)
  expect({ ports: await listening(first.port), alive: second.alive() }).toEqual({
    ports: [],
    alive: [],
  })
})

it('names the port that is in use, and starts nothing', async () => {
  const port = await freePorts()
  const squatter = createServer().listen(port + 8, '127.0.0.1')
  const dataDir = newDataDir()
  try {
    const { code, output } = await runStart({ PORT: String(port), DATA_DIR: dataDir })
    expect(code).toBe(1)
    expect(output).toContain(`port ${port + 8} (the Neon gateway) is in use; give another PORT`)
  } finally {
    squatter.close()
  }
  expect(await listening(port)).toEqual([])
})

it.each([
  [{ PORT: '80a' }, 'PORT must be a number from 1 to 65526, not "80a"'],
  [{ SEED: 'maybe' }, 'SEED must be "on" or "off", not "maybe"'],
  [{ ENCRYPTION_KEY: 'short' }, 'ENCRYPTION_KEY must be 32 bytes'],
  [{ BASE_URL: 'localhost:8787' }, 'BASE_URL must be a URL that starts with http://'],
  [
    { DATABASE_URL: 'mysql://root:hunter2@127.0.0.1/x' },
    'DATABASE_URL must be a URL that starts with postgres://',
  ],
  [{ DATA_DIR: '/proc/inlet' }, 'DATA_DIR /proc/inlet cannot be written'],
])('names the bad setting in %j', async (env, message) => {
  const { code, output } = await runStart({ PORT: String(await freePorts()), DATA_DIR: newDataDir(), ...env })
  expect(code).toBe(1)
  expect(output).toContain(message)
  expect(output).not.toContain('hunter2')
})

it('starts without a demo organization when SEED is off', async () => {
  const stack = await startStack({ env: { SEED: 'off' } })
  expect(await new Product(stack).operator('/admin/clients')).toMatchObject({ data: [], total: 0 })
  expect(stack.local.seeded).toBeNull()
  expect(await stack.interrupt()).toMatchObject({ code: 0 })
})

it('outlives a kill -9 of each of its processes, of start, and of all at once', async () => {
  const stack = await startStack()
  const product = new Product(stack)
  const children: ProcessName[] = ['workerd', 'postgres', 'gateway', 'emulators']

  // Its children it starts again itself.
  for (const name of children) {
    const killed = stack.kill(name)
    await until(`another ${name}`, () => {
      const pid = stack.pidOf(name)
      return pid !== undefined && pid !== killed
    })
    await until(`answers after ${name}`, async () => await answersAgain(stack.local.urls))
    await answered(product, `after-${name}`)
  }
  expect([...answers(await product.sent()).values()]).toEqual([1, 1, 1, 1])

  // Also when the one that takes its place is killed on its way up.
  const first = stack.kill('workerd')
  await until(
    'another workerd',
    () => stack.pidOf('workerd') !== undefined && stack.pidOf('workerd') !== first,
    {
      everyMs: 2,
    },
  )
  stack.kill('workerd')
  await until('answers', async () => await answersAgain(stack.local.urls))

  // Another start on the same folder is refused while this one runs.
  const refused = await runStart({ PORT: String(await freePorts()), DATA_DIR: stack.dataDir })
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.output).toContain(`another start (process ${stack.startPid}) is running on DATA_DIR`)

  // Without start, workerd and Postgres stay behind: the next start ends them.
  const orphans = [stack.pidOf('workerd'), stack.pidOf('postgres')]
  await stack.killStart()
  await delay(500)
  expect(orphans.map((pid) => pid !== undefined && startOf(pid) !== undefined)).toEqual([true, true])
  await stack.restart()
  expect(stack.output).toMatch(/Ended what an earlier run had left: .*(workerd|postgres)/)
  expect(orphans.map((pid) => pid !== undefined && startOf(pid) !== undefined)).toEqual([false, false])
  await answered(product, 'after-start')

  await stack.killAll()
  await stack.restart()
  await answered(product, 'after-all')
  expect([...answers(await product.sent()).values()]).toEqual([1, 1, 1, 1, 1, 1])
  expect(await product.leads()).toHaveLength(6)
  expect(await stack.interrupt()).toMatchObject({ code: 0 })
  expect({ ports: await listening(stack.port), left: stack.leftovers() }).toEqual({ ports: [], left: [] })
})

async function answersAgain({ api, google }: LocalFile['urls']): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(3000)
    const [health, stats] = await Promise.all([
      fetch(`${api}/health`, { signal }),
      fetch(`${google}/_shim/stats`, { signal }),
    ])
    return health.ok && stats.ok
  } catch {
    return false
  }
}
