// A reply that is about to leave, and a provider that behaves as badly as a real one.
import { eq } from 'drizzle-orm'
import { q } from '#db/client'
import { conversations } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { mailboxes } from '#db/schema/mailboxes'
import { sends } from '#db/schema/sending'
import { scheduleReply } from '#features/sending'
import { fail, type Result, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { CreatedDraft, MailboxPort, SentMessage } from '#platform/mailboxes'
import { type Arrival, arrive } from './arrivals'
import type { TestOrganization, World } from './world'

export async function insertMailbox(
  world: World,
  org: TestOrganization,
  given: Partial<typeof mailboxes.$inferInsert> = {},
): Promise<string> {
  const id = given.id ?? world.ctx().newId()
  await world.sql(
    q.insert(mailboxes).values({
      org_id: org.id,
      provider: 'google',
      account_subject: id,
      email: 'Sales@Shop.test',
      email_norm: 'sales@shop.test',
      status: 'connected',
      connected_at: world.clock.now(),
      ...given,
      id,
    }),
  )
  return id
}

export interface Reply extends Arrival {
  send_id: string
}

/** A message that has arrived, its draft approved and its send scheduled. */
export async function arrangeReply(
  world: World,
  org: TestOrganization,
  given: {
    mailbox_id?: string | null
    automatic?: boolean
    email?: string
    due_at?: Date
    text?: string
    arrival?: Arrival
    id?: string
  } = {},
): Promise<Reply> {
  const email = given.email ?? `ada-${world.ctx().newId().slice(-12)}@buyer.test`
  const arrival = given.arrival ?? (await arrive(world, org, { email }))
  const ctx = world.ctx()
  const send_id = given.id ?? ctx.newId()
  if (given.mailbox_id)
    await world.sql(
      q
        .update(conversations)
        .set({ mailbox_id: given.mailbox_id, provider_thread_id: `thread-${arrival.conversation_id}` })
        .where(eq(conversations.id, arrival.conversation_id)),
    )
  await world.sql(
    q
      .update(drafts)
      .set({ status: 'approved', text: 'Ten seats cost 90.', send_id })
      .where(eq(drafts.id, arrival.draft_id)),
  )
  await ctx.db.org({ org_id: org.id, visibility: 'all' }).batch([
    scheduleReply(ctx, {
      id: send_id,
      org_id: org.id,
      draft_id: arrival.draft_id,
      conversation_id: arrival.conversation_id,
      lead_id: arrival.lead_id,
      message: {
        message_id: `<${arrival.message_id}@buyer.test>`,
        references: ['<before@buyer.test>'],
        from_email: email,
        from_name: 'Ada',
        subject: 'Pricing?',
      },
      provider_thread_id: given.mailbox_id ? `thread-${arrival.conversation_id}` : null,
      mailbox_id: given.mailbox_id ?? null,
      text: given.text ?? 'Ten seats cost 90.',
      automatic: given.automatic ?? true,
      due_at: given.due_at ?? world.clock.now(),
      created_by: null,
      dedupe_key: `reply:${send_id}`,
    }),
  ])
  return { ...arrival, send_id }
}

export async function readSend(world: World, id: string) {
  const [[row]] = await world.sql(q.select().from(sends).where(eq(sends.id, id)))
  if (!row) throw new Error('no such send')
  return row
}

type Fault =
  | 'lost_request'
  | 'lost_response'
  | 'rate_limited'
  | 'unavailable'
  | 'dead_grant'
  | 'refused'
  | 'bad_recipient'
  | 'answered'

type Found = { outcome: 'sent' | 'not_sent' | 'inconclusive'; message?: SentMessage }

type FakeCall = 'createDraft' | 'sendDraft' | 'findSent' | 'deleteDraft'

export interface FakeMailbox extends MailboxPort {
  /** The mails that have left, in order. */
  accepted: { send_id: string; provider_draft_id: string }[]
  drafts: Map<string, string>
  /** Consumed one by one by the calls of that name; `undefined` is none. */
  faults: Partial<Record<FakeCall, (Fault | undefined)[]>>
  /** Runs before the call of that name has any effect. */
  before: Partial<Record<FakeCall, (id: string) => Promise<unknown>>>
  /** Instead of a list: asked at every call. */
  chance: ((call: FakeCall) => Fault | undefined) | undefined
  calls: string[]
}

/** Keeps the providers' rules: a draft is sent once, and what was lost on the way back has had its effect. */
export function createFakeMailbox(): FakeMailbox {
  let serial = 0
  const refusals: Record<Exclude<Fault, 'lost_request' | 'lost_response'>, () => ReturnType<typeof fail>> = {
    rate_limited: () => fail('rate_limited', 'rate_limited', 'Gmail asks to slow down.', 17),
    unavailable: () => fail('transient', 'provider_unavailable', 'Gmail answered 503.'),
    dead_grant: () => fail('auth', 'reconnect_required', 'The mailbox has to be connected again.'),
    refused: () => fail('permanent', 'refused', 'Gmail answered 400.'),
    bad_recipient: () => fail('permanent', 'bad_recipient', 'The address is refused.'),
    answered: () => fail('permanent', 'answered_by_a_person', 'Somebody has answered in this thread.'),
  }
  const unanswered = () => fail('transient', 'mailbox_unreachable', 'The mailbox did not answer.')
  const call = async <T>(name: FakeCall, id: string, work: () => Result<T>): Promise<Result<T>> => {
    fake.calls.push(name)
    await fake.before[name]?.(id)
    const fault = fake.chance ? fake.chance(name) : fake.faults[name]?.shift()
    if (fault === 'lost_request') return unanswered()
    if (fault !== undefined && fault !== 'lost_response') return refusals[fault]()
    const result = work()
    return fault === 'lost_response' ? unanswered() : result
  }
  const messageOf = (send_id: string): SentMessage => ({
    provider_message_id: `m-${send_id}`,
    provider_thread_id: `t-${send_id}`,
    message_id: `<rewritten-${send_id}@mail.gmail.com>`,
  })
  const unused = async () => fail('permanent', 'unused', 'Not a part of sending.')
  const fake: FakeMailbox = {
    accepted: [],
    drafts: new Map(),
    faults: {},
    before: {},
    chance: undefined,
    calls: [],
    createDraft: (send_id) =>
      call<CreatedDraft>('createDraft', send_id, () => {
        const provider_draft_id = `d${++serial}-${send_id.slice(-6)}`
        fake.drafts.set(provider_draft_id, send_id)
        return succeed({ provider_draft_id, provider_thread_id: `t-${send_id}` })
      }),
    sendDraft: (provider_draft_id) =>
      call('sendDraft', provider_draft_id, () => {
        const send_id = fake.drafts.get(provider_draft_id)
        if (send_id === undefined) return fail('permanent', 'not_found', 'Gmail does not know it.')
        fake.drafts.delete(provider_draft_id)
        fake.accepted.push({ send_id, provider_draft_id })
        return succeed(messageOf(send_id))
      }),
    deleteDraft: (provider_draft_id) =>
      call('deleteDraft', provider_draft_id, () => {
        fake.drafts.delete(provider_draft_id)
        return succeed(null)
      }),
    findSent: (send_id, provider_draft_id) =>
      call<Found>('findSent', send_id, () => {
        if (fake.drafts.has(provider_draft_id)) return succeed({ outcome: 'not_sent' })
        if (fake.accepted.some((mail) => mail.send_id === send_id))
          return succeed({ outcome: 'sent', message: messageOf(send_id) })
        return succeed({ outcome: 'inconclusive' })
      }),
    connect: unused,
    poke: unused,
    sync: unused,
    renewWatch: unused,
    status: unused,
    disconnect: unused,
  }
  return fake
}

/** The context of a job whose mailboxes are all this one. */
export function withMailbox(ctx: Ctx, mailbox: MailboxPort): Ctx {
  return { ...ctx, mailboxes: () => mailbox }
}
