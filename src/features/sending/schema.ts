import { lineField, proseField } from '#http/fields'
import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import { sendKinds, sendStates, templateKinds, transportNames } from '#kernel/vocabulary'
import { MAX_BODY, MAX_SUBJECT } from './policy/render-template'

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
    delivered_at: instantOut
      .nullable()
      .openapi({ description: "The recipient's server took it, as the provider reports" }),
    bounced_at: instantOut.nullable(),
    bounce: bounceOut.nullable(),
    complained_at: instantOut.nullable().openapi({ description: 'The recipient called it spam' }),
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

/** As Postmark writes it; what is read of it depends on its kind. Inbound mail has no `RecordType`, and its own path. */
export const postmarkEventIn = z
  .looseObject({ RecordType: z.string().min(1).max(50) })
  .openapi('PostmarkEvent', {
    example: {
      RecordType: 'Delivery',
      ServerID: 23,
      MessageStream: 'outbound',
      MessageID: '883953f4-6105-42a2-a16a-77a8eac79483',
      Recipient: 'ada@example.com',
      Tag: 'welcome',
      DeliveredAt: '2026-11-20T09:30:00.0000000Z',
      Details: 'Test',
      Metadata: { send_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11' },
    },
  })

export const postmarkEventOut = z
  .object({
    status: z
      .enum(['recorded', 'queued', 'ignored'])
      .openapi({ description: '`queued`: kept until the database answers' }),
  })
  .openapi('PostmarkEventResult')

export const kindParam = z.object({
  kind: z.enum(templateKinds).openapi({ param: { name: 'kind', in: 'path' } }),
})

const subjectField = lineField(MAX_SUBJECT).openapi({
  example: 'Thank you, {{ contact_name | default: "and welcome" }}',
})
const bodyField = proseField(MAX_BODY).min(1).openapi({
  example:
    'Hello,\n\nyour inquiry has reached us. We answer within one working day.\n\n{{ organization_name }}',
})

export const mailTemplateIn = z
  .strictObject({ subject: subjectField, body: bodyField })
  .openapi('MailTemplateInput')

export const previewIn = mailTemplateIn
  .partial()
  .openapi('MailTemplatePreviewInput', { example: { subject: 'Thank you for your inquiry' } })

export const previewOut = z.object({ subject: z.string(), text: z.string() }).openapi('MailTemplatePreview', {
  example: { subject: 'Thank you for your inquiry', text: 'Hello,\n\nyour inquiry has reached us.' },
})

const templateVariableOut = z
  .object({
    name: z.string(),
    description: z.string(),
    from_outside: z
      .boolean()
      .openapi({ description: 'Written by whoever filled in the form: one line, with links taken apart' }),
  })
  .openapi('MailTemplateVariable', {
    example: { name: 'contact_name', description: 'The name that was given', from_outside: true },
  })

export const mailTemplateOut = z
  .object({
    kind: z.enum(templateKinds),
    subject: z.string(),
    body: z.string(),
    built_in: z.boolean().openapi({ description: 'Our own words: the organization has saved none' }),
    variables: z.array(templateVariableOut),
    updated_by: z.uuid().nullable(),
    updated_at: instantOut.nullable(),
  })
  .openapi('MailTemplate')

export const mailTemplatePage = pageOf(mailTemplateOut).openapi('MailTemplatePage')
