import { expect, it } from 'vitest'
import { crons } from '#kernel/sweep'
import { judgeBacklog, lateSweeps, nextRun, statusOf, worst } from './policy'

const at = (text: string) => new Date(`2026-11-20T${text}Z`)

it.each([
  ['* * * * *', '09:30:00', '2026-11-20T09:31:00.000Z'],
  ['* * * * *', '09:30:59.999', '2026-11-20T09:31:00.000Z'],
  ['*/5 * * * *', '09:30:00', '2026-11-20T09:35:00.000Z'],
  ['*/5 * * * *', '23:56:00', '2026-11-21T00:00:00.000Z'],
  ['*/30 * * * *', '09:29:59', '2026-11-20T09:30:00.000Z'],
  ['0 * * * *', '09:00:00', '2026-11-20T10:00:00.000Z'],
  ['0 3 * * *', '03:00:00', '2026-11-21T03:00:00.000Z'],
  ['0 3 * * *', '02:59:59', '2026-11-20T03:00:00.000Z'],
])('runs %j after %s at %s', (cron, after, expected) => {
  expect(nextRun(cron, at(after))?.toISOString()).toBe(expected)
})

it('knows the next run of every cron of the product', () => {
  expect(crons.map((cron) => nextRun(cron, at('12:00:00'))).every((next) => next !== null)).toBe(true)
})

const run = { started_at: at('09:00:00'), duration_ms: 12, result: { found: 1 } }

it('tells how a sweep went', () => {
  const finished = { ...run, finished_at: at('09:00:01'), error: null }
  const unfinished = { ...run, finished_at: null, error: null }
  expect(statusOf(undefined, at('09:00:10'))).toEqual({ status: 'never', error: null })
  expect(statusOf(finished, at('09:00:10'))).toEqual({ status: 'succeeded', error: null })
  expect(statusOf({ ...finished, error: 'TypeError' }, at('09:00:10'))).toEqual({
    status: 'failed',
    error: 'TypeError',
  })
  expect(statusOf(unfinished, at('09:14:59'))).toEqual({ status: 'running', error: null })
  expect(statusOf(unfinished, at('09:15:00'))).toEqual({ status: 'failed', error: 'died' })
})

it('calls a sweep late when it has missed two of its turns', () => {
  const sweeps = [
    { name: 'minute', cron: '* * * * *' },
    { name: 'daily', cron: '0 3 * * *' },
    { name: 'never', cron: '0 3 * * *' },
  ]
  const succeeded = new Map([
    ['minute', at('09:00:00')],
    ['daily', at('03:00:00')],
  ])
  expect(lateSweeps(sweeps, succeeded, at('09:02:00'))).toEqual(['never'])
  expect(lateSweeps(sweeps, succeeded, at('09:03:01'))).toEqual(['minute', 'never'])
})

const calm = {
  events_waiting: 0,
  oldest_event_seconds: 0,
  sends_overdue: 0,
  sends_in_review: 0,
  drafts_overdue: 0,
  dead_letters_open: 0,
  mailboxes_connected: 2,
  mailboxes_broken: 0,
}

it('is well when nothing waits', () => {
  expect(worst(Object.values(judgeBacklog(calm, 3)))).toBe('ok')
})

it('warns of what a person should look at, and fails when the outbox stands still', () => {
  const warned = judgeBacklog({ ...calm, dead_letters_open: 1 }, 3)
  expect(warned['dead_letters']).toEqual({
    status: 'warning',
    latency_ms: 3,
    counts: { dead_letters_open: 1 },
  })
  expect(worst(Object.values(warned))).toBe('warning')
  const stuck = judgeBacklog({ ...calm, events_waiting: 9, oldest_event_seconds: 301, sends_overdue: 2 }, 3)
  expect(worst(Object.values(stuck))).toBe('failing')
})
