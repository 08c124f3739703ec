import { recordAudit } from '#features/audit'
import { insertOrganization, isSlugTaken, isTakenSlug } from '#features/auth'
import { changeLead, getLead } from '#features/leads'
import {
  countOrganizations,
  listOrganizations,
  type NewOrganization,
  readOrganization,
  slugTaken,
  toOrganization,
  toSettings,
} from '#features/organizations'
import { systemDb } from '#db/system'
import { AppError, notFound } from '#kernel/errors'
import { toPage } from '#kernel/page'
import { slugFrom, slugWithSuffix } from '#kernel/slug'
import type { Sweep } from '#kernel/sweep'
import type { LeadStatus } from '#kernel/vocabulary'
import { actingAs, type AppJob, type Ctx } from '#platform/context'
import { keepInDirectory } from '#platform/directory'
import { runSweep } from '#platform/scheduler'
import { type Check, judgeBacklog, judgeDatabase, lateSweeps, nextRun, statusOf, worst } from '../policy'
import * as repo from '../repo'
import { checkIngest } from './manage-queue'

export async function listClients(ctx: Ctx, { limit, offset, after }: repo.PageRequest) {
  const [rows, [counted]] = await systemDb(ctx).batch([
    listOrganizations(limit + 1, offset, after),
    countOrganizations(),
  ])
  const { data, next_cursor } = toPage(rows, limit, (row) => row.created_at)
  return { data: data.map(toOrganization), next_cursor, total: counted?.total ?? 0 }
}

export async function createClient(ctx: Ctx, { name, slug, ...settings }: NewOrganization) {
  const id = ctx.newId()
  const now = ctx.clock.now()
  const set = await toSettings(ctx, id, { ...settings, ...(slug === undefined ? {} : { slug }) })
  const wanted = slug ?? slugFrom(name)
  const [taken] = await systemDb(ctx).batch([isSlugTaken(wanted)])
  if (taken.length > 0 && slug !== undefined) throw slugTaken()
  const insert = (free: string) =>
    systemDb(ctx).batch([
      insertOrganization({ ...set, id, name, slug: free, created_at: now, updated_at: now }),
      recordAudit(ctx, { org_id: id, action: 'organization.created', entity: 'organization', entity_id: id }),
    ])
  const other = slugWithSuffix(wanted, id)
  await insert(taken.length > 0 ? other : wanted).catch((error: unknown) => {
    if (!isTakenSlug(error)) throw error
    // Somebody was quicker, and only who asked for this very one has to hear of it.
    if (slug !== undefined) throw slugTaken()
    return insert(other)
  })
  const made = await readOrganization(ctx, id)
  keepInDirectory(ctx, made)
  return made
}

export async function listLeads(ctx: Ctx, filter: repo.LeadFilter, page: repo.PageRequest) {
  const [rows, [counted]] = await systemDb(ctx).batch([
    repo.listLeads(filter, { ...page, limit: page.limit + 1 }),
    repo.countLeads(filter),
  ])
  return { ...toPage(rows, page.limit, (row) => row.received_at), total: counted?.total ?? 0 }
}

export async function readLead(ctx: Ctx, id: string) {
  const organization = await organizationOf(ctx, id)
  return { ...(await getLead(ctx, { org_id: organization.id, visibility: 'all' }, id)), organization }
}

export async function changeStatus(
  ctx: Ctx,
  id: string,
  status: LeadStatus,
  matches: ((version: number) => boolean) | null,
) {
  const organization = await organizationOf(ctx, id)
  const scope = { org_id: organization.id, visibility: 'all' as const }
  return { ...(await changeLead(ctx, scope, id, { status }, matches)), organization }
}

async function organizationOf(ctx: Ctx, lead_id: string) {
  const [[organization]] = await systemDb(ctx).batch([repo.findOrganizationOfLead(lead_id)])
  if (!organization) throw notFound('The lead')
  return organization
}

export type Sweeps = readonly Sweep<Ctx>[]

export async function listSweeps(ctx: Ctx, sweeps: Sweeps) {
  const now = ctx.clock.now()
  const [runs] = await systemDb(ctx).batch([repo.listLastRuns()])
  return sweeps.map(({ name, cron }) => {
    const run = runs.find((candidate) => candidate.name === name)
    return {
      name,
      cron,
      ...statusOf(run, now),
      last_run_at: run?.started_at ?? null,
      duration_ms: run?.duration_ms ?? null,
      result: run?.result ?? null,
      next_run_at: nextRun(cron, now),
    }
  })
}

