// Everything that a use case may reach, made once per request, batch, tick or object call.
import { uuidv7 } from 'uuidv7'
import { type Database, type Door, type Meter, openDatabase } from '#db/client'
import type { Actor } from '#kernel/actor'
import { type Clock, laterOf } from '#kernel/clock'
import type { AnyJob, Job, QueueName } from '#kernel/job'
import { type Config, readConfig } from './config'
import * as sealing from './crypto'
import { type DirectoryPort, openDirectory } from './directory'
import { createHttpClient, type HttpClient } from './http-client'
import { type IngestBuffers, openIngestBuffers } from './ingest-buffer'
import { createLog, type Log } from './log'
import { type Mailboxes, openMailboxes } from './mailboxes'

/** A queue message: ids only, and the instant that it follows from. */
export interface JobMessage {
  job: string
  payload: Record<string, unknown>
  as_of?: string
}

export interface Ctx {
  config: Config
  clock: Clock
  /** UUIDv7: in the order of their making. */
  newId(): string
  db: Database
  meter: Meter
  http: HttpClient
  mailboxes: Mailboxes
  ingest: IngestBuffers
  directory: DirectoryPort
  log: Log
  actor: Actor
  /** Who asked and from where, for the audit. */
  origin: { request_id: string | null; ip: string | null }
  /** The tick that this work follows from, if any. */
  as_of: Date | undefined
  /** For what may be lost only: it has no retry. */
  waitUntil(work: Promise<unknown>): void
  /** Hands one job to its queue. Throws when the queue refuses: the row stays due and a sweep finds it. */
  enqueue<P extends Record<string, unknown>>(
    job: Job<P, Ctx>,
    payload: P,
    options?: { delay_seconds?: number },
  ): Promise<void>
  enqueueMessages(
    queue: QueueName,
    messages: { message: JobMessage; delay_seconds?: number }[],
  ): Promise<void>
  /** Seals a secret for the row named by `context`. */
  seal(plain: string, context: string): Promise<string>
  open(sealed: string, context: string): Promise<string>
  /** Sealed with the key that is being rotated out: to be sealed anew. */
  needsResealing(sealed: string): Promise<boolean>
}

export type AppJob = AnyJob<Ctx>
/** For signatures of use cases that are handed a door; only repos name the driver's side. */
export type { Door }

export interface CtxOptions {
  actor: Actor
  waitUntil(work: Promise<unknown>): void
  as_of?: Date | undefined
  request_id?: string | null
  ip?: string | null
  /** Tests supply their own time and outside world through the same door. */
  clock?: Clock
  fetch?: typeof fetch
}

const realClock: Clock = { now: () => new Date() }

export function createContext(env: Env, options: CtxOptions): Ctx {
  const config = readConfig(env)
  const meter: Meter = { round_trips: 0, milliseconds: 0 }
  const keys = { current: config.ENCRYPTION_KEY, previous: config.ENCRYPTION_KEY_PREVIOUS }
  const queues: Record<QueueName, Queue> = {
    events: env.EVENTS_QUEUE,
    drafts: env.DRAFTS_QUEUE,
    sends: env.SENDS_QUEUE,
    notifications: env.NOTIFICATIONS_QUEUE,
    ingest: env.INGEST_QUEUE,
  }
  const as_of = options.as_of
  const stamp = as_of === undefined ? {} : { as_of: as_of.toISOString() }
  const request_id = options.request_id ?? null
  const ctx: Ctx = {
    config,
    clock: laterOf(as_of, options.clock ?? realClock),
    newId: uuidv7,
    db: openDatabase({ url: config.DATABASE_URL, gateway_url: config.NEON_GATEWAY_URL, meter }),
    meter,
    http: createHttpClient({
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      allowed_origins: config.EGRESS_ALLOWED_ORIGINS,
    }),
    mailboxes: openMailboxes(env.MAILBOX),
    ingest: openIngestBuffers(env.INGEST_BUFFER),
    directory: openDirectory(env.DIRECTORY),
    log: createLog(request_id === null ? {} : { request_id }),
    actor: options.actor,
    origin: { request_id, ip: options.ip ?? null },
    as_of,
    waitUntil: (work) => options.waitUntil(work),
    enqueue: (job, payload, { delay_seconds } = {}) =>
      ctx.enqueueMessages(job.queue, [
        { message: { job: job.name, payload }, ...(delay_seconds === undefined ? {} : { delay_seconds }) },
      ]),
    enqueueMessages: async (queue, messages) => {
      // A queue takes 100 messages or 256 KB at a time.
      for (let i = 0; i < messages.length; i += 100) {
        await queues[queue].sendBatch(
          messages.slice(i, i + 100).map(({ message, delay_seconds }) => ({
            body: { ...stamp, ...message },
            ...(delay_seconds === undefined || delay_seconds <= 0
              ? {}
              : { delaySeconds: Math.ceil(delay_seconds) }),
          })),
        )
      }
    },
    seal: (plain, context) => sealing.seal(keys, plain, context),
    open: (sealed, context) => sealing.open(keys, sealed, context),
    needsResealing: (sealed) => sealing.isSealedWithPrevious(keys, sealed),
  }
  return ctx
}

/** The same context on behalf of somebody else. */
export function actingAs(ctx: Ctx, actor: Actor): Ctx {
  return { ...ctx, actor }
}
