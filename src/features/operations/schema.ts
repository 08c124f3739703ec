import { leadDetailOut, leadOut } from '#features/leads'
import { organizationOut } from '#features/organizations'
import { instantOut, offsetQuery, pageOf, z } from '#http/openapi'
import { leadStatuses } from '#kernel/vocabulary'
import { checkStatuses, sweepStatuses } from './policy'

/** Operator lists: keyset pages like all others, and beside them `offset` and a `total`. */
const operatorQuery = offsetQuery.extend({ cursor: z.string().max(200).optional() })

function operatorPageOf<S extends z.ZodType>(item: S) {
  return pageOf(item).extend({ total: z.int() })
}

export const clientQuery = operatorQuery.openapi('ClientQuery')
export const clientPage = operatorPageOf(organizationOut).openapi('ClientPage')

export const operatorLeadQuery = operatorQuery
  .extend({ status_filter: z.enum(leadStatuses).optional(), organization_id: z.uuid().optional() })
  .openapi('OperatorLeadQuery')

const leadOrganization = z
  .object({ id: z.uuid(), name: z.string(), slug: z.string() })
  .openapi('LeadOrganization')

const operatorLead = leadOut.extend({ organization: leadOrganization }).openapi('OperatorLead')
export const operatorLeadPage = operatorPageOf(operatorLead).openapi('OperatorLeadPage')
export const operatorLeadDetail = leadDetailOut
  .extend({ organization: leadOrganization })
  .openapi('OperatorLeadDetail')

export const newStatusQuery = z
  .object({ new_status: z.enum(leadStatuses).openapi({ example: 'qualified' }) })
  .openapi('NewStatusQuery')

export const sweepParam = z.object({
  name: z
    .string()
    .max(100)
    .openapi({ param: { name: 'name', in: 'path' }, example: 'outbox-relay' }),
})

export const scheduledJob = z
  .object({
    name: z.string(),
    cron: z.string(),
    status: z.enum(sweepStatuses),
    last_run_at: instantOut.nullable(),
    duration_ms: z.int().nullable(),
    result: z
      .record(z.string(), z.number())
      .nullable()
      .openapi({ description: 'What it found and handed over' }),
    error: z.string().nullable(),
    next_run_at: instantOut.nullable(),
  })
  .openapi('ScheduledJob', {
    example: {
      name: 'outbox-relay',
      cron: '* * * * *',
      status: 'succeeded',
      last_run_at: '2026-11-20T09:30:00.000Z',
      duration_ms: 14,
      result: { relayed: 2 },
      error: null,
      next_run_at: '2026-11-20T09:31:00.000Z',
    },
  })
export const scheduledJobList = pageOf(scheduledJob).openapi('ScheduledJobList')

export const deadLetterQuery = operatorQuery
  .extend({
    queue: z.string().max(50).optional(),
    job: z.string().max(100).optional(),
    retried: z.enum(['true', 'false']).optional(),
  })
  .openapi('DeadLetterQuery')

export const deadLetter = z
  .object({
    id: z.uuid(),
    org_id: z.uuid().nullable(),
    queue: z.string(),
    job: z.string(),
    payload: z.unknown(),
    failure: z.object({ kind: z.string(), code: z.string(), message: z.string() }),
    attempts: z.int(),
    created_at: instantOut,
    retried_at: instantOut.nullable(),
    retryable: z.boolean(),
  })
  .openapi('DeadLetter')
export const deadLetterPage = operatorPageOf(deadLetter).openapi('DeadLetterPage')

const check = z
  .object({
    status: z.enum(checkStatuses),
    latency_ms: z.number().openapi({ description: 'Of the round trip that answered it' }),
    counts: z.record(z.string(), z.number()),
  })
  .openapi('OperationsCheck')

export const operationsHealth = z
  .object({
    status: z.enum(checkStatuses),
    checks: z.record(z.string(), check),
    late_sweeps: z.array(z.string()),
    checked_at: instantOut,
  })
  .openapi('OperationsHealth')
