import { and, asc, eq, inArray, or, type SQL, sql } from 'drizzle-orm'
import { DatabaseError, q } from '#db/client'
import { mustChange } from '#db/guard'
import { contains, isAfter, isBefore, newestFirst } from '#db/list'
import { users } from '#db/schema/auth'
import { comments, contacts, conversations, messages } from '#db/schema/conversations'
import { leads } from '#db/schema/leads'
import type { Cursor } from '#kernel/page'
import type { Channel, ConversationStatus } from '#kernel/vocabulary'

export { isLostRace } from '#db/guard'

const PREVIEW_CHARACTERS = 200

export interface ConversationFilter {
  status?: ConversationStatus | undefined
  channel?: Channel | undefined
  assignee_id?: string | undefined
  q?: string | undefined
}

export function list(filter: ConversationFilter, limit: number, after: Cursor | null) {
  return show(
    and(
      filter.status === undefined ? undefined : eq(conversations.status, filter.status),
      filter.channel === undefined ? undefined : eq(conversations.channel, filter.channel),
      filter.assignee_id === undefined ? undefined : eq(conversations.assignee_id, filter.assignee_id),
      filter.q === undefined ? undefined : mentions(filter.q),
      isBefore(conversations.last_message_at, conversations.id, after),
    ),
    limit,
  )
}

export function findById(id: string) {
  return show(eq(conversations.id, id), 1)
}

function mentions(text: string): SQL | undefined {
  const people = q
    .select({ id: contacts.id })
    .from(contacts)
    .where(or(contains(contacts.email, text), contains(contacts.name, text)))
  return or(contains(conversations.subject, text), inArray(conversations.contact_id, people))
}

/** The page first, then what belongs to each of its rows by key: no join may read a whole table for fifty rows. */
function show(which: SQL | undefined, limit: number) {
  const page = q
    .select()
    .from(conversations)
    .where(which)
    .orderBy(newestFirst(conversations.last_message_at), newestFirst(conversations.id))
    .limit(limit)
    .as('page')
  const contact = q
    .select({ id: contacts.id, email: contacts.email, name: contacts.name })
    .from(contacts)
    .where(and(eq(contacts.org_id, page.org_id), eq(contacts.id, page.contact_id)))
    .limit(1)
    .as('contact')
  const lead = q
    .select({ id: leads.id, status: leads.status })
    .from(leads)
    .where(and(eq(leads.org_id, page.org_id), eq(leads.conversation_id, page.id)))
    .orderBy(newestFirst(leads.received_at), newestFirst(leads.id))
    .limit(1)
    .as('lead')
  const latest = q
    .select({
      id: messages.id,
      direction: messages.direction,
      preview: sql<string>`left(${messages.stripped_text}, ${PREVIEW_CHARACTERS})`.as('preview'),
      received_at: messages.received_at,
    })
    .from(messages)
    .where(and(eq(messages.org_id, page.org_id), eq(messages.conversation_id, page.id)))
    .orderBy(newestFirst(messages.received_at), newestFirst(messages.id))
    .limit(1)
    .as('latest')
  return q
    .select({
      id: page.id,
      channel: page.channel,
      mailbox_id: page.mailbox_id,
      subject: page.subject,
      status: page.status,
      assignee_id: page.assignee_id,
      last_message_at: page.last_message_at,
      last_inbound_at: page.last_inbound_at,
      last_human_activity_at: page.last_human_activity_at,
      version: page.version,
      created_at: page.created_at,
      updated_at: page.updated_at,
      contact: { id: contact.id, email: contact.email, name: contact.name },
      lead: { id: lead.id, status: lead.status },
      latest_message: {
        id: latest.id,
        direction: latest.direction,
        preview: latest.preview,
        received_at: latest.received_at,
      },
    })
    .from(page)
    .leftJoinLateral(contact, sql`true`)
    .leftJoinLateral(lead, sql`true`)
    .leftJoinLateral(latest, sql`true`)
    .orderBy(newestFirst(page.last_message_at), newestFirst(page.id))
}

