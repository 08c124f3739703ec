import { and, eq, isNull, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { q, raw } from '#db/client'
import { mustChange } from '#db/guard'
import { isBefore, newestFirst } from '#db/list'
import { messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { organizations } from '#db/schema/organizations'
import { sends } from '#db/schema/sending'
import type { Cursor } from '#kernel/page'
import { contactKinds, type DraftStatus, type MailboxStatus, optOutReasons } from '#kernel/vocabulary'

export { isLostRace } from '#db/guard'

/** Longer than the slowest answer and its one repetition, so that nobody else asks the AI meanwhile. */
const LEASE_SECONDS = 120
/** The injection scan reads more than any model is given. */
const MAX_TEXT = 120_001
const MAX_THREAD = 10
const MAX_THREAD_TEXT = 4000

// ── people ──

export function list(filter: { status?: DraftStatus | undefined }, limit: number, after: Cursor | null) {
  return selectShown()
    .where(
      and(
        filter.status === undefined ? undefined : eq(drafts.status, filter.status),
        isBefore(drafts.created_at, drafts.id, after),
      ),
    )
    .orderBy(newestFirst(drafts.created_at), newestFirst(drafts.id))
    .limit(limit)
}

export function findById(id: string) {
  return selectShown().where(eq(drafts.id, id))
}

function selectShown() {
  return q
    .select({
      id: drafts.id,
      conversation_id: drafts.conversation_id,
      lead_id: drafts.lead_id,
      status: drafts.status,
      decision: drafts.decision,
      text: drafts.text,
      generated_text: drafts.generated_text,
      edited: drafts.edited,
      provider: drafts.provider,
      model: drafts.model,
      category: drafts.category,
      intent: drafts.intent,
      confidence: drafts.confidence,
      needs_human: drafts.needs_human,
      reason: drafts.reason,
      price_guidance: drafts.price_guidance,
      gate: drafts.gate,
      ai_failure: drafts.ai_failure,
      instruction: drafts.instruction,
      reject_reason: drafts.reject_reason,
      decided_by: drafts.decided_by,
      decided_at: drafts.decided_at,
      generation: drafts.generation,
      version: drafts.version,
      created_at: drafts.created_at,
      updated_at: drafts.updated_at,
      message: {
        id: messages.id,
        channel: messages.channel,
        from_email: messages.from_email,
        from_name: messages.from_name,
        subject: messages.subject,
        text: sql<string>`left(${messages.stripped_text}, 4000)`,
        received_at: messages.received_at,
      },
      send: {
        id: sends.id,
        state: sends.state,
        automatic: sends.automatic,
        next_attempt_at: sends.next_attempt_at,
        skip_reason: sends.skip_reason,
        sent_at: sends.sent_at,
      },
    })
    .from(drafts)
    .innerJoin(messages, and(eq(messages.org_id, drafts.org_id), eq(messages.id, drafts.message_id)))
    .leftJoin(sends, and(eq(sends.org_id, drafts.org_id), eq(sends.id, drafts.send_id)))
}

/** What a reply by this draft is made of. */
export function findAnswerable(id: string) {
  return raw<{ answer: Answerable }>(sql`
    select jsonb_build_object('undo_seconds', o.undo_seconds, 'erasure_key_sealed', o.erasure_key_sealed, 'mailbox_id', c.mailbox_id,
      'provider_thread_id', c.provider_thread_id, 'message', ${messageToAnswer(sql`m`)},
      'suppressed', exists (select from suppressions x where x.org_id = d.org_id and x.reason <> all(${sql.param(optOutReasons)}::text[]) and (
        (x.kind = 'email' and x.value_norm = lower(m.from_email))
        or (x.kind = 'domain' and x.value_norm = split_part(lower(m.from_email), '@', 2))))) as answer
    from drafts d
    join organizations o on o.id = d.org_id
    join conversations c on c.org_id = d.org_id and c.id = d.conversation_id
    join messages m on m.org_id = d.org_id and m.id = d.message_id
    where d.id = ${id}`)
}

export interface Answerable {
  suppressed: boolean
  erasure_key_sealed: string | null
  undo_seconds: number
  mailbox_id: string | null
  provider_thread_id: string | null
  message: MessageToAnswer
}

interface MessageToAnswer {
  message_id: string | null
  references: string[]
  from_email: string | null
  from_name: string | null
  subject: string
  mailbox_id: string | null
}

function messageToAnswer(m: SQL): SQL {
  return sql`jsonb_build_object('message_id', ${m}.message_id, 'references', to_jsonb(${m}."references"), 'from_email', ${m}.from_email,
    'from_name', ${m}.from_name, 'subject', ${m}.subject, 'mailbox_id', ${m}.mailbox_id)`
}

/** Changes the row of that version, or fails the whole batch. */
export function update(id: string, version: number, set: DraftChange) {
  return changeOne(set, and(eq(drafts.id, id), eq(drafts.version, version)))
}

/** As `update`, for a draft whose reply waited to leave: only when it really was called back in this transaction. */
export function takeBack(id: string, version: number, set: DraftChange) {
  const called_back = sql`exists (select from ${sends} where ${sends.org_id} = ${drafts.org_id} and ${sends.id} = ${drafts.send_id}
    and ${sends.state} = 'skipped')`
  return changeOne(
    { ...set, generation: sql`${drafts.generation} + 1` },
    and(eq(drafts.id, id), eq(drafts.version, version), called_back),
  )
}

export type DraftChange = Parameters<ReturnType<typeof q.update<typeof drafts>>['set']>[0]

function changeOne(set: DraftChange, where: SQL | undefined) {
  return mustChange(
    q
      .update(drafts)
      .set({ ...set, version: sql`${drafts.version} + 1` })
      .where(where)
      .returning({ id: drafts.id }),
  )
}

// ── the job ──

/** As Postgres gives it in JSON: instants are ISO text. */
export interface DraftFacts {
  draft: {
    id: string
    conversation_id: string
    lead_id: string | null
    message_id: string
    generation: number
    attempts: number
    instruction: string | null
  }
  organization: Pick<
    typeof organizations.$inferSelect,
    | 'name'
    | 'timezone'
    | 'ai_provider'
    | 'reply_mode'
    | 'undo_seconds'
    | 'from_name'
    | 'reply_instructions'
    | 'allowed_link_hosts'
    | 'allowed_commitments'
  >
  conversation: {
    mailbox_id: string | null
    provider_thread_id: string | null
    last_human_activity_at: string | null
  }
  message: MessageToAnswer &
    Pick<
      typeof messages.$inferSelect,
      'channel' | 'text' | 'stripped_text' | 'hidden_text' | 'classification' | 'no_auto_reply' | 'dmarc'
    > & { received_at: string }
  contact_email: string | null
  /** Nobody has judged the lead yet, so a machine may. */
  lead_is_untouched: boolean
  mailbox: { status: MailboxStatus; auto_send: boolean; daily_cap: number } | null
  /** Every address of the organization's mailboxes. */
  own_addresses: string[]
  /** Earlier messages between us and the sender, oldest first: what others wrote in the thread is not theirs to read. */
  thread: { direction: 'inbound' | 'outbound'; text: string }[]
  counts: {
    thread: number
    sender_24h: number
    domain_24h: number
    mailbox_24h: number
    any_to_address_24h: number
  }
}

/**
 * Claims the draft and reads every fact that its text and its gate need, in one statement. No row: it is decided, out of date,
 * or somebody else is writing it. The lease runs on the database's clock, the caps on the caller's.
 */
export function claimWithFacts(org_id: string, id: string, now: Date) {
  const recent = sql`x.created_at > ${now.toISOString()}::timestamptz - interval '24 hours'`
  // What was called back or never left is no mail that the other side got.
  const automatic = sql`x.org_id = d.org_id and x.automatic and x.state not in ('skipped', 'failed')`
  return raw<{ facts: DraftFacts }>(sql`
    with d as (
      update drafts set lease_until = now() + ${LEASE_SECONDS} * interval '1 second', attempts = attempts + 1
      where org_id = ${org_id} and id = ${id} and status = 'pending' and (lease_until is null or lease_until < now())
      returning *)
    select jsonb_build_object(
      'draft', jsonb_build_object('id', d.id, 'conversation_id', d.conversation_id, 'lead_id', d.lead_id, 'message_id', d.message_id,
        'generation', d.generation, 'attempts', d.attempts, 'instruction', d.instruction),
      'organization', jsonb_build_object('name', o.name, 'timezone', o.timezone, 'ai_provider', o.ai_provider, 'reply_mode', o.reply_mode,
        'undo_seconds', o.undo_seconds, 'from_name', o.from_name, 'reply_instructions', o.reply_instructions,
        'allowed_link_hosts', to_jsonb(o.allowed_link_hosts), 'allowed_commitments', to_jsonb(o.allowed_commitments)),
      'conversation', jsonb_build_object('mailbox_id', c.mailbox_id, 'provider_thread_id', c.provider_thread_id,
        'last_human_activity_at', c.last_human_activity_at),
      'message', ${messageToAnswer(sql`m`)} || jsonb_build_object('channel', m.channel, 'text', left(m.text, ${MAX_TEXT}),
        'stripped_text', left(m.stripped_text, ${MAX_TEXT}), 'hidden_text', left(m.hidden_text, ${MAX_TEXT}),
        'classification', m.classification, 'no_auto_reply', m.no_auto_reply, 'dmarc', m.dmarc, 'received_at', m.received_at),
      'contact_email', k.email_norm,
      'lead_is_untouched', exists (select from leads x where x.org_id = d.org_id and x.id = d.lead_id and x.status in ('received', 'processing')),
      'mailbox', case when b.id is not null then
        jsonb_build_object('status', b.status, 'auto_send', b.auto_send, 'daily_cap', b.daily_cap) end,
      'own_addresses', (select coalesce(jsonb_agg(own.address), '[]') from mailboxes x
        cross join lateral (select x.email_norm as address union select lower(a) from unnest(x.send_as) a) own where x.org_id = d.org_id),
      'thread', (select coalesce(jsonb_agg(jsonb_build_object('direction', e.direction, 'text', e.text) order by e.received_at, e.id), '[]')
        from (select x.id, x.direction, x.received_at, left(x.stripped_text, ${MAX_THREAD_TEXT}) as text from messages x
          where x.org_id = d.org_id and x.conversation_id = d.conversation_id and (x.received_at, x.id) < (m.received_at, m.id)
            and ((x.direction = 'inbound' and x.from_email = m.from_email)
              or (x.direction = 'outbound' and x."to" @> jsonb_build_array(jsonb_build_object('email', m.from_email))))
          order by x.received_at desc, x.id desc limit ${MAX_THREAD}) e),
      'counts', jsonb_build_object(
        'thread', (select count(*) from sends x where ${automatic} and x.kind = 'reply' and x.conversation_id = d.conversation_id),
        'sender_24h', (select count(*) from sends x where ${automatic} and x.kind = 'reply' and x.to_email = k.email_norm and ${recent}),
        'domain_24h', (select count(*) from sends x where ${automatic} and x.kind = 'reply'
          and x.to_domain = split_part(k.email_norm, '@', 2) and ${recent}),
        'mailbox_24h', (select count(*) from sends x where ${automatic} and x.kind = 'reply' and x.mailbox_id = b.id and ${recent}),
        -- An acknowledgement that has not left gives way to the answer.
        'any_to_address_24h', (select count(*) from sends x where ${automatic} and x.kind = any(${sql.param(contactKinds)}::text[])
          and (x.kind <> 'welcome' or x.state not in ('scheduled', 'claimed')) and x.to_email = k.email_norm and ${recent}))
    ) as facts
    from d
    join organizations o on o.id = d.org_id
    join conversations c on c.org_id = d.org_id and c.id = d.conversation_id
    join messages m on m.org_id = d.org_id and m.id = d.message_id
    left join contacts k on k.org_id = c.org_id and k.id = c.contact_id
    left join lateral (
      -- The one that the reply leaves from: as in the sending slice.
      select x.id, x.status, x.auto_send, x.daily_cap from mailboxes x
      where x.org_id = d.org_id and case when c.mailbox_id is null then x.status = 'connected' else x.id = c.mailbox_id end
      order by x.connected_at, x.id limit 1) b on true`)
}

/** The draft as written by the run that claimed it, or failure of the whole batch. */
export function finish(id: string, generation: number, set: DraftChange) {
  return changeOne(
    { ...set, lease_until: null },
    and(eq(drafts.id, id), eq(drafts.generation, generation), eq(drafts.status, 'pending')),
  )
}

/** Pending and nobody writing. The due time is the caller's, the lease is the database's. */
export function listDue(due_before: Date, limit: number) {
  return q
    .select({ org_id: drafts.org_id, id: drafts.id })
    .from(drafts)
    .where(
      and(
        eq(drafts.status, 'pending'),
        lte(drafts.created_at, due_before),
        lte(drafts.updated_at, due_before),
        or(isNull(drafts.lease_until), lt(drafts.lease_until, sql`now()`)),
      ),
    )
    .orderBy(drafts.created_at)
    .limit(limit)
}
