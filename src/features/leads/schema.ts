import { instantField } from '#http/fields'
import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import {
  channels,
  conversationStatuses,
  draftCategories,
  draftDecisions,
  draftStatuses,
  leadSignals,
  leadStatuses,
  noticeStates,
  sendKinds,
  sendStates,
} from '#kernel/vocabulary'
import { MAX_CUSTOM_FIELDS } from './policy'

export const leadsQuery = pageQuery
  .extend({
    status: z.enum(leadStatuses).optional(),
    assignee_id: z.uuid().optional(),
    source: z.string().trim().min(1).max(100).optional(),
    q: z.string().trim().min(1).max(200).optional(),
    created_after: instantField.optional(),
  })
  .openapi('LeadsQuery')

const leadContact = z
  .object({
    id: z.uuid(),
    email: z.string().nullable(),
    name: z.string().nullable(),
    company: z.string().nullable(),
    phone: z.string().nullable(),
  })
  .openapi('LeadContact')

const leadConversation = z
  .object({
    id: z.uuid(),
    channel: z.enum(channels),
    subject: z.string(),
    status: z.enum(conversationStatuses),
    last_message_at: instantOut,
  })
  .openapi('LeadConversation')

export const leadOut = z
  .object({
    id: z.uuid(),
    status: z.enum(leadStatuses),
    source: z.string(),
    assignee_id: z.uuid().nullable(),
    received_at: instantOut,
    first_response_at: instantOut.nullable(),
    custom: z.record(z.string(), z.unknown()),
    signals: z.array(z.enum(leadSignals)).openapi({ description: 'What makes us doubt its writer' }),
    page_url: z.string().nullable(),
    utm: z.record(z.string(), z.string()).nullable(),
    consent: z.record(z.string(), z.boolean()).nullable(),
    version: z.int(),
    created_at: instantOut,
    updated_at: instantOut,
    contact: leadContact,
    conversation: leadConversation,
  })
  .openapi('Lead')

export const leadPage = pageOf(leadOut).openapi('LeadPage')

const reason = z.object({ code: z.string(), message: z.string() })

const gateVerdict = z
  .object({ rule: z.string(), passed: z.boolean(), detail: z.string() })
  .openapi('GateVerdict')

const leadDraft = z
  .object({
    id: z.uuid(),
    status: z.enum(draftStatuses),
    decision: z.enum(draftDecisions).nullable(),
    category: z.enum(draftCategories).nullable(),
    intent: z.string().nullable(),
    confidence: z.number().nullable(),
    needs_human: z.boolean().nullable(),
    reason: z.string().nullable(),
    gate: z.array(gateVerdict),
    ai_failure: reason.nullable(),
    send_id: z.uuid().nullable(),
    created_at: instantOut,
  })
  .openapi('LeadDraft')

const leadSend = z
  .object({
    id: z.uuid(),
    kind: z.enum(sendKinds),
    state: z.enum(sendStates),
    automatic: z.boolean(),
    subject: z.string(),
    attempts: z.int(),
    next_attempt_at: instantOut,
    waits_because: z.string().nullable(),
    skip_reason: z.string().nullable(),
    last_error: reason.extend({ at: z.string() }).nullable(),
    sent_at: instantOut.nullable(),
    bounced_at: instantOut.nullable(),
    created_at: instantOut,
  })
  .openapi('LeadSend')

const leadNotice = z
  .object({
    channel: z.enum(['slack']),
    state: z.enum(noticeStates),
    attempts: z.int(),
    last_error: reason.nullable(),
    sent_at: instantOut.nullable(),
  })
  .openapi('LeadNotice')

export const leadDetailOut = leadOut
  .extend({
    draft: leadDraft.nullable().openapi({ description: 'The latest, with every verdict of the gate' }),
    sends: z.array(leadSend).openapi({ description: 'The latest 20, newest first' }),
    notices: z.array(leadNotice),
  })
  .openapi('LeadDetail')

export const leadChange = z
  .strictObject({
    status: z.enum(leadStatuses).optional(),
    assignee_id: z.uuid().nullable().optional(),
    custom: z
      .record(z.string().min(1).max(100), z.union([z.string().max(2000), z.number(), z.boolean(), z.null()]))
      .refine((fields) => Object.keys(fields).length <= MAX_CUSTOM_FIELDS, 'has too many fields')
      .optional()
      .openapi({ description: 'Fields to set; null removes one, others stay' }),
  })
  .openapi('LeadChange', { example: { status: 'qualified', custom: { budget: 5000 } } })

export type LeadChange = z.infer<typeof leadChange>