/** Runs it now and answers how it went. A sweep that fails is an answer too, not an error of this request. */
export async function runSweepNow(ctx: Ctx, sweeps: Sweeps, name: string) {
  const sweep = sweeps.find((candidate) => candidate.name === name)
  if (!sweep) throw notFound('The scheduled job')
  const [before] = await listSweeps(ctx, [sweep])
  if (before?.status === 'running') throw new AppError('conflict', 'This job is running just now.')
  ctx.log.info('operator.sweep', { sweep: name })
  const acting = actingAs(ctx, { type: 'system', name })
  // It is in the log and in the row that is read next.
  await runSweep(acting, sweep, ctx.clock.now()).catch(() => null)
  const [after] = await listSweeps(ctx, [sweep])
  if (!after) throw notFound('The scheduled job')
  return after
}

export async function listLetters(
  ctx: Ctx,
  jobs: readonly AppJob[],
  filter: repo.LetterFilter,
  page: repo.PageRequest,
) {
  const [rows, [counted]] = await systemDb(ctx).batch([
    repo.listLetters(filter, { ...page, limit: page.limit + 1 }),
    repo.countLetters(filter),
  ])
  const { data, next_cursor } = toPage(rows, page.limit, (row) => row.created_at)
  return { data: data.map((row) => toLetter(row, jobs)), next_cursor, total: counted?.total ?? 0 }
}

type LetterRow = Awaited<ReturnType<typeof repo.findLetter>>[number]

/** The job that would run it again; none for what was no message of ours, or was never a job. */
function jobOf({ job, payload }: Pick<LetterRow, 'job' | 'payload'>, jobs: readonly AppJob[]) {
  const known = jobs.find((candidate) => candidate.name === job)
  return known?.payload.safeParse(payload).success ? known : undefined
}

function toLetter({ as_of: _as_of, ...row }: LetterRow, jobs: readonly AppJob[]) {
  return { ...row, retryable: row.retried_at === null && jobOf(row, jobs) !== undefined }
}

/** Once a letter: what fails again becomes a letter of its own. */
export async function retryLetter(ctx: Ctx, jobs: readonly AppJob[], id: string) {
  const [[letter]] = await systemDb(ctx).batch([repo.findLetter(id)])
  if (!letter) throw notFound('The dead letter')
  if (letter.retried_at !== null) {
    throw new AppError('conflict', 'It was retried already. If that failed too, there is a new letter.')
  }
  const job = jobOf(letter, jobs)
  if (!job) throw new AppError('unprocessable', 'It is not a message that a job could run again.')
  const message = { job: job.name, payload: letter.payload as Record<string, unknown> }
  const stamp = letter.as_of === null ? {} : { as_of: letter.as_of.toISOString() }
  // Handed over, then marked: after a crash in between it can be retried again, and a job bears running twice.
  await ctx.enqueueMessages(job.queue, [{ message: { ...message, ...stamp } }]).catch(() => {
    throw new AppError('unavailable', 'The queue took no message. Please try again.', {
      retry_after_seconds: 5,
    })
  })
  const { org_id } = letter
  const entry = { action: 'dead_letter.retried', entity: 'dead_letter', entity_id: id }
  const [[marked]] = await systemDb(ctx).batch([
    repo.markRetried(id, ctx.clock.now()),
    ...(org_id === null ? [] : [recordAudit(ctx, { org_id, ...entry })]),
  ])
  return toLetter(marked ?? letter, jobs)
}

export async function readHealth(ctx: Ctx, sweeps: Sweeps) {
  const now = ctx.clock.now()
  const started = performance.now()
  const [answer, ingest] = await Promise.all([
    systemDb(ctx)
      .batch([repo.countBacklog(now), repo.listLastSuccesses()])
      .catch((error: unknown) => {
        if (error instanceof AppError && error.code === 'unavailable') return null
        throw error
      }),
    checkIngest(ctx),
  ])
  const latency_ms = Math.round(performance.now() - started)
  // What waits in the buffers is of most interest just now.
  if (!answer) return reportHealth({ database: judgeDatabase(false, latency_ms), ingest }, [], now)
  const [counted, successes] = answer
  const backlog = counted.rows[0]?.backlog
  if (!backlog) throw new AppError('unavailable', 'The database did not answer as it should.')
  const late_sweeps = lateSweeps(sweeps, new Map(successes.map((row) => [row.name, row.scheduled_at])), now)
  const checks = {
    database: judgeDatabase(true, latency_ms),
    ...judgeBacklog(backlog, latency_ms),
    ingest,
    sweeps: {
      status: late_sweeps.length > 0 ? ('warning' as const) : ('ok' as const),
      latency_ms,
      counts: { late: late_sweeps.length },
    },
  }
  return reportHealth(checks, late_sweeps, now)
}

function reportHealth(checks: Record<string, Check>, late_sweeps: string[], checked_at: Date) {
  return { status: worst(Object.values(checks)), checks, late_sweeps, checked_at }
}
