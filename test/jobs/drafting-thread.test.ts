// A thread may hold the words of several people. A reply goes to one of them, and is written from what that one has seen.
import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { conversations, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { sends } from '#db/schema/sending'
import { arrive } from '#test/arrivals'
import { AI_SETTINGS, createFakeAi } from '#test/fake-ai'
import { insertMailbox } from '#test/sends'
import { createWorld } from '#test/world'
import { draftReply } from '../../src/features/drafting/jobs/draft-reply'

const ADA = 'ada@buyer.test'
const EVE = 'eve@other.test'

async function setup() {
  const world = createWorld(AI_SETTINGS)
  const ai = createFakeAi()
  world.fetch = ai.fetch
  const org = await world.organization({ reply_mode: 'auto' })
  await insertMailbox(world, org)
  const arrival = await arrive(world, org, { email: EVE, text: 'And what did she ask you?' })
  const before = (minutes: number) => new Date(world.clock.now().getTime() - minutes * 60_000)
  const said = (from: string, to: string, text: string, minutes: number) => ({
    id: crypto.randomUUID(),
    org_id: org.id,
    conversation_id: arrival.conversation_id,
    direction: from === 'us' ? ('outbound' as const) : ('inbound' as const),
    channel: 'email' as const,
    from_email: from === 'us' ? 'sales@inlet.test' : from,
    to: [{ email: to, name: '' }],
    text,
    stripped_text: text,
    received_at: before(minutes),
  })
  await world.sql(
    q
      .insert(messages)
      .values([
        said(ADA, 'sales@inlet.test', 'My salary is a secret of ours.', 50),
        said('us', ADA, 'We keep the secret of Ada.', 40),
        said(EVE, 'sales@inlet.test', 'Hello, I am Eve.', 30),
        said('us', EVE, 'Hello Eve, how can we help?', 20),
      ]),
  )
  await draftReply.run(world.ctx(), { org_id: org.id, draft_id: arrival.draft_id })
  return { world, ai, arrival }
}

describe('the model', () => {
  it('sees of a thread only what its recipient wrote and was written', async () => {
    const { ai } = await setup()
    const [asked] = ai.asked
    expect(asked?.user).toContain('Hello, I am Eve.')
    expect(asked?.user).toContain('Hello Eve, how can we help?')
    expect(asked?.user).not.toContain('secret')
  })
})

describe('a message that is days old when it is seen', () => {
  it.each([
    [71, true],
    [73, false],
  ])('%i hours: may be answered automatically: %s', async (hours, passed) => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'auto' })
    const at = new Date(world.clock.now().getTime() - hours * 3600_000)
    const arrival = await arrive(world, org, { at })
    await world.sql(
      q
        .update(conversations)
        .set({ last_human_activity_at: null })
        .where(eq(conversations.id, arrival.conversation_id)),
    )
    await draftReply.run(world.ctx(), { org_id: org.id, draft_id: arrival.draft_id })
    const [rows] = await world.sql(
      q
        .select({ gate: drafts.gate, decision: drafts.decision })
        .from(drafts)
        .where(eq(drafts.id, arrival.draft_id)),
    )
    expect(rows[0]?.gate.find(({ rule }) => rule === 'message_is_recent')?.passed).toBe(passed)
    expect(rows[0]?.decision).toBe(passed ? 'auto_send' : 'needs_review')
  })
})

describe('an automatic reply that waits while a person answers by hand', () => {
  it('is stopped on the record, and its draft is out of date', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'auto', undo_seconds: 600 })
    const agent = await org.as('agent')
    const arrival = await arrive(world, org)
    await draftReply.run(world.ctx(), { org_id: org.id, draft_id: arrival.draft_id })
    const path = `/api/v1/conversations/${arrival.conversation_id}/messages`
    expect((await world.request('POST', path, { token: agent.token, body: { text: 'Hello' } })).status).toBe(
      201,
    )
    await world.drain()
    const [waiting, [draft], audit] = await world.sql(
      q
        .select({ automatic: sends.automatic, state: sends.state })
        .from(sends)
        .where(eq(sends.org_id, org.id))
        .orderBy(sends.created_at),
      q.select({ status: drafts.status }).from(drafts).where(eq(drafts.id, arrival.draft_id)),
      q
        .select({ actor_id: audit_logs.actor_id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'send.skipped'))),
    )
    expect([waiting[0], draft?.status, audit]).toEqual([
      { automatic: true, state: 'skipped' },
      'superseded',
      [{ actor_id: agent.id }],
    ])
  })
})
