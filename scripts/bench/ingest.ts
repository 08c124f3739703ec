// Part 2: what a lead of a site's backend costs, with the database there and away, beside the bare transaction and beside
// FastAPI; and how fast the buffer empties afterwards.
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../stack/free-ports.ts'
import { caller } from '../stack/seed.ts'
import type { Ending } from './ending.ts'
import { LoadGenerator } from './load/generator.ts'
import { COUNTER, templateOf } from './load/template.ts'
import { cpuBetween, takeSnapshot } from './machine.ts'
import { type Peers, startPeers } from './peers.ts'
import { type CpuPerRequest, runRounds, type Variant, type Window } from './rounds.ts'
import {
  firstErrorOf,
  foreignIn,
  type Goal,
  p99Ratio,
  rateRatio,
  type RatioRow,
  rowOf,
  type VariantRow,
} from './rows.ts'
import { query } from './services.ts'
import type { Workerd } from './workerd.ts'
import { LEAD_BODY, serve, type World, type WorldOptions } from './world.ts'

// Issue 3, acceptance 8.
const AGAINST_ORM: Goal = { min: 4 }
const AGAINST_ASYNCPG: Goal = { min: 1.3 }
const AGAINST_BARE: Goal = { min: 0.3 }
const DOWN_AGAINST_UP: Goal = { max: 2 }

const CONCURRENCIES = [1, 16] as const
const NAMES = {
  up: 'POST /inbound/leads, database up',
  down: 'POST /inbound/leads, database down',
  bare: '  its transaction, bare',
  asyncpg: 'FastAPI + asyncpg, three rows',
  asyncpgSame: 'FastAPI + asyncpg, the same rows',
  orm: 'FastAPI + SQLAlchemy ORM, three rows',
  ormSame: 'FastAPI + SQLAlchemy ORM, the same rows',
} as const
type Name = keyof typeof NAMES
/** Whose leads are rows of the product's own tables. */
const STORING = ['up', 'bare', 'asyncpgSame', 'ormSame'] as const

interface Flushed {
  items: number
  /** Of what was accepted while the database was away, how many leads there are afterwards. */
  stored: number
  seconds: number
  per_second: number
  /** Milliseconds per item; null where the machine does not tell. */
  cpu: CpuPerRequest | null
}

export interface Ingest {
  peers: string
  /** Rows that one lead makes in the product. */
  rows_written: number
  rows: VariantRow[]
  ratios: RatioRow[]
  leads: { accepted: number; stored: number }
  flushed: Flushed
  foreign: number | null
  windows: Window[]
  first_error: string | null
}

export interface IngestOptions {
  on: WorldOptions
  world: World
  workerd: Workerd
  rounds: number
  seconds: number
  ending: Ending
  onRound: (round: number) => void
}

export async function measureIngest(options: IngestOptions): Promise<Ingest> {
  const { on, world, rounds, ending, onRound } = options
  const generator = new LoadGenerator()
  ending.add('load generator', async () => await generator.stop())
  const peers = await startPeers(on.services, world, ending)
  // Nobody listens there: refused at once, as by a database that is stopped.
  const away = { ...world.env, NEON_GATEWAY_URL: `http://127.0.0.1:${await freePort()}` }
  const down = await serve(on, 'down', away)
  ending.add('workerd without a database', down.stop)
  const variants = CONCURRENCIES.flatMap((concurrency) => variantsAt(concurrency, down, peers, options))
  const before = await countLeads(world)
  const warm = variants.map((variant) => ({
    ...variant,
    job: { ...variant.job, seconds: Math.min(1, options.seconds) },
  }))
  const { signal } = ending
  const warmUp = await runRounds(warm, { rounds: 1, generator, signal, onRound: () => onRound(0) })
  await query(world.database.superuserUrl, 'vacuum analyze')
  const rowsBefore = await countRows(world)
  const windows = await runRounds(variants, { rounds, generator, signal, onRound })
  await generator.stop()
  const rowsAfter = await countRows(world)
  const stored = (await countLeads(world)) - before
  const all = [...warmUp, ...windows]
  await down.stop()
  return {
    peers: peers.note,
    rows_written: (rowsAfter - rowsBefore) / Math.max(1, answeredBy(windows, ...STORING)),
    rows: variants.map((variant) => rowOf(NAMES[nameOf(variant.name)], variant, windows)),
    ratios: ratiosOf(windows, peers),
    leads: { accepted: answeredBy(all, ...STORING), stored },
    flushed: await flush(options, answeredBy(all, 'down')),
    foreign: foreignIn(windows),
    windows,
    first_error: firstErrorOf(windows),
  }
}

const keyOf = (name: Name, concurrency: number) => `${name}.c${concurrency}`
const nameOf = (key: string) => key.split('.')[0] as Name

function answeredBy(windows: readonly Window[], ...names: Name[]): number {
  return windows
    .filter(({ variant }) => names.includes(nameOf(variant)))
    .reduce((sum, { requests }) => sum + requests, 0)
}

