// Items as the doors make them, and the buffer that they lie in.
import { runInDurableObject } from 'cloudflare:test'
import { eq } from 'drizzle-orm'
import type { IngestBuffer } from '#do/ingest-buffer'
import { inboundIntake } from '#features/inbound'
import { q } from '#db/client'
import { leads } from '#db/schema/leads'
import type { Destination } from '#kernel/intake'
import type { Ctx } from '#platform/context'
import { derivedUuid, sha256Hex } from '#platform/crypto'
import { type PutAnswer, sealContext } from '#platform/ingest-buffer'
import { accept, type Intake } from '#platform/intake'
import type { TestOrganization, World } from './world'

interface Given {
  key: string
  /** Another one is another inquiry under the same key. */
  text?: string
  email?: string
  received_at?: Date
  destination?: Destination
  kind?: string
  slots?: Intake['slots']
  payload?: Record<string, unknown>
}

export async function leadIntake(
  world: World,
  org: Pick<TestOrganization, 'id'>,
  given: Given,
): Promise<Intake> {
  const { key, text = 'Hello', email = `${key}@buyer.test`, received_at = world.clock.now() } = given
  const request_hash = await sha256Hex(text)
  return {
    kind: given.kind ?? 'inbound',
    destination: given.destination ?? { org_id: org.id },
    id: await derivedUuid(`lead:${org.id}:${key}`),
    received_at,
    request_hash,
    ...(given.slots ? { slots: given.slots } : {}),
    payload: {
      source: 'api',
      contact: { email, email_norm: email, name: null },
      message: { channel: 'form', from_email: email, text, stripped_text: text, received_at },
      lead_key: key,
      request_hash,
      ...given.payload,
    },
  }
}

/** Through the one door, as every route does it. */
export async function post(world: World, ctx: Ctx, intake: Intake) {
  return accept(
    ctx,
    async (limited) => {
      const [result] = await inboundIntake.store(limited, intake.destination, [intake])
      return result?.outcome
    },
    async () => intake,
  )
}

export async function sealed(
  ctx: Ctx,
  { id, kind, destination, received_at, request_hash, payload }: Intake,
) {
  return {
    id,
    kind,
    destination,
    received_at: received_at.toISOString(),
    request_hash,
    sealed: await ctx.seal(JSON.stringify(payload), sealContext(id)),
  }
}

/** Straight into the organization's object. */
export async function put(
  world: World,
  org: Pick<TestOrganization, 'id'>,
  given: Given,
): Promise<PutAnswer & { id: string }> {
  const ctx = world.ctx()
  const intake = await leadIntake(world, org, given)
  const answer = await ctx
    .ingest(org.id)
    .put(org.id, await sealed(ctx, intake), given.slots ?? [], ctx.clock.now())
  return { ...answer, id: intake.id }
}

export async function leadsOf(world: World, org: Pick<TestOrganization, 'id'>) {
  const [rows] = await world.sql(
    q
      .select({ id: leads.id, received_at: leads.received_at })
      .from(leads)
      .where(eq(leads.org_id, org.id))
      .orderBy(leads.received_at, leads.id),
  )
  return rows
}

export function bufferOf(world: World, name: string): DurableObjectStub<IngestBuffer> {
  return world.env.INGEST_BUFFER.get(world.env.INGEST_BUFFER.idFromName(name))
}

/** Nothing is stored until the test says so. */
export async function withoutAlarm(world: World, name: string): Promise<void> {
  await runInDurableObject(bufferOf(world, name), (_, state) => state.storage.deleteAlarm())
}
