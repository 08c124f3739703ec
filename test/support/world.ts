// One test's world: the product behind its real doors, queues that the test drains, time that the test moves.
import { env as realEnv } from 'cloudflare:workers'
import { systemDb } from '#db/system'
import { organizations } from '#db/schema/organizations'
import { users } from '#db/schema/auth'
import { q, type Statement } from '#db/client'
import type { BatchResponse } from 'drizzle-orm/batch'
import type { Actor } from '#kernel/actor'
import type { QueueName } from '#kernel/job'
import type { Role } from '#kernel/vocabulary'
import { type Ctx, type CtxOptions, createContext } from '#platform/context'
import { toEntry } from '#platform/directory'
import { consume } from '#platform/queue'
import { tick } from '#platform/scheduler'
import { signUserToken } from '#http/auth'
import { jobs } from '#registry/jobs'
import { sweeps } from '#registry/sweeps'
import { createApp } from '../../src/app'

interface QueuedMessage {
  queue: QueueName
  body: unknown
  attempts: number
  delay_seconds: number
}

export interface World {
  env: Env
  clock: { now(): Date; advance(seconds: number): void; set(at: Date): void }
  /** What the product has handed to queues and nobody has consumed yet. */
  queued: QueuedMessage[]
  ctx(options?: Partial<CtxOptions>): Ctx
  /** A request through the whole app. `token` becomes the bearer. */
  request(
    method: string,
    path: string,
    options?: { token?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>
  /** Consumes queued messages (delays included) until nothing is left. Returns how many jobs ran. */
  drain(): Promise<number>
  tick(cron: string, at?: Date): Promise<void>
  organization(settings?: Partial<typeof organizations.$inferInsert>): Promise<TestOrganization>
  /** Any statements as inlet_system, to look at rows or arrange them. */
  sql<U extends Statement, T extends Readonly<[U, ...U[]]>>(...statements: T): Promise<BatchResponse<T>>
  /** Replaces every outgoing call of contexts, requests, jobs and ticks made by this world. */
  fetch: typeof fetch | undefined
}

export interface TestOrganization {
  id: string
  slug: string
  /** A user of that role with an access token; made on first use. */
  as(role: Role): Promise<{ id: string; token: string; actor: Extract<Actor, { type: 'user' }> }>
}

const MAX_MESSAGE_BYTES = 128_000

export function createWorld(settings: Record<string, string> = {}): World {
  const queued: QueuedMessage[] = []
  const capture = (queue: QueueName): Queue => {
    const add = (body: unknown, delaySeconds = 0) => {
      if (JSON.stringify(body).length > MAX_MESSAGE_BYTES) throw new Error('message over 128 KB')
      queued.push({ queue, body, attempts: 1, delay_seconds: delaySeconds })
    }
    const result = { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } }
    return {
      metrics: async () => ({ backlogCount: queued.length, backlogBytes: 0 }),
      send: async (body: unknown, options?: QueueSendOptions) => {
        add(body, options?.delaySeconds)
        return result
      },
      sendBatch: async (messages: Iterable<MessageSendRequest<unknown>>) => {
        const list = [...messages]
        if (list.length > 100) throw new Error('over 100 messages in a batch')
        for (const message of list) add(message.body, message.delaySeconds)
        return result
      },
    } as Queue
  }
  const env: Env = {
    ...realEnv,
    ...settings,
    EVENTS_QUEUE: capture('events'),
    DRAFTS_QUEUE: capture('drafts'),
    SENDS_QUEUE: capture('sends'),
    NOTIFICATIONS_QUEUE: capture('notifications'),
    INGEST_QUEUE: capture('ingest'),
  }
  let offset = 0
  const clock = {
    now: () => new Date(Date.now() + offset),
    advance: (seconds: number) => {
      offset += seconds * 1000
    },
    set: (at: Date) => {
      offset = at.getTime() - Date.now()
    },
  }
  const pending: Promise<unknown>[] = []
  const execution = {
    waitUntil: (work: Promise<unknown>) => void pending.push(work),
    passThroughOnException: () => undefined,
    props: {},
  } as ExecutionContext
  const settle = async () => {
    while (pending.length > 0) await Promise.allSettled(pending.splice(0))
  }
  // `fetch` may be replaced at any time, so it is looked up per call.
  const outside: typeof fetch = (input, init) => (world.fetch ?? fetch)(input, init)
  const app = createApp({ clock, fetch: outside })
  const overrides = () => ({ clock, fetch: outside })

  const world: World = {
    env,
    clock,
    queued,
    fetch: undefined,
    ctx: (options = {}) =>
      createContext(env, {
        actor: { type: 'system', name: 'test' },
        waitUntil: (work) => execution.waitUntil(work),
        ...overrides(),
        ...options,
      }),
    request: async (method, path, { token, body, headers = {} } = {}) => {
      const raw = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body)
      const response = await app.fetch(
        new Request(`http://inlet.test${path}`, {
          method,
          redirect: 'manual',
          headers: {
            ...(raw === undefined
              ? {}
              : {
                  'Content-Type': 'application/json',
                  'Content-Length': String(new TextEncoder().encode(raw).length),
                }),
            ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
            ...headers,
          },
          ...(raw === undefined ? {} : { body: raw }),
        }),
        env,
        execution,
      )
      await settle()
      return response
    },
    drain: async () => {
      let ran = 0
      for (let round = 0; queued.length > 0 && round < 200; round++) {
        const batch = queued.splice(0)
        for (const queue of new Set(batch.map((message) => message.queue))) {
          const messages = batch.filter((message) => message.queue === queue)
          ran += messages.length
          await consume(toBatch(queue, messages, queued), env, execution, jobs, overrides())
          await settle()
        }
      }
      return ran
    },
    tick: async (cron, at = clock.now()) => {
      await tick({ cron, scheduledTime: at.getTime() }, env, execution, sweeps, overrides())
      await settle()
    },
    organization: (given) => createOrganization(world, given),
    sql: (...statements) => systemDb(world.ctx()).batch(statements),
  }
  return world
}