/** Changes the row of that version, or fails the whole batch. */
export function update(id: string, version: number, set: Partial<typeof conversations.$inferInsert>) {
  return mustChange(
    q
      .update(conversations)
      .set({ ...set, version: version + 1 })
      .where(and(eq(conversations.id, id), eq(conversations.version, version)))
      .returning({ id: conversations.id }),
  )
}

export function touch(org_id: string, id: string, at: Date) {
  return q
    .update(conversations)
    .set({
      last_human_activity_at: sql`greatest(${conversations.last_human_activity_at}, ${at.toISOString()}::timestamptz)`,
      version: sql`${conversations.version} + 1`,
      updated_at: at,
    })
    .where(and(eq(conversations.org_id, org_id), eq(conversations.id, id)))
}

export function markAnswered(org_id: string, id: string, at: Date) {
  return q
    .update(conversations)
    .set({
      status: sql`case when ${conversations.status} = 'open' then 'waiting' else ${conversations.status} end`,
      last_message_at: sql`greatest(${conversations.last_message_at}, ${at.toISOString()}::timestamptz)`,
      version: sql`${conversations.version} + 1`,
      updated_at: at,
    })
    .where(and(eq(conversations.org_id, org_id), eq(conversations.id, id)))
}

/** Fails on the conversation's foreign key where there is none of that id (see `isUnknownConversation`). */
export function insertComment(row: typeof comments.$inferInsert) {
  return q.insert(comments).values(row)
}

export function isUnknownConversation(error: unknown): boolean {
  return (
    error instanceof DatabaseError &&
    error.code === '23503' &&
    error.constraint === 'comments_org_id_conversation_id_conversations_org_id_id_fk'
  )
}

export function insertMessage(row: typeof messages.$inferInsert) {
  return q.insert(messages).values(row).onConflictDoNothing()
}

export function exists(id: string) {
  return q.select({ id: conversations.id }).from(conversations).where(eq(conversations.id, id))
}

export function listMessages(conversation_id: string, limit: number, after: Cursor | null) {
  return q
    .select({
      id: messages.id,
      conversation_id: messages.conversation_id,
      direction: messages.direction,
      channel: messages.channel,
      message_id: messages.message_id,
      in_reply_to: messages.in_reply_to,
      from_email: messages.from_email,
      from_name: messages.from_name,
      to: messages.to,
      cc: messages.cc,
      subject: messages.subject,
      text: messages.text,
      stripped_text: messages.stripped_text,
      hidden_text: messages.hidden_text,
      attachments: messages.attachments,
      classification: messages.classification,
      verdicts: messages.verdicts,
      no_auto_reply: messages.no_auto_reply,
      dmarc: messages.dmarc,
      send_id: messages.send_id,
      author_id: messages.author_id,
      sent_at: messages.sent_at,
      received_at: messages.received_at,
    })
    .from(messages)
    .where(
      and(eq(messages.conversation_id, conversation_id), isAfter(messages.received_at, messages.id, after)),
    )
    .orderBy(asc(messages.received_at), asc(messages.id))
    .limit(limit)
}

export function listComments(conversation_id: string, limit: number, after: Cursor | null) {
  return selectComments()
    .where(
      and(eq(comments.conversation_id, conversation_id), isAfter(comments.created_at, comments.id, after)),
    )
    .orderBy(asc(comments.created_at), asc(comments.id))
    .limit(limit)
}

export function findComment(id: string) {
  return selectComments().where(eq(comments.id, id))
}

function selectComments() {
  return q
    .select({
      id: comments.id,
      conversation_id: comments.conversation_id,
      author: { id: users.id, name: users.name },
      body: comments.body,
      created_at: comments.created_at,
    })
    .from(comments)
    .innerJoin(users, and(eq(users.org_id, comments.org_id), eq(users.id, comments.author_id)))
}
