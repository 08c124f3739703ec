import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import { proseField } from '#http/fields'
import {
  aiProviders,
  channels,
  draftCategories,
  draftDecisions,
  draftStatuses,
  sendStates,
} from '#kernel/vocabulary'

const MAX_TEXT = 20_000

export const draftsQuery = pageQuery
  .extend({ status: z.enum(draftStatuses).optional() })
  .openapi('DraftsQuery')

const gateVerdict = z
  .object({ rule: z.string(), passed: z.boolean(), detail: z.string() })
  .openapi('GateVerdict', {
    example: { rule: 'confidence', passed: false, detail: 'The confidence is 0.55; 0.7 is needed.' },
  })

const draftMessage = z
  .object({
    id: z.uuid(),
    channel: z.enum(channels),
    from_email: z.string().nullable(),
    from_name: z.string().nullable(),
    subject: z.string(),
    text: z
      .string()
      .openapi({ description: 'What the sender wrote, without quotes; at most 4,000 characters' }),
    received_at: instantOut,
  })
  .openapi('DraftMessage')

const draftSend = z
  .object({
    id: z.uuid(),
    state: z.enum(sendStates),
    automatic: z.boolean(),
    next_attempt_at: instantOut.openapi({ description: 'While it is scheduled, the end of the undo window' }),
    skip_reason: z.string().nullable(),
    sent_at: instantOut.nullable(),
  })
  .openapi('DraftSend')

export const draftOut = z
  .object({
    id: z.uuid(),
    conversation_id: z.uuid(),
    lead_id: z.uuid().nullable(),
    status: z.enum(draftStatuses),
    decision: z.enum(draftDecisions).nullable(),
    text: z.string(),
    generated_text: z.string().openapi({ description: 'As the AI wrote it' }),
    edited: z.boolean(),
    provider: z.enum(aiProviders).nullable().openapi({ description: 'Who wrote it' }),
    model: z.string().nullable(),
    category: z.enum(draftCategories).nullable(),
    intent: z.string().nullable(),
    confidence: z.number().nullable(),
    needs_human: z.boolean().nullable(),
    reason: z.string().nullable(),
    price_guidance: z.string().nullable(),
    gate: z
      .array(gateVerdict)
      .openapi({ description: 'Every rule of the automatic decision, passed or not' }),
    ai_failure: z.object({ code: z.string(), message: z.string() }).openapi('AiFailure').nullable(),
    instruction: z.string().nullable(),
    reject_reason: z.string().nullable(),
    decided_by: z.uuid().nullable(),
    decided_at: instantOut.nullable(),
    generation: z.int(),
    version: z.int(),
    created_at: instantOut,
    updated_at: instantOut,
    message: draftMessage,
    send: draftSend.nullable(),
  })
  .openapi('Draft')

export const draftPage = pageOf(draftOut).openapi('DraftPage')

const replyText = proseField(MAX_TEXT).refine((text) => text.trim() !== '', 'must not be empty')

export const draftChange = z.strictObject({ text: replyText }).openapi('DraftChange', {
  example: { text: 'Hello Ada,\n\nThank you for your message.\n\nKind regards\nAcme' },
})

export const approveIn = z
  .strictObject({ text: replyText.optional().openapi({ description: 'Sent instead of the draft' }) })
  .openapi('ApproveDraft')

export const rejectIn = z
  .strictObject({ reason: z.string().trim().min(1).max(500).optional() })
  .openapi('RejectDraft', { example: { reason: 'wrong_tone' } })

export const regenerateIn = z
  .strictObject({ instruction: z.string().trim().min(1).max(2000).optional() })
  .openapi('RegenerateDraft', { example: { instruction: 'Shorter, and ask for a telephone number.' } })