/** A batch whose acks and retries do what the queue would: a retry comes back with one more attempt. */
function toBatch(queue: QueueName, messages: QueuedMessage[], back: QueuedMessage[]): MessageBatch {
  return {
    queue: `inlet-${queue}`,
    metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } },
    messages: messages.map((message, i) => {
      let settled = false
      return {
        id: String(i),
        timestamp: new Date(),
        body: message.body,
        attempts: message.attempts,
        ack: () => {
          settled = true
        },
        retry: (options?: QueueRetryOptions) => {
          if (settled) return
          settled = true
          back.push({ ...message, attempts: message.attempts + 1, delay_seconds: options?.delaySeconds ?? 0 })
        },
      }
    }),
    ackAll: () => undefined,
    retryAll: () => undefined,
  }
}

async function createOrganization(
  world: World,
  given: Partial<typeof organizations.$inferInsert> = {},
): Promise<TestOrganization> {
  const id = given.id ?? crypto.randomUUID()
  const slug = given.slug ?? `org-${id.slice(0, 8)}`
  await world.sql(
    q.insert(organizations).values({ name: 'Test', undo_seconds: 0, reply_mode: 'auto', ...given, id, slug }),
  )
  const now = world.clock.now()
  await world.ctx().directory.keep([toEntry({ ...given, id, slug, updated_at: now })], now)
  const members = new Map<Role, { id: string; token: string; actor: Extract<Actor, { type: 'user' }> }>()
  return {
    id,
    slug,
    as: async (role) => {
      const known = members.get(role)
      if (known) return known
      const actor = {
        type: 'user' as const,
        user_id: crypto.randomUUID(),
        org_id: id,
        role,
        session_id: crypto.randomUUID(),
      }
      const email = `${role}-${actor.user_id.slice(0, 8)}@${slug}.test`
      await world.sql(
        q.insert(users).values({ id: actor.user_id, org_id: id, email, email_norm: email, name: role, role }),
      )
      const token = await signUserToken(world.ctx(), {
        id: actor.user_id,
        org_id: id,
        role,
        session_id: actor.session_id,
      })
      const member = { id: actor.user_id, token, actor }
      members.set(role, member)
      return member
    },
  }
}

/** The body of an answer, with its status, for whole-object comparison. */
export async function read<T = Record<string, unknown>>(
  response: Response,
): Promise<{ status: number; body: T }> {
  const text = await response.text()
  return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T }
}
