import { eq } from 'drizzle-orm'
import { expect, it } from 'vitest'
import { q } from '#db/client'
import { conversations, messages } from '#db/schema/conversations'
import { leads } from '#db/schema/leads'
import { mailboxes } from '#db/schema/mailboxes'
import { connectMailbox, deliver } from '#test/google'
import { createWorld } from '#test/world'

it('makes contact, conversation, message and lead of a new mail, exactly once', async () => {
  const world = createWorld()
  const org = await world.organization()
  const mailbox = await connectMailbox(world, org)
  await deliver(mailbox.email)
  const port = world.ctx().mailboxes(mailbox.id)
  expect(await port.sync(new Date().toISOString())).toEqual({
    ok: true,
    value: { ingested: 1, known: 0, dead: 0, recovered_gap: false },
  })
  expect(await port.sync(new Date().toISOString())).toEqual({
    ok: true,
    value: { ingested: 0, known: 0, dead: 0, recovered_gap: false },
  })
  const [rows, found, threads, [row]] = await world.sql(
    q
      .select({
        from: messages.from_email,
        class: messages.classification,
        dmarc: messages.dmarc,
        text: messages.stripped_text,
      })
      .from(messages)
      .where(eq(messages.org_id, org.id)),
    q.select({ status: leads.status, source: leads.source }).from(leads).where(eq(leads.org_id, org.id)),
    q
      .select({ status: conversations.status, subject: conversations.subject })
      .from(conversations)
      .where(eq(conversations.org_id, org.id)),
    q
      .select({ status: mailboxes.status, push: mailboxes.push })
      .from(mailboxes)
      .where(eq(mailboxes.id, mailbox.id)),
  )
  expect({ rows, found, threads, row }).toEqual({
    rows: [
      {
        from: 'ada@buyer.test',
        class: 'human',
        dmarc: 'pass',
        text: 'Hello, what do 10 seats cost? Thanks, Ada',
      },
    ],
    found: [{ status: 'received', source: 'gmail' }],
    threads: [{ status: 'open', subject: 'Pricing?' }],
    row: { status: 'connected', push: 'on' },
  })
})
