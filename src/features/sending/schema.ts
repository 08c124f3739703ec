import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import { sendKinds, sendStates, transportNames } from '#kernel/vocabulary'

export const sendsQuery = pageQuery
  .extend({
    kind: z.enum(sendKinds).optional(),
    state: z.enum(sendStates).optional(),
    to: z.string().trim().toLowerCase().min(1).max(254).optional(),
    lead_id: z.uuid().optional(),
  })
  .openapi('SendsQuery')

const sendErrorOut = z
  .object({ code: z.string(), message: z.string(), at: z.string() })
  .openapi('SendError', {
    example: { code: 'provider_unavailable', message: 'Gmail answered 503.', at: '2026-11-20T09:30:00.000Z' },
  })

const bounceOut = z
  .object({ hard: z.boolean(), status: z.string().nullable(), detail: z.string() })
  .openapi('Bounce', { example: { hard: true, status: '5.1.1', detail: 'No such user' } })

export const sendOut = z
  .object({
    id: z.uuid(),
    kind: z.enum(sendKinds),
    state: z.enum(sendStates),
    transport: z.enum(transportNames),
    automatic: z.boolean().openapi({ description: 'Nobody looked at it before it left' }),
    to: z.string(),
    to_name: z.string().nullable(),
    subject: z.string(),
    text: z.string().nullable().openapi({ description: 'Null where it holds a link that signs somebody in' }),
    mailbox_id: z.uuid().nullable(),
    conversation_id: z.uuid().nullable(),
    lead_id: z.uuid().nullable(),
    draft_id: z.uuid().nullable(),
    attempts: z.int(),
    next_attempt_at: instantOut,
    waits_because: z.string().nullable().openapi({ example: 'daily_cap' }),
    skip_reason: z.string().nullable().openapi({ example: 'newer_message' }),
    last_error: sendErrorOut.nullable(),
    send_started_at: instantOut.nullable(),
    sent_at: instantOut.nullable(),
    bounced_at: instantOut.nullable(),
    bounce: bounceOut.nullable(),
    created_by: z.uuid().nullable(),
    created_at: instantOut,
    updated_at: instantOut,
  })
  .openapi('Send')

export const sendPage = pageOf(sendOut).openapi('SendPage')

export const resolveIn = z
  .strictObject({ outcome: z.enum(['sent', 'retry', 'skip']) })
  .openapi('ResolveSend', { example: { outcome: 'sent' } })

export const answerIn = z
  .strictObject({ text: z.string().trim().min(1).max(100_000) })
  .openapi('AnswerConversation', { example: { text: 'Thank you, Tuesday at ten suits us.' } })
