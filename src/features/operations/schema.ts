import { leadDetailOut, leadOut } from '#features/leads'
import { organizationOut } from '#features/organizations'
import { instantOut, offsetQuery, pageOf, pageQuery, z } from '#http/openapi'
import { bufferStates } from '#kernel/intake'
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

const bufferState = z
  .enum(bufferStates)
  .openapi({ description: '`dead`: it was refused, or waited too long' })
const refusal = z.object({ code: z.string(), where: z.string().nullable() }).openapi('IngestRefusal', {
  description: 'Why it was not stored: a SQLSTATE or a word, and the constraint or column. No value.',
  example: { code: '23514', where: 'messages_channel' },
})

const destination = z
  .union([
    z.strictObject({ org_id: z.uuid() }),
    z.strictObject({ slug: z.string().min(1).max(100) }),
    z.strictObject({ send_id: z.uuid() }),
  ])
  .openapi('IngestDestination', { example: { org_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11' } })

export const queueStats = z
  .object({
    depth: z.int().openapi({ description: 'What waits to be stored' }),
    oldest_age_seconds: z.int(),
    dead: z.int(),
    attempts: z.int().openapi({ description: 'Of the item that was tried most, of those that wait' }),
    bytes: z.int(),
    buffers: z.int(),
    unreachable: z.int().openapi({ description: 'Buffers that did not answer, and are not counted' }),
    breaker: z
      .enum(['closed', 'open', 'probing'])
      .openapi({ description: 'Of the isolate that answers: open while its database does not' }),
  })
  .openapi('IngestQueueStats', {
    example: {
      depth: 12,
      oldest_age_seconds: 95,
      dead: 0,
      attempts: 4,
      bytes: 9120,
      buffers: 1,
      unreachable: 0,
      breaker: 'open',
    },
  })

export const queueFlushed = z
  .object({
    buffers: z.int(),
    stored: z.int(),
    known: z.int().openapi({ description: 'They were in the database already' }),
    dead: z.int(),
    waiting: z.int(),
    unreachable: z.int(),
  })
  .openapi('IngestQueueFlushed')

export const clearQuery = z
  .object({
    confirm: z.coerce.number().int().min(0).openapi({ example: 12 }),
    state: z.enum(bufferStates).default('waiting'),
  })
  .openapi('IngestClearQuery')

export const queueQuery = pageQuery
  .extend({ state: z.enum(bufferStates).optional() })
  .openapi('IngestQueueQuery')

const queueItem = z
  .object({
    id: z.uuid(),
    kind: z.string(),
    destination,
    state: bufferState,
    received_at: instantOut,
    attempts: z.int(),
    next_attempt_at: instantOut.nullable(),
    last_error: refusal.nullable(),
    dead_at: instantOut.nullable(),
    bytes: z.int(),
  })
  .openapi('IngestItem')
export const queueItemPage = pageOf(queueItem).openapi('IngestItemPage')
export const queueItemDetail = queueItem
  .extend({ payload: z.record(z.string(), z.unknown()).nullable() })
  .openapi('IngestItemDetail')

export const queueCleared = z
  .object({
    removed: z.int(),
    left: z.int().openapi({ description: 'Of buffers that changed in the very moment' }),
    items: z.array(queueItem).openapi({ description: 'The first 1,000' }),
  })
  .openapi('IngestQueueCleared')

export const queueRepair = z
  .strictObject({
    patch: z.record(z.string(), z.unknown()).optional(),
    destination: destination.optional(),
  })
  .openapi('IngestRepair', { example: { patch: { contact: { email: 'ada@buyer.test' } } } })

export const queueReplayed = z
  .object({
    id: z.uuid(),
    outcome: z.enum(['stored', 'known', 'waiting', 'dead']),
    error: refusal.nullable(),
  })
  .openapi('IngestReplayed', {
    example: { id: '0190a5e2-7c3b-8b8e-9c3e-0f6f2f6c1a11', outcome: 'stored', error: null },
  })
