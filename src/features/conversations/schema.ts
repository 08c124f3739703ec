import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import {
  channels,
  conversationStatuses,
  directions,
  leadStatuses,
  mailClassifications,
} from '#kernel/vocabulary'

export const conversationsQuery = pageQuery
  .extend({
    status: z.enum(conversationStatuses).optional(),
    channel: z.enum(channels).optional(),
    assignee_id: z.uuid().optional(),
    q: z.string().trim().min(1).max(200).optional(),
  })
  .openapi('ConversationsQuery')

const contactRef = z
  .object({ id: z.uuid(), email: z.string().nullable(), name: z.string().nullable() })
  .openapi('ContactRef')

const leadRef = z.object({ id: z.uuid(), status: z.enum(leadStatuses) }).openapi('LeadRef')

const messagePreview = z
  .object({ id: z.uuid(), direction: z.enum(directions), preview: z.string(), received_at: instantOut })
  .openapi('MessagePreview')

export const conversationOut = z
  .object({
    id: z.uuid(),
    channel: z.enum(channels),
    mailbox_id: z.uuid().nullable(),
    subject: z.string(),
    status: z.enum(conversationStatuses),
    assignee_id: z.uuid().nullable(),
    last_message_at: instantOut,
    last_inbound_at: instantOut.nullable(),
    last_human_activity_at: instantOut.nullable(),
    version: z.int(),
    created_at: instantOut,
    updated_at: instantOut,
    contact: contactRef.nullable(),
    lead: leadRef.nullable(),
    latest_message: messagePreview.nullable(),
  })
  .openapi('Conversation')

export const conversationPage = pageOf(conversationOut).openapi('ConversationPage')

export const conversationChange = z
  .strictObject({
    status: z.enum(['open', 'waiting', 'closed']).optional(),
    assignee_id: z.uuid().nullable().optional(),
  })
  .openapi('ConversationChange', { example: { status: 'closed' } })

const verdictOut = z
  .object({ rule: z.string(), passed: z.boolean(), detail: z.string() })
  .openapi('MessageVerdict')

const addressOut = z.object({ email: z.string(), name: z.string() }).openapi('MessageAddress')

const attachmentOut = z
  .object({ filename: z.string(), mime_type: z.string(), size: z.int() })
  .openapi('MessageAttachment')

const messageOut = z
  .object({
    id: z.uuid(),
    conversation_id: z.uuid(),
    direction: z.enum(directions),
    channel: z.enum(channels),
    message_id: z.string().nullable(),
    in_reply_to: z.string().nullable(),
    from_email: z.string().nullable(),
    from_name: z.string().nullable(),
    to: z.array(addressOut),
    cc: z.array(addressOut),
    subject: z.string(),
    text: z.string().openapi({ description: 'Everything that was visible, quotes included' }),
    stripped_text: z.string().openapi({ description: 'What the person wrote in this message' }),
    hidden_text: z.string().openapi({ description: 'What the mail hid from its reader' }),
    attachments: z.array(attachmentOut),
    classification: z.enum(mailClassifications),
    verdicts: z.array(verdictOut).openapi({ description: 'Why it was classified so' }),
    no_auto_reply: z.array(verdictOut).openapi({ description: 'Rules that forbid an automatic answer' }),
    dmarc: z.enum(['pass', 'fail', 'none']).nullable(),
    send_id: z.uuid().nullable(),
    author_id: z.uuid().nullable(),
    sent_at: instantOut.nullable(),
    received_at: instantOut,
  })
  .openapi('Message')

export const messagePage = pageOf(messageOut).openapi('MessagePage')

export const commentIn = z
  .strictObject({ body: z.string().trim().min(1).max(10_000) })
  .openapi('CommentInput', { example: { body: 'She is the decision maker.' } })

export const commentOut = z
  .object({
    id: z.uuid(),
    conversation_id: z.uuid(),
    author: z.object({ id: z.uuid(), name: z.string() }).openapi('CommentAuthor'),
    body: z.string(),
    created_at: instantOut,
  })
  .openapi('Comment')

export const commentPage = pageOf(commentOut).openapi('CommentPage')

export type ConversationChange = z.infer<typeof conversationChange>
