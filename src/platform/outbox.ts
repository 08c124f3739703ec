// Facts first: an event is written in the transaction that made it, and only then relayed to the jobs that follow from it.
import { and, asc, inArray, isNull, lt, sql } from 'drizzle-orm'
import * as z from 'zod'
import { q } from '#db/client'
import { events } from '#db/schema/platform'
import { systemDb } from '#db/system'
import type { DomainEvent, EventType, Subscriber } from '#kernel/event'
import type { Job, QueueName } from '#kernel/job'
import type { Sweep } from '#kernel/sweep'
import type { Ctx, JobMessage } from './context'

/** The statement that records an event; batch it with the rows that it speaks of, then `kick` its id. */
export function recordEvent(
  ctx: Ctx,
  event: { id: string; org_id: string; type: EventType; payload: Record<string, string> },
) {
  return q.insert(events).values({ ...event, as_of: ctx.clock.now() })
}

const RELAY_LIMIT = 500
const relayPayload = z.object({ event_ids: z.array(z.uuid()).max(10_000) })

/** Wakes the relay for events that have just been committed. A lost kick costs a minute: the sweep finds them. */
export function kick(ctx: Ctx, event_ids: string[]): void {
  if (event_ids.length === 0) return
  const message: JobMessage = { job: 'relay-events', payload: { event_ids } }
  ctx.waitUntil(
    ctx
      .enqueueMessages('events', [{ message }])
      .catch((error: unknown) =>
        ctx.log.warn('outbox.kick_lost', { error: String(error instanceof Error && error.name) }),
      ),
  )
}

export function relayJob(subscribers: readonly Subscriber[]): Job<z.infer<typeof relayPayload>, Ctx> {
  return {
    name: 'relay-events',
    queue: 'events',
    payload: relayPayload,
    merge: (payloads) => ({ event_ids: payloads.flatMap(({ event_ids }) => event_ids) }),
    run: async (ctx, { event_ids }) => {
      for (let relayed = RELAY_LIMIT; relayed === RELAY_LIMIT; )
        relayed = await relay(ctx, subscribers, inArray(events.id, event_ids))
    },
  }
}

/** Events older than this were not kicked, or the kick was lost. */
const KICK_GRACE_SECONDS = 15

export function relaySweep(subscribers: readonly Subscriber[]): Sweep<Ctx> {
  return {
    name: 'outbox-relay',
    cron: '* * * * *',
    run: async (ctx) => {
      let relayed = 0
      for (let round = 0; round < 20; round++) {
        const count = await relay(
          ctx,
          subscribers,
          lt(events.created_at, sql`now() - make_interval(secs => ${KICK_GRACE_SECONDS})`),
        )
        relayed += count
        if (count < RELAY_LIMIT) break
      }
      return { relayed }
    },
  }
}

/** Hands over, then marks: a crash in between hands over twice, and every job bears that. */
async function relay(
  ctx: Ctx,
  subscribers: readonly Subscriber[],
  which: ReturnType<typeof lt>,
): Promise<number> {
  const [rows] = await systemDb(ctx).batch([
    q
      .select()
      .from(events)
      .where(and(isNull(events.dispatched_at), which))
      .orderBy(asc(events.created_at))
      .limit(RELAY_LIMIT),
  ])
  if (rows.length === 0) return 0
  const byQueue = new Map<QueueName, { message: JobMessage; delay_seconds?: number }[]>()
  for (const event of rows) {
    for (const subscriber of subscribers) {
      const entry = subscriber.event === event.type ? toMessage(subscriber, event) : null
      if (entry) byQueue.set(subscriber.queue, [...(byQueue.get(subscriber.queue) ?? []), entry])
    }
  }
  for (const [queue, messages] of byQueue) await ctx.enqueueMessages(queue, messages)
  await systemDb(ctx).batch([
    q
      .update(events)
      .set({ dispatched_at: ctx.clock.now() })
      // With the condition of the partial index: without it every mark would read the whole table.
      .where(
        and(
          isNull(events.dispatched_at),
          inArray(
            events.id,
            rows.map((row) => row.id),
          ),
        ),
      ),
  ])
  return rows.length
}

function toMessage(
  subscriber: Subscriber,
  event: DomainEvent,
): { message: JobMessage; delay_seconds?: number } | null {
  const payload = subscriber.payload(event)
  if (payload === null) return null
  const delay_seconds = subscriber.delay_seconds?.(event)
  const message: JobMessage = {
    job: subscriber.job,
    payload: { org_id: event.org_id, ...payload },
    as_of: event.as_of.toISOString(),
  }
  return { message, ...(delay_seconds === undefined ? {} : { delay_seconds }) }
}
