// The tables that a person reads.
import { stripVTControlCharacters } from 'node:util'
import { bold, dim, green, red, say } from '../stack/say.ts'
import { type BundleSize, SIZE_GOAL } from './bundle-size.ts'
import type { Ingest } from './ingest.ts'
import type { MailPipeline } from './mail-pipeline.ts'
import type { RoundTripRow } from './round-trips.ts'
import type { RatioRow, VariantRow } from './rows.ts'
import { START_UP_GOAL_MS, type StartUp } from './start-up.ts'
import type { Spread } from './statistics.ts'
import type { Throughput } from './throughput.ts'

const LARGEST = 10

export function printThroughput({ rows, ratios, leads, foreign, first_error }: Throughput): void {
  heading('Throughput', 'built bundle in workerd, against the same transaction straight on Postgres')
  variantTable(rows)
  say()
  ratioTable(ratios)
  noteForeign(foreign)
  note(
    leads.stored === leads.accepted
      ? `Every accepted lead is in the database: ${leads.stored}.`
      : red(`${leads.accepted} leads were accepted and ${leads.stored} are in the database.`),
  )
  if (first_error !== null) note(red(`The first error: ${first_error}`))
}

export function printIngest({ peers, rows_written, rows, ratios, leads, flushed, ...more }: Ingest): void {
  heading('Ingest', "a lead of a site's backend, on the built bundle in workerd")
  variantTable(rows)
  say()
  ratioTable(ratios)
  noteForeign(more.foreign)
  note(`Peers: ${peers}.`)
  note(
    'SQLAlchemy stands for SQLModel, which is made of it. "Three rows" are a contact, a lead and an event in tables of their',
  )
  note(
    `own, "the same rows" those that the product writes for a lead (${figure(rows_written)}), under the same row-level security.`,
  )
  note('Database down: refused at once; a lead is sealed, kept by its Durable Object and answered with 202.')
  const { items, stored, seconds, per_second, cpu } = flushed
  const each = cpu ? `${figure(cpu.server)} + ${figure(cpu.gateway)} + ${figure(cpu.postgres)}` : 'n/a'
  note(
    `Flush: ${bold(`${figure(per_second)} leads/s`)} from the buffer into Postgres (${figure(seconds)} s; CPU ms a lead, server + gateway + postgres: ${each}).`,
  )
  note(
    items === stored && leads.stored === leads.accepted
      ? `Every accepted lead is in the database: ${leads.stored} stored at once, ${stored} flushed.`
      : red(
          `${leads.accepted} + ${items} leads were accepted; ${leads.stored} + ${stored} are in the database.`,
        ),
  )
  if (more.first_error !== null) note(red(`The first error: ${more.first_error}`))
}

function variantTable(rows: VariantRow[]): void {
  table(
    ['request', 'c', 'req/s', '[min–max]', 'p50 ms', 'p99 ms', 'CPU ms: server', 'gateway', 'postgres', ''],
    rows.map(({ name, concurrency, rate, p50, p99, cpu, errors }) => [
      name,
      String(concurrency),
      figure(rate.median),
      range(rate),
      figure(p50),
      figure(p99),
      ...(['server', 'gateway', 'postgres'] as const).map((part) =>
        cpu ? (cpu[part] === null ? '–' : figure(cpu[part])) : 'n/a',
      ),
      errors > 0 ? red(`${errors} errors`) : '',
    ]),
  )
}

function ratioTable(ratios: RatioRow[]): void {
  table(
    ['ratio, round by round', 'c', 'median', '[min–max]', 'CPU', '[min–max]', 'goal'],
    ratios.map((row) => [
      row.name,
      String(row.concurrency),
      row.value ? figure(row.value.median) : 'n/a',
      row.value ? range(row.value) : '',
      row.cpu ? figure(row.cpu.median) : '',
      row.cpu ? range(row.cpu) : '',
      verdictOf(row),
    ]),
  )
}

function noteForeign(foreign: number | null): void {
  const share = foreign === null ? 'n/a' : `${Math.round(foreign * 100)} %`
  note(`Other processes used ${share} of the machine in the median window: only ratios compare between runs.`)
}

