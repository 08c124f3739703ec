// Mail that the provider hands over, whatever it is: stored once, or visible as what could not be stored; never in the way.
import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { mailboxes } from '#db/schema/mailboxes'
import { dead_letters } from '#db/schema/platform'
import { ingestMail } from '#features/inbound'
import { writeMail } from '#test/mail-fixture'
import { createWorld, type TestOrganization, type World } from '#test/world'

const OWN = 'sales@inlet.test'

interface Box {
  world: World
  organization: TestOrganization
  take: (raw: Uint8Array, given?: { thread?: string; sent?: boolean; received_at?: Date }) => Promise<string>
}

async function openBox(): Promise<Box> {
  const world = createWorld()
  const organization = await world.organization({ reply_mode: 'draft' })
  const id = crypto.randomUUID()
  const account = { provider: 'google' as const, account_subject: id, email: OWN, email_norm: OWN }
  await world.sql(
    q.insert(mailboxes).values({ id, org_id: organization.id, ...account, status: 'connected' }),
  )
  return {
    world,
    organization,
    take: (raw, { thread = crypto.randomUUID(), sent = false, received_at = world.clock.now() } = {}) =>
      ingestMail(world.ctx(), {
        org_id: organization.id,
        mailbox: { id, email: OWN, provider: 'google' },
        own_addresses: [OWN],
        provider_message_id: crypto.randomUUID(),
        provider_thread_id: thread,
        sent,
        received_at,
        raw,
      }),
  }
}

describe('a mail of any date', () => {
  it.each([
    ['0000-01-01T00:00:00Z', null],
    ['-000001-01-01T00:00:00Z', null],
    ['+275760-09-13T00:00:00.000Z', null],
    ['Fri, 31 Dec 9999 23:59:59 -1200', null],
    ['1 Jan 294277', null],
    ['Thu, 20 Nov 2026 10:00:00 +0100', new Date('2026-11-20T09:00:00Z')],
  ])('comes in: %s', async (date, sent_at) => {
    const { world, organization, take } = await openBox()
    expect(await take(writeMail({ Date: date }))).toBe('new')
    const [rows] = await world.sql(
      q.select({ sent_at: messages.sent_at }).from(messages).where(eq(messages.org_id, organization.id)),
    )
    expect(rows).toEqual([{ sent_at }])
  })
})

describe('a mail that Postgres will never take', () => {
  it('is a dead letter, and not a reason for the mailbox to stop', async () => {
    const { world, organization, take } = await openBox()
    expect(await take(writeMail(), { received_at: new Date(8.64e15) })).toBe('dead')
    const [rows] = await world.sql(
      q
        .select({ queue: dead_letters.queue, failure: dead_letters.failure })
        .from(dead_letters)
        .where(eq(dead_letters.org_id, organization.id)),
    )
    expect(rows).toEqual([
      {
        queue: 'mailbox',
        failure: { kind: 'permanent', code: 'mail_unstorable', message: 'The mail cannot be read.' },
      },
    ])
    expect(await take(writeMail())).toBe('new')
  })
})

describe('a mail in the Sent folder', () => {
  const alias = { From: 'Bob <bob@another-alias.test>', To: 'ada@buyer.test', 'Return-Path': '' }

  it('is ours whatever its From says: no lead, no contact and no draft comes of it', async () => {
    const { world, organization, take } = await openBox()
    expect(await take(writeMail(alias), { sent: true })).toBe('known')
    const [found] = await world.sql(
      q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, organization.id)),
    )
    expect(found).toEqual([])
  })

  it('answers the thread that it belongs to: what was drafted is out of date', async () => {
    const { world, organization, take } = await openBox()
    const thread = 'thread-1'
    expect(await take(writeMail(), { thread })).toBe('new')
    expect(await take(writeMail({ ...alias, 'Message-ID': '<m2@alias.test>' }), { thread, sent: true })).toBe(
      'new',
    )
    const [said, waiting, [conversation]] = await world.sql(
      q
        .select({ direction: messages.direction, classification: messages.classification })
        .from(messages)
        .where(eq(messages.org_id, organization.id))
        .orderBy(messages.received_at, messages.id),
      q.select({ status: drafts.status }).from(drafts).where(eq(drafts.org_id, organization.id)),
      q
        .select({ acted: conversations.last_human_activity_at })
        .from(conversations)
        .where(eq(conversations.org_id, organization.id)),
    )
    expect(said).toEqual([
      { direction: 'inbound', classification: 'human' },
      { direction: 'outbound', classification: 'own' },
    ])
    expect(waiting).toEqual([{ status: 'superseded' }])
    expect(conversation?.acted).not.toBeNull()
  })
})
