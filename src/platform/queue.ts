// One consumer loop for all queues. A message is only a wake-up call: it is parsed, its job judged by one table, and what
// gives up becomes a row that the operator sees. Each message is acked for itself; one bad one never holds up the batch.
import * as z from 'zod'
import { q } from '#db/client'
import { systemDb } from '#db/system'
import { type Failure, judgeFailure } from '#kernel/failure'
import { dead_letters } from '#db/schema/platform'
import { type AppJob, type Ctx, type CtxOptions, createContext } from './context'
import { sha256Hex } from './crypto'

const envelope = z.object({
  job: z.string().max(100),
  payload: z.record(z.string(), z.unknown()),
  as_of: z.iso.datetime().optional(),
})

// The platform allows six connections at a time per invocation.
const CONCURRENCY = 6

export async function consume(
  batch: MessageBatch,
  env: Env,
  execution: Pick<ExecutionContext, 'waitUntil'>,
  jobs: readonly AppJob[],
  overrides: Pick<CtxOptions, 'clock' | 'fetch'> = {},
): Promise<void> {
  const queue = batch.queue.replace(/^inlet-/, '')
  const waiting = mergeMessages(batch.messages, jobs)
  const worker = async (): Promise<void> => {
    for (let message = waiting.shift(); message; message = waiting.shift()) {
      const parsed = envelope.safeParse(message.body)
      const ctx = createContext(env, {
        actor: { type: 'system', name: parsed.success ? parsed.data.job : 'queue' },
        waitUntil: (work) => execution.waitUntil(work),
        as_of: parsed.success && parsed.data.as_of ? new Date(parsed.data.as_of) : undefined,
        ...overrides,
      })
      await handle(ctx, queue, message, parsed.success ? parsed.data : null, jobs).catch((error: unknown) => {
        // Not even the dead letter could be written: the queue keeps the message.
        ctx.log.error('queue.unhandled', error, { queue })
        message.retry({ delaySeconds: 30 })
      })
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

type QueueMessage = Pick<Message, 'body' | 'attempts' | 'ack' | 'retry'>

/** What a job can do at once becomes one message, which is acked or retried as one. */
function mergeMessages(messages: readonly Message[], jobs: readonly AppJob[]): QueueMessage[] {
  const groups = new Map<AppJob, { message: Message; payload: unknown }[]>()
  const single: QueueMessage[] = []
  for (const message of messages) {
    const body = envelope.safeParse(message.body)
    const job = body.success
      ? jobs.find((candidate) => candidate.merge !== undefined && candidate.name === body.data.job)
      : undefined
    const payload = job?.payload.safeParse(body.data?.payload)
    if (job && payload?.success)
      groups.set(job, [...(groups.get(job) ?? []), { message, payload: payload.data }])
    else single.push(message)
  }
  const merged = [...groups].map(([job, group]): QueueMessage => {
    const parts = group.map(({ message }) => message)
    return {
      body: { job: job.name, payload: job.merge?.(group.map(({ payload }) => payload) as never[]) },
      attempts: Math.max(...parts.map(({ attempts }) => attempts)),
      ack: () => {
        for (const part of parts) part.ack()
      },
      retry: (options) => {
        for (const part of parts) part.retry(options)
      },
    }
  })
  return [...merged, ...single]
}

async function handle(
  ctx: Ctx,
  queue: string,
  message: QueueMessage,
  body: z.infer<typeof envelope> | null,
  jobs: readonly AppJob[],
): Promise<void> {
  const job = jobs.find((candidate) => candidate.name === body?.job)
  const payload = job?.payload.safeParse(body?.payload)
  const known = payload?.success ? payload.data : null
  if (queue.endsWith('-dead') || !body || !job || !payload?.success) {
    const failure: Failure = queue.endsWith('-dead')
      ? { kind: 'permanent', code: 'retries_exhausted', message: 'The queue gave the message up.' }
      : {
          kind: 'permanent',
          code: 'poison_message',
          message: 'The message is no job of ours, or its payload is wrong.',
        }
    await bury(ctx, queue.replace(/-dead$/, ''), body, known, message, failure)
    return
  }
  const started = performance.now()
  const outcome = await job.run(ctx, payload.data as never).catch((error: unknown) => {
    ctx.log.error('job.threw', error, { job: job.name })
    return {
      ok: false as const,
      failure: {
        kind: 'transient' as const,
        code: 'threw',
        message: 'The job threw an error; the log has it.',
      },
    }
  })
  const failure = outcome && !outcome.ok ? outcome.failure : null
  ctx.log.info('job', {
    job: job.name,
    attempts: message.attempts,
    ms: Math.round(performance.now() - started),
    round_trips: ctx.meter.round_trips,
    ...(failure ? { failure: failure.code } : {}),
  })
  if (!failure) return message.ack()
  const verdict = judgeFailure(failure, message.attempts, Math.random())
  switch (verdict.action) {
    case 'retry':
      return message.retry({ delaySeconds: verdict.delay_seconds })
    case 'drop':
      return message.ack()
    case 'dead_letter':
      return bury(ctx, queue, body, known, message, failure)
  }
}

async function bury(
  ctx: Ctx,
  queue: string,
  body: z.infer<typeof envelope> | null,
  known: unknown,
  message: QueueMessage,
  failure: Failure,
): Promise<void> {
  const org_id = z.uuid().safeParse(body?.payload.org_id)
  const job = body && /^[a-z][a-z0-9-]*$/.test(body.job) ? body.job : 'unknown'
  await systemDb(ctx).batch([
    q.insert(dead_letters).values({
      id: ctx.newId(),
      org_id: org_id.success ? org_id.data : null,
      queue,
      job,
      // What a job of ours takes is whole, so that it can be run again: of a sealed item this is the only copy.
      payload: known ?? (body ? idsOf(body.payload) : { unreadable: await fingerprint(message.body) }),
      failure: { kind: failure.kind, code: failure.code, message: failure.message },
      attempts: message.attempts,
      as_of: ctx.as_of ?? null,
    }),
  ])
  ctx.log.warn('job.dead', { queue, job, failure: failure.code })
  message.ack()
}

/** A message holds ids, codes and instants; what else is in one that we did not make is nobody's to read. */
function idsOf(payload: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(payload).filter(([name]) => /^[a-z_]{1,50}$/.test(name))
  return Object.fromEntries(entries.map(([name, value]) => [name, idOf(value)]))
}

function idOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(idOf)
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value
  return typeof value === 'string' && ID.test(value) ? value : '[removed]'
}

const ID = /^(?:[0-9a-f-]{36}|[a-z][a-z_]{0,39}|\d{4}-\d\d-\d\dT[\d:.]{5,12}Z)$/

/** Enough to tell whether two were the same. */
async function fingerprint(body: unknown): Promise<string> {
  const text = JSON.stringify(body ?? null)
  return `${text.length} characters, SHA-256 ${await sha256Hex(text)}`
}
