// When sweeps run, how they went, and what keeps the installation healthy. Pure.
import type { SweepResult } from '#kernel/sweep'

const MINUTE = 60_000
/** Every cron of ours comes round within a day. */
const SEARCH_MINUTES = 25 * 60

/** The next tick after `after`, in UTC. Minute and hour only: our crons name nothing else. */
export function nextRun(cron: string, after: Date): Date | null {
  const [minutes = '', hours = ''] = cron.split(' ')
  const first = Math.floor(after.getTime() / MINUTE) * MINUTE + MINUTE
  for (let i = 0; i < SEARCH_MINUTES; i++) {
    const at = new Date(first + i * MINUTE)
    if (matches(minutes, at.getUTCMinutes()) && matches(hours, at.getUTCHours())) return at
  }
  return null
}

function matches(field: string, value: number): boolean {
  if (field === '*') return true
  const [, step] = /^\*\/(\d+)$/.exec(field) ?? []
  return step === undefined ? Number(field) === value : value % Number(step) === 0
}

export interface SweepRun {
  started_at: Date
  finished_at: Date | null
  duration_ms: number | null
  result: SweepResult | null
  error: string | null
}

export const sweepStatuses = ['never', 'running', 'succeeded', 'failed'] as const
export type SweepStatus = (typeof sweepStatuses)[number]

// No invocation outlives 15 minutes, so a run that is older and unfinished has died.
const DEAD_RUN_MS = 15 * MINUTE

export function statusOf(
  run: SweepRun | undefined,
  now: Date,
): { status: SweepStatus; error: string | null } {
  if (!run) return { status: 'never', error: null }
  if (run.finished_at !== null)
    return { status: run.error === null ? 'succeeded' : 'failed', error: run.error }
  if (now.getTime() - run.started_at.getTime() < DEAD_RUN_MS) return { status: 'running', error: null }
  return { status: 'failed', error: 'died' }
}

/** What the database counts for `/admin/health`. */
export interface Backlog {
  events_waiting: number
  oldest_event_seconds: number
  sends_overdue: number
  sends_in_review: number
  drafts_overdue: number
  dead_letters_open: number
  mailboxes_connected: number
  mailboxes_broken: number
}

export const checkStatuses = ['ok', 'warning', 'failing'] as const
export type CheckStatus = (typeof checkStatuses)[number]

export interface Check {
  status: CheckStatus
  latency_ms: number
  counts: Record<string, number>
}

const OUTBOX_LATE_SECONDS = 300

/** A warning is for a person to look at; `failing` means that the product does not keep its promises just now. */
export function judgeBacklog(backlog: Backlog, latency_ms: number): Record<string, Check> {
  const { events_waiting, oldest_event_seconds, sends_overdue, sends_in_review, drafts_overdue } = backlog
  const { dead_letters_open, mailboxes_connected, mailboxes_broken } = backlog
  const check = (status: CheckStatus, counts: Record<string, number>): Check => ({
    status,
    latency_ms,
    counts,
  })
  const warn = (...counts: number[]): CheckStatus => (counts.some((count) => count > 0) ? 'warning' : 'ok')
  return {
    outbox: check(oldest_event_seconds > OUTBOX_LATE_SECONDS ? 'failing' : 'ok', {
      events_waiting,
      oldest_event_seconds,
    }),
    sends: check(warn(sends_overdue, sends_in_review), { sends_overdue, sends_in_review }),
    drafts: check(warn(drafts_overdue), { drafts_overdue }),
    mailboxes: check(warn(mailboxes_broken), { mailboxes_connected, mailboxes_broken }),
    dead_letters: check(warn(dead_letters_open), { dead_letters_open }),
  }
}

export function judgeDatabase(answers: boolean, latency_ms: number): Check {
  return { status: answers ? 'ok' : 'failing', latency_ms, counts: {} }
}

const INGEST_LATE_SECONDS = 600

/** `null`: the buffers cannot be asked. What waits is safe where it is; a person has to look at what died, or waits long. */
export function judgeIngest(
  stats: { depth: number; dead: number; oldest_age_seconds: number; unreachable: number } | null,
  latency_ms: number,
): Check {
  if (stats === null) return { status: 'warning', latency_ms, counts: { unreachable: 1 } }
  const { depth, dead, oldest_age_seconds, unreachable } = stats
  const isLate = oldest_age_seconds > INGEST_LATE_SECONDS
  return {
    status: dead > 0 || unreachable > 0 || isLate ? 'warning' : 'ok',
    latency_ms,
    counts: { depth, dead, oldest_age_seconds, unreachable },
  }
}

/** Sweeps that have not ended well within two of their turns. */
export function lateSweeps(
  sweeps: readonly { name: string; cron: string }[],
  succeeded: ReadonlyMap<string, Date>,
  now: Date,
): string[] {
  return sweeps
    .filter(({ name, cron }) => {
      const last = succeeded.get(name)
      const due = last && nextRun(cron, last)
      const overdue = due && nextRun(cron, due)
      return !overdue || overdue.getTime() + MINUTE < now.getTime()
    })
    .map(({ name }) => name)
}

export function worst(checks: Iterable<{ status: CheckStatus }>): CheckStatus {
  const statuses = new Set([...checks].map(({ status }) => status))
  if (statuses.has('failing')) return 'failing'
  return statuses.has('warning') ? 'warning' : 'ok'
}
