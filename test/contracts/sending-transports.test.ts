// One suite for every transport: what the state machine of sending relies on.
import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { outbox_mails, sends } from '#db/schema/sending'
import type { Ctx } from '#platform/context'
import { createFakePostmark, POSTMARK_BASE, POSTMARK_TOKEN } from '#test/fake-postmark'
import { arrangeReply, createFakeMailbox, insertMailbox, withMailbox } from '#test/sends'
import { listenSmtp } from '#test/smtp'
import { createWorld, type World } from '#test/world'
import {
  mailPurposes,
  type Transport,
  type TransportSend,
} from '../../src/features/sending/transports/contract'
import { transports } from '../../src/features/sending/transports/index'

interface Bench {
  ctx: Ctx
  /** The row as a later run reads it. */
  again?: () => Promise<TransportSend>
  /** A send that has passed the gate. */
  send: TransportSend
  /** Mails that a recipient would see. */
  accepted: () => Promise<number>
}

async function pass(world: World, send_id: string, provider_draft_id: string | null): Promise<TransportSend> {
  const claim_token = world.ctx().newId()
  const [[row]] = await world.sql(
    q
      .update(sends)
      .set({ state: 'sending', claim_token, provider_draft_id, send_started_at: world.clock.now() })
      .where(eq(sends.id, send_id))
      .returning(),
  )
  if (!row) throw new Error('no such send')
  return { id: row.id, org_id: row.org_id, mailbox_id: row.mailbox_id, provider_draft_id, claim_token }
}

const benches: Record<string, (transport: Transport) => Promise<Bench>> = {
  mailbox: async (transport) => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox_id = await insertMailbox(world, org)
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const fake = createFakeMailbox()
    const ctx = withMailbox(world.ctx(), fake)
    const send = await pass(world, send_id, null)
    const prepared = await transport.prepare(ctx, send)
    if (!prepared.ok) throw new Error('not prepared')
    return {
      ctx,
      send: { ...send, provider_draft_id: prepared.value.provider_draft_id },
      accepted: async () => fake.accepted.length,
    }
  },
  outbox: async (transport) => {
    const world = createWorld()
    const org = await world.organization()
    const { send_id } = await arrangeReply(world, org)
    const ctx = world.ctx()
    const send = await pass(world, send_id, null)
    const prepared = await transport.prepare(ctx, send)
    if (!prepared.ok) throw new Error('not prepared')
    return {
      ctx,
      send,
      accepted: async () => {
        const [rows] = await world.sql(q.select().from(outbox_mails).where(eq(outbox_mails.send_id, send_id)))
        return rows.length
      },
    }
  },
  postmark: async (transport) => {
    const fake = createFakePostmark()
    const world = createWorld({
      MAIL_TRANSPORT: 'postmark',
      POSTMARK_SERVER_TOKEN: POSTMARK_TOKEN,
      POSTMARK_API_BASE: POSTMARK_BASE,
      FROM_EMAIL: 'hello@inlet.test',
    })
    world.fetch = fake.fetch
    return sharedBench(world, transport, async () => fake.accepted.length)
  },
  smtp: async (transport) => {
    const server = await listenSmtp()
    const world = createWorld({
      MAIL_TRANSPORT: 'smtp',
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: String(server.port),
      SMTP_TLS: 'off',
      FROM_EMAIL: 'hello@inlet.test',
    })
    return sharedBench(world, transport, async () => (await server.mails()).length)
  },
}

async function sharedBench(
  world: World,
  transport: Transport,
  accepted: () => Promise<number>,
): Promise<Bench> {
  const org = await world.organization()
  const { send_id } = await arrangeReply(world, org)
  const ctx = world.ctx()
  const send = await pass(world, send_id, null)
  const prepared = await transport.prepare(ctx, send)
  if (!prepared.ok) throw new Error('not prepared')
  const again = async () => {
    const [[row]] = await world.sql(q.select().from(sends).where(eq(sends.id, send_id)))
    return { ...send, provider_draft_id: row?.provider_draft_id ?? null }
  }
  return { ctx, send, again, accepted }
}

it('has a bench for every transport', () => {
  expect(transports.map((transport) => transport.name)).toEqual(Object.keys(benches))
})