function variantsAt(
  concurrency: number,
  down: Workerd,
  peers: Peers,
  { on, world, workerd, seconds }: IngestOptions,
): Variant[] {
  const { postgres, gateway } = on.services.pids
  const base = { connections: concurrency, seconds }
  const http = (port: number, token: string, status: number, path?: string): Variant['job'] => ({
    ...base,
    kind: 'http',
    port,
    request: templateOf(inboundRequest(token, path)),
    status,
  })
  const { site_token } = world.intake
  const named: [Name, Pick<Variant, 'job' | 'pids'>][] = [
    ['up', { job: http(workerd.port, site_token, 201), pids: { server: workerd.pid, gateway, postgres } }],
    [
      'down',
      { job: http(down.port, site_token, 202), pids: { server: down.pid, gateway: null, postgres: null } },
    ],
    [
      'bare',
      {
        job: {
          ...base,
          kind: 'postgres',
          url: world.database.runtimeUrl,
          statements: world.transactions.inbound,
        },
        pids: { server: null, gateway: null, postgres },
      },
    ],
    ...peers.list.flatMap(({ name, port, pid }): [Name, Pick<Variant, 'job' | 'pids'>][] => {
      const pids = { server: pid, gateway: null, postgres }
      return [
        [name, { job: http(port, peers.token, 201), pids }],
        [`${name}Same`, { job: http(port, peers.token, 201, '/same-rows'), pids }],
      ]
    }),
  ]
  return named.map(([name, variant]) => ({ name: keyOf(name, concurrency), concurrency, ...variant }))
}

export function inboundRequest(token: string, path = '/inbound/leads'): string {
  return [
    `POST ${path} HTTP/1.1`,
    'Host: inlet.test',
    'Content-Type: application/json',
    `Authorization: Bearer ${token}`,
    `Idempotency-Key: ${COUNTER}`,
    `Content-Length: ${LEAD_BODY.length}`,
    '',
    LEAD_BODY,
  ].join('\r\n')
}

function ratiosOf(windows: Window[], peers: Peers): RatioRow[] {
  const compared = (name: string, one: Name, other: Name, concurrency: number, goal: Goal | null) => ({
    name,
    one: keyOf(one, concurrency),
    other: keyOf(other, concurrency),
    concurrency,
    goal,
  })
  const rate = (name: string, other: Name, concurrency: number, goal: Goal | null) =>
    rateRatio(windows, compared(`req/s: up / ${name}`, 'up', other, concurrency, goal))
  return CONCURRENCIES.toReversed().flatMap((concurrency) => {
    // What is promised is what many callers get; alone it is for comparison.
    const when = (goal: Goal) => (concurrency === 1 ? null : goal)
    const against =
      peers.list.length === 0
        ? []
        : [
            rate('FastAPI + ORM, same rows', 'ormSame', concurrency, when(AGAINST_ORM)),
            rate('FastAPI + ORM, three rows', 'orm', concurrency, null),
            rate('FastAPI + asyncpg, same rows', 'asyncpgSame', concurrency, when(AGAINST_ASYNCPG)),
            rate('FastAPI + asyncpg, three rows', 'asyncpg', concurrency, null),
          ]
    return [
      ...against,
      rate('its transaction, bare', 'bare', concurrency, when(AGAINST_BARE)),
      p99Ratio(windows, compared('p99: down / up', 'down', 'up', concurrency, DOWN_AGAINST_UP)),
    ]
  })
}

/** The Worker comes back to its objects, and the database to it. */
async function flush({ on, world, ending }: IngestOptions, items: number): Promise<Flushed> {
  const before = await countLeads(world)
  const workerd = await serve(on, 'down', world.env)
  ending.add('workerd that flushes', workerd.stop)
  const call = caller(`http://127.0.0.1:${workerd.port}`)
  const { ADMIN_USERNAME: username, ADMIN_PASSWORD: password } = world.env
  const { json } = await call('/admin/login', { method: 'POST', body: { username, password }, expect: [200] })
  const token = String(json['access_token'])
  const usage = takeSnapshot()
  const begun = performance.now()
  let depth = items
  for (const end = begun + 120_000; depth > 0 && performance.now() < end; ) {
    // A long one goes on without its caller.
    await call('/admin/queue/flush', { method: 'POST', token, expect: [200, 202, 503] }).catch(unlessLate)
    depth = Number((await call('/admin/queue/stats', { token, expect: [200] })).json['depth'])
    if (depth > 0) await delay(20)
  }
  const seconds = (performance.now() - begun) / 1000
  const after = takeSnapshot()
  const stored = (await countLeads(world)) - before
  await workerd.stop()
  const { gateway, postgres } = on.services.pids
  const spent = (pid: number) => (cpuBetween(usage, after, pid) ?? 0) / Math.max(1, stored)
  return {
    items,
    stored,
    seconds,
    per_second: stored / seconds,
    cpu: usage ? { server: spent(workerd.pid), gateway: spent(gateway), postgres: spent(postgres) } : null,
  }
}

function unlessLate(error: unknown): void {
  if (!(error instanceof DOMException && error.name === 'TimeoutError')) throw error
}

async function countLeads({ database, intake }: World): Promise<number> {
  const [row] = await query<{ count: number }>(
    database.superuserUrl,
    'select count(*)::int as count from leads where org_id = $1',
    [intake.org_id],
  )
  return row?.count ?? 0
}

const TABLES = ['contacts', 'conversations', 'messages', 'leads', 'drafts', 'notices', 'events', 'audit_logs']

async function countRows({ database, intake }: World): Promise<number> {
  const counts = TABLES.map((name) => `(select count(*) from ${name} where org_id = $1)`)
  const [row] = await query<{ count: number }>(
    database.superuserUrl,
    `select (${counts.join(' + ')})::int as count`,
    [intake.org_id],
  )
  return row?.count ?? 0
}