function verdictOf({ value, goal }: RatioRow): string {
  if (goal === null || value === null) return ''
  return 'min' in goal
    ? judged(value.median >= goal.min, `≥ ${goal.min}`)
    : judged(value.median <= goal.max, `≤ ${goal.max}`)
}

export function printRoundTrips(rows: RoundTripRow[]): void {
  heading('Database round trips', 'from Server-Timing')
  table(
    ['route', 'status', 'round trips', 'budget', 'db ms'],
    rows.map(({ route, status, round_trips, budget, kept, milliseconds }) => [
      route,
      String(status),
      round_trips === null ? dim('not there') : String(round_trips),
      kept === null ? `≤ ${budget}` : judged(kept, `≤ ${budget}`),
      milliseconds === null ? '' : figure(milliseconds),
    ]),
  )
}

export function printMails({ mails, stages, cpu, transactions, left }: MailPipeline): void {
  heading('Mail pipeline', `${mails} mails from ${mails} domains at once, the stack of npm start`)
  table(
    ['all of them', 'after s', 'mails/s', 'got there'],
    stages.map(({ name, count, seconds, per_second }) => [
      name,
      seconds === null ? red('not all') : figure(seconds),
      per_second === null ? '' : figure(per_second),
      `${count} of ${mails}`,
    ]),
  )
  const each = cpu && Object.entries(cpu).map(([name, ms]) => `${name} ${figure(ms)}`)
  note(`CPU ms per mail: ${each ? each.join(', ') : 'n/a'}.`)
  note(`Database transactions per mail: ${figure(transactions)}.`)
  for (const { what, count } of left) note(`${count} × ${what}`)
}

export function printSize({ raw, gzip, packages }: BundleSize): void {
  const total = packages.reduce((sum, { bytes }) => sum + bytes, 0)
  heading('Bundle', 'what wrangler deploy would upload')
  note(`${kib(raw)} raw, ${bold(kib(gzip))} gzip, goal ${judged(gzip <= SIZE_GOAL, `≤ ${kib(SIZE_GOAL)}`)}`)
  table(
    ['largest', 'KiB', 'share'],
    packages
      .slice(0, LARGEST)
      .map(({ name, bytes }) => [name, (bytes / 1024).toFixed(0), `${((bytes / total) * 100).toFixed(1)} %`]),
  )
}

export function printStartUp(rows: StartUp[]): void {
  heading('Start-up', 'start of workerd to the first 200')
  table(
    ['', 'p50 ms', '[min–max]', 'CPU ms', 'goal'],
    rows.map(({ name, milliseconds, cpu }, i) => [
      name,
      figure(milliseconds.median),
      range(milliseconds),
      cpu ? figure(cpu.median) : 'n/a',
      i === 0 ? judged(milliseconds.median <= START_UP_GOAL_MS, `≤ ${START_UP_GOAL_MS}`) : '',
    ]),
  )
}

export function heading(title: string, what: string): void {
  say()
  say(`${bold(title)}  ${dim(what)}`)
}

function note(text: string): void {
  say(`  ${text}`)
}

/** The first column to the left, the others to the right. */
export function table(head: string[], rows: string[][]): void {
  const widths = head.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map((cell) => widthOf(cell))),
  )
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => {
        const space = ' '.repeat((widths[column] ?? 0) - widthOf(cell))
        return column === 0 ? cell + space : space + cell
      })
      .join('  ')
      .trimEnd()
  say(`  ${dim(line(head))}`)
  for (const row of rows) say(`  ${line(row)}`)
}

export function figure(value: number): string {
  if (Number.isNaN(value)) return 'n/a'
  if (value >= 1000) return Math.round(value).toLocaleString('en-GB')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const range = ({ min, max }: Spread) => dim(`[${figure(min)}–${figure(max)}]`)
const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`
const judged = (good: boolean, text: string) => (good ? green(`${text} met`) : red(`${text} missed`))
// Colours take no room.
const widthOf = (text: string) => stripVTControlCharacters(text).length