describe.each(transports.map((transport) => ({ transport, name: transport.name })))(
  '$name',
  ({ transport, name }) => {
    const bench = () => benches[name]?.(transport) ?? Promise.reject(new Error(name))

    it('carries only known kinds of mail', () => {
      expect(transport.carries.filter((purpose) => !mailPurposes.includes(purpose))).toEqual([])
      expect(transport.carries.length).toBeGreaterThan(0)
    })

    it('lets nothing leave by preparing', async () => {
      const { ctx, send, accepted } = await bench()
      await transport.prepare(ctx, send)
      expect(await accepted()).toBe(0)
    })

    it('delivers a send once, and knows it afterwards if anybody can', async () => {
      const { ctx, send, again = async () => send, accepted } = await bench()
      expect(await transport.deliver(ctx, send)).toMatchObject({ outcome: 'accepted' })
      // An SMTP server cannot be asked: a person is.
      const outcome = name === 'smtp' ? 'inconclusive' : 'sent'
      expect(await transport.reconcile(ctx, await again())).toMatchObject({ outcome })
      expect(await accepted()).toBe(1)
    })

    it('never delivers a second time, however it answers', async () => {
      const { ctx, send, accepted } = await bench()
      await transport.deliver(ctx, send)
      const again = await Promise.all([transport.deliver(ctx, send), transport.deliver(ctx, send)])
      expect(again.map((delivery) => delivery.outcome === 'refused')).toEqual([false, false])
      expect(await accepted()).toBe(1)
    })

    it('delivers once when many runs try at the same time', async () => {
      const { ctx, send, accepted } = await bench()
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => transport.deliver(ctx, send)))
      expect(outcomes.some((delivery) => delivery.outcome === 'accepted')).toBe(true)
      expect(await accepted()).toBe(1)
    })

    it('says of an undelivered send that it was not sent', async () => {
      const { ctx, send, accepted } = await bench()
      expect(await transport.reconcile(ctx, send)).toEqual({ outcome: 'not_sent' })
      expect(await accepted()).toBe(0)
    })

    it('removes what was prepared, twice if need be', async () => {
      const { ctx, send, accepted } = await bench()
      const draft = send.provider_draft_id ?? 'none'
      expect(await transport.discard(ctx, send, draft)).toEqual({ ok: true, value: null })
      expect(await transport.discard(ctx, send, draft)).toEqual({ ok: true, value: null })
      expect(await accepted()).toBe(0)
    })
  },
)

describe('mailbox', () => {
  const arrange = async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox_id = await insertMailbox(world, org)
    const { send_id } = await arrangeReply(world, org, { mailbox_id })
    const fake = createFakeMailbox()
    const transport = transports.find((candidate) => candidate.name === 'mailbox')
    if (!transport) throw new Error('no mailbox transport')
    const ctx = withMailbox(world.ctx(), fake)
    const send = await pass(world, send_id, null)
    const prepared = await transport.prepare(ctx, send)
    if (!prepared.ok) throw new Error('not prepared')
    return { ctx, fake, transport, send: { ...send, provider_draft_id: prepared.value.provider_draft_id } }
  }

  it.each([
    ['lost_request', 'ambiguous'],
    ['lost_response', 'ambiguous'],
    ['unavailable', 'ambiguous'],
    ['rate_limited', 'refused'],
    ['dead_grant', 'refused'],
    ['refused', 'refused'],
  ] as const)('takes %s for %s', async (fault, outcome) => {
    const { ctx, fake, transport, send } = await arrange()
    fake.faults.sendDraft = [fault]
    expect(await transport.deliver(ctx, send)).toMatchObject({ outcome })
  })

  it('takes a draft that is gone for ambiguous, because another run may have sent it', async () => {
    const { ctx, fake, transport, send } = await arrange()
    fake.drafts.clear()
    expect(await transport.deliver(ctx, send)).toMatchObject({
      outcome: 'ambiguous',
      failure: { code: 'not_found' },
    })
    expect(await transport.reconcile(ctx, send)).toEqual({ outcome: 'inconclusive' })
  })

  it('uses the draft of an earlier attempt again', async () => {
    const { ctx, fake, transport, send } = await arrange()
    expect(await transport.prepare(ctx, send)).toEqual({
      ok: true,
      value: { provider_draft_id: send.provider_draft_id, provider_thread_id: null },
    })
    expect(fake.calls).toEqual(['createDraft'])
  })

  it('says when the provider cannot be asked', async () => {
    const { ctx, fake, transport, send } = await arrange()
    fake.faults.findSent = ['unavailable']
    expect(await transport.reconcile(ctx, send)).toMatchObject({ outcome: 'unavailable' })
  })
})

it('lets no run into the outbox that has lost its claim', async () => {
  const outbox = transports.find((transport) => transport.name === 'outbox')
  const made = outbox && (await benches.outbox?.(outbox))
  if (!made) throw new Error('no outbox')
  const late = { ...made.send, claim_token: made.ctx.newId() }
  expect(await outbox.deliver(made.ctx, late)).toMatchObject({
    outcome: 'refused',
    failure: { code: 'claim_lost' },
  })
  expect(await made.accepted()).toBe(0)
})
