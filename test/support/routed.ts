// Mail at the doors that route it, and where it comes to lie.
import { eq } from 'drizzle-orm'
import { q } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { leads } from '#db/schema/leads'
import { bufferStates } from '#kernel/intake'
import { UNROUTED } from '#platform/ingest-buffer'
import { replyAddress } from '#platform/reply-address'
import { takeEmail } from '../../src/email'
import type { TestOrganization, World } from './world'

export const DOMAIN = 'in.inlet.test'

export interface Delivery {
  from?: string
  to: string
  raw: Uint8Array
  /** What the platform says of its size; the truth unless given. */
  raw_size?: number
}

/** As Email Routing hands a mail over. Answers the reason for which it was refused, if it was. */
export async function deliver(
  world: World,
  { from = 'ada@buyer.test', to, raw, raw_size }: Delivery,
): Promise<string | null> {
  const refusals: string[] = []
  const pending: Promise<unknown>[] = []
  await takeEmail(
    {
      from,
      to,
      raw: streamOf(raw),
      rawSize: raw_size ?? raw.length,
      setReject: (reason) => void refusals.push(reason),
    },
    world.env,
    { waitUntil: (work) => void pending.push(work) },
    { clock: world.clock },
  )
  await Promise.allSettled(pending)
  return refusals[0] ?? null
}

export function streamOf(bytes: Uint8Array, piece = 65_536): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull: (controller) => {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.slice(at, at + piece))
      at += piece
    },
  })
}

export async function addressOf(world: World, send_id: string): Promise<string> {
  return (await replyAddress(world.ctx(), send_id)) ?? ''
}

/** What the buffer of mail without an organization holds of a state, codes alone. */
export async function unrouted(world: World): Promise<{ id: string; state: string; code: string | null }[]> {
  const buffer = world.ctx().ingest(UNROUTED)
  const lists = await Promise.all(bufferStates.map((state) => buffer.list(state, 200, null)))
  return lists.flat().map(({ id, state, last_error }) => ({ id, state, code: last_error?.code ?? null }))
}

export function flushUnrouted(world: World) {
  return world.ctx().ingest(UNROUTED).flush(world.clock.now())
}

export async function storedIn(world: World, organization: Pick<TestOrganization, 'id'>) {
  const [said, found, threads] = await world.sql(
    q
      .select({
        from: messages.from_email,
        text: messages.stripped_text,
        direction: messages.direction,
        classification: messages.classification,
        conversation_id: messages.conversation_id,
        verdicts: messages.verdicts,
        no_auto_reply: messages.no_auto_reply,
        received_at: messages.received_at,
      })
      .from(messages)
      .where(eq(messages.org_id, organization.id))
      .orderBy(messages.created_at, messages.id),
    q.select({ id: leads.id, source: leads.source }).from(leads).where(eq(leads.org_id, organization.id)),
    q
      .select({ id: conversations.id, status: conversations.status, contact_id: conversations.contact_id })
      .from(conversations)
      .where(eq(conversations.org_id, organization.id))
      .orderBy(conversations.created_at, conversations.id),
  )
  return { said, leads: found, conversations: threads }
}
