// Part 1: the two hot requests on the built Worker, beside the very transactions that they come down to.
import type { Ending } from './ending.ts'
import { inboundRequest } from './ingest.ts'
import { LoadGenerator } from './load/generator.ts'
import type { LoadJob } from './load/job.ts'
import { COUNTER, templateOf } from './load/template.ts'
import { runRounds, type Variant, type Window } from './rounds.ts'
import { firstErrorOf, foreignIn, rateRatio, type RatioRow, rowOf, type VariantRow } from './rows.ts'
import { query, type Services } from './services.ts'
import type { Workerd } from './workerd.ts'
import { LEAD_BODY, signIn, SLUG, type World } from './world.ts'

/** Issue 3: at least this much of the bare transaction's rate. */
const GOAL = 0.3

const CONCURRENCIES = [1, 16] as const
const NAMES = {
  lead: 'POST /lead/{slug}',
  leadBare: '  its transaction, bare',
  leadAgain: 'POST /lead/{slug}, again',
  list: 'GET /api/v1/leads?limit=50',
  listBare: '  its transaction, bare',
  floor: 'GET /api/v1/leads, 401',
} as const
type Name = keyof typeof NAMES

export interface Throughput {
  rows: VariantRow[]
  ratios: RatioRow[]
  /** Stored leads against accepted ones: the load was real when they are the same. */
  leads: { accepted: number; stored: number }
  foreign: number | null
  windows: Window[]
  first_error: string | null
}

export interface ThroughputOptions {
  services: Services
  world: World
  workerd: Workerd
  rounds: number
  seconds: number
  ending: Ending
  onRound: (round: number) => void
}

export async function measureThroughput(options: ThroughputOptions): Promise<Throughput> {
  const { world, rounds, seconds, ending } = options
  const generator = new LoadGenerator()
  ending.add('load generator', async () => await generator.stop())
  const token = await signIn(options.workerd.port, world.reader.email)
  const variants = CONCURRENCIES.flatMap((concurrency) => variantsAt(concurrency, token, options))
  const before = await countLeads(options)
  // Compiled code, filled caches and open connections on every side, before anything counts.
  const warm = variants.map((variant) => ({
    ...variant,
    job: { ...variant.job, seconds: Math.min(1, seconds) },
  }))
  const begun = { rounds: 1, generator, signal: ending.signal, onRound: () => options.onRound(0) }
  const warmUp = await runRounds(warm, begun)
  // Plans made for empty tables read far too much; autovacuum would see to that, in the middle of some window.
  await query(world.database.superuserUrl, 'vacuum analyze')
  const windows = await runRounds(variants, {
    rounds,
    generator,
    signal: ending.signal,
    onRound: options.onRound,
  })
  const stored = (await countLeads(options)) - before
  await generator.stop()
  const isLead = ({ variant }: Window) => variant.startsWith('lead')
  const accepted = [...warmUp, ...windows].filter(isLead).reduce((sum, { requests }) => sum + requests, 0)
  return {
    rows: variants.map((variant) => rowOf(NAMES[variant.name.split('.')[0] as Name], variant, windows)),
    ratios: ratiosOf(windows),
    leads: { accepted, stored },
    foreign: foreignIn(windows),
    windows,
    first_error: firstErrorOf(windows),
  }
}

const keyOf = (name: Name, concurrency: number) => `${name}.c${concurrency}`

function variantsAt(concurrency: number, token: string, options: ThroughputOptions): Variant[] {
  const { services, world, workerd, seconds } = options
  const { postgres, gateway } = services.pids
  const base = { connections: concurrency, seconds }
  const product = (request: string, status: number): Pick<Variant, 'job' | 'pids'> => ({
    job: { ...base, kind: 'http', port: workerd.port, request: templateOf(request), status },
    pids: { server: workerd.pid, gateway, postgres },
  })
  const bare = (of: keyof World['transactions']): Pick<Variant, 'job' | 'pids'> => ({
    job: {
      ...base,
      kind: 'postgres',
      url: world.database.runtimeUrl,
      statements: world.transactions[of],
    } satisfies LoadJob,
    pids: { server: null, gateway: null, postgres },
  })
  const lead = product(leadRequest(), 201)
  const named: [Name, Pick<Variant, 'job' | 'pids'>][] = [
    ['lead', lead],
    ['leadBare', bare('lead')],
    ['list', product(listRequest(token), 200)],
    ['listBare', bare('list')],
  ]
  if (concurrency > 1) named.push(['leadAgain', lead], ['floor', product(listRequest(), 401)])
  return named.map(([name, variant]) => ({ name: keyOf(name, concurrency), concurrency, ...variant }))
}

/** The same requests, for whoever wants to look inside. */
export async function hotRequests(
  world: World,
  workerd: Workerd,
  connections: number,
  seconds: number,
): Promise<[string, LoadJob][]> {
  const token = await signIn(workerd.port, world.reader.email)
  const job = (request: string, status: number): LoadJob => ({
    kind: 'http',
    port: workerd.port,
    connections,
    seconds,
    request: templateOf(request),
    status,
  })
  return [
    [NAMES.lead, job(leadRequest(), 201)],
    ['POST /inbound/leads', job(inboundRequest(world.intake.site_token), 201)],
    [NAMES.list, job(listRequest(token), 200)],
  ]
}

function listRequest(token?: string): string {
  const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
  return `GET /api/v1/leads?limit=50 HTTP/1.1\r\nHost: inlet.test\r\n${authorization}\r\n`
}

function leadRequest(): string {
  return [
    `POST /lead/${SLUG} HTTP/1.1`,
    'Host: inlet.test',
    'Content-Type: application/json',
    `Idempotency-Key: ${COUNTER}`,
    `Content-Length: ${LEAD_BODY.length}`,
    '',
    LEAD_BODY,
  ].join('\r\n')
}

function ratiosOf(windows: Window[]): RatioRow[] {
  const ratio = (name: string, one: Name, other: Name, concurrency: number, goal: number | null) =>
    rateRatio(windows, {
      name,
      one: keyOf(one, concurrency),
      other: keyOf(other, concurrency),
      concurrency,
      goal: goal === null ? null : { min: goal },
    })
  return [
    ratio('lead / its transaction, bare', 'lead', 'leadBare', 16, GOAL),
    ratio('lead / its transaction, bare', 'lead', 'leadBare', 1, null),
    ratio('list / its transaction, bare', 'list', 'listBare', 16, GOAL),
    ratio('list / its transaction, bare', 'list', 'listBare', 1, null),
    ratio('A/A: lead / lead again', 'lead', 'leadAgain', 16, null),
  ]
}

async function countLeads({ world }: ThroughputOptions): Promise<number> {
  const [row] = await query<{ count: number }>(
    world.database.superuserUrl,
    'select count(*)::int as count from leads where org_id = $1',
    [world.intake.org_id],
  )
  return row?.count ?? 0
}
