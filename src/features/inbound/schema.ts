import { instantField, lineField } from '#http/fields'
import { instantOut, pageOf, z } from '#http/openapi'
import { HONEYPOT, RENDER_TOKEN, TURNSTILE } from './policy/form-fields'
import { languages } from './policy/form-texts'

const line = (max: number) => z.string().trim().max(max)

const customFields = z
  .record(z.string().max(60), z.union([z.string().max(2000), z.number(), z.boolean(), z.null()]))
  .refine((fields) => Object.keys(fields).length <= 50, 'has more than 50 fields')

export const slugParam = z.object({
  company_slug: z
    .string()
    .min(1)
    .max(100)
    .openapi({ param: { name: 'company_slug', in: 'path' }, example: 'demo' }),
})

const few = (fields: object) => Object.keys(fields).length <= 20
const FEW = 'has more than 20 fields'
const utm = z.record(z.string().max(60), z.string().max(500)).refine(few, FEW)
const consent = z.record(z.string().max(60), z.boolean()).refine(few, FEW)

export const formInput = z
  .strictObject({
    email: line(254).min(3),
    name: line(200).optional(),
    phone: line(50).optional(),
    company: line(200).optional(),
    service: line(200).optional(),
    message: z.string().max(20_000).optional(),
    page_url: line(2000).optional(),
    utm: utm.optional(),
    consent: consent.optional(),
    custom: customFields.optional(),
    [RENDER_TOKEN]: z.string().max(200).optional().openapi({
      description: 'render_token of GET /lead/{company_slug}: proves when the form was drawn',
    }),
    [HONEYPOT]: z.string().max(20_000).optional().openapi({
      description: 'Hidden from people: whoever fills it in is a program, and the lead is kept as spam',
    }),
    [TURNSTILE]: z
      .string()
      .max(4000)
      .optional()
      .openapi({ description: 'The token of the Turnstile widget with the action "lead"' }),
  })
  .openapi('FormLead', {
    example: {
      email: 'ada@buyer.test',
      name: 'Ada',
      company: 'Buyer Ltd',
      message: 'What do 10 seats cost?',
    },
  })

export type FormLead = z.infer<typeof formInput>

export const formQuery = z.object({
  lang: z
    .string()
    .max(35)
    .optional()
    .openapi({ description: 'en, de, fr or es; else the language that the browser asks for' }),
})

export const formSettings = z
  .object({
    name: z.string().nullable().openapi({ description: 'Of the organization; null while it is not known' }),
    language: z.enum(languages),
    render_token: z.string().openapi({ description: 'Goes into the field _t' }),
    turnstile_site_key: z.string().nullable().openapi({ description: 'null: no Turnstile is asked for' }),
    honeypot: z.string().openapi({ description: 'A field to hide from people', example: HONEYPOT }),
    fields: z.array(
      z.object({
        name: z.string(),
        label: z.string(),
        type: z.enum(['text', 'email', 'tel', 'textarea']),
        required: z.boolean(),
        autocomplete: z.string(),
        max_length: z.int(),
      }),
    ),
    texts: z.record(z.string(), z.string()).openapi({ example: { submit: 'Send message' } }),
  })
  .openapi('FormSettings')
export type FormSettings = z.infer<typeof formSettings>

export const receivedLead = z
  .object({
    leadId: z.uuid(),
    timestamp: z.iso.datetime().openapi({ description: 'When it reached us' }),
    status: z
      .enum(['received', 'queued'])
      .openapi({ description: 'queued: kept safe while the database is down; its id stays the same' }),
  })
  .openapi('ReceivedLead', {
    example: {
      leadId: '0190a5e2-7c3b-8b8e-9c3e-0f6f2f6c1a11',
      timestamp: '2026-11-20T09:30:00.000Z',
      status: 'received',
    },
  })

export const idempotencyHeader = z.object({
  'idempotency-key': z
    .string()
    .min(1)
    .max(255)
    .optional()
    .openapi({ param: { name: 'idempotency-key', in: 'header' } }),
})

// A site's backend

export const postedLead = z
  .strictObject({
    request_id: z
      .string()
      .regex(/^[ -~]{1,255}$/, 'must be 1 to 255 ASCII characters')
      .optional()
      .openapi({ description: 'Names the inquiry where no Idempotency-Key does' }),
    // Judged where it is made what we compare by: once.
    email: line(254).openapi({ format: 'email', example: 'ada@example.com' }),
    name: line(200).optional(),
    phone: line(50).optional(),
    company: line(200).optional(),
    service: line(200).optional(),
    message: z.string().max(20_000).optional(),
    source: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, 'must be a word of at most 40 letters, digits, ., _ and -')
      .default('api')
      .openapi({ description: 'Where the lead came in, in a word of yours' }),
    page_url: line(2000).optional(),
    utm: utm.optional(),
    consent: consent.optional(),
    custom: customFields.optional(),
  })
  .openapi('PostedLead', {
    example: {
      request_id: 'order-form-20261120-17',
      email: 'ada@buyer.test',
      name: 'Ada Byron',
      phone: '+44 20 7946 0000',
      company: 'Buyer Ltd',
      service: 'Team plan',
      message: 'What do 10 seats cost?',
      source: 'website',
      page_url: 'https://www.example.com/pricing',
      utm: { source: 'newsletter', campaign: 'autumn' },
      consent: { marketing: false },
      custom: { seats: 10 },
    },
  })
export type PostedLead = z.infer<typeof postedLead>

export const newSiteToken = z
  .strictObject({ name: lineField(100).openapi({ example: 'Website backend' }) })
  .openapi('NewSiteToken')

const siteTokenOut = z
  .object({
    id: z.uuid(),
    name: z.string(),
    hint: z.string().openapi({ description: 'Its last four characters', example: 'k3Xw' }),
    created_by: z.uuid().nullable(),
    created_at: instantOut,
    last_used_at: instantOut.nullable().openapi({ description: 'To the minute' }),
    revoked_at: instantOut.nullable(),
  })
  .openapi('SiteToken')
export type SiteTokenOut = z.infer<typeof siteTokenOut>

export const siteTokenPage = pageOf(siteTokenOut).openapi('SiteTokenPage')

export const createdSiteToken = siteTokenOut
  .extend({ token: z.string().openapi({ description: 'Shown this once', example: 'inlet_site_…' }) })
  .openapi('CreatedSiteToken')

// Channels and routed mail

export const channelParam = z.object({
  channel: z
    .string()
    .max(50)
    .openapi({
      param: { name: 'channel', in: 'path' },
      description: 'email, whatsapp, sms, instagram, telegram, webchat or generic',
      example: 'whatsapp',
    }),
})

export const channelMessage = z
  .strictObject({
    message_id: lineField(255)
      .refine((text) => text.isWellFormed(), 'holds half a character')
      .openapi({ description: 'By which the channel tells its messages apart' }),
    from: lineField(320).openapi({
      description: 'An address, a number, a user name or an id: who the sender is on this channel',
    }),
    from_name: line(200).optional(),
    subject: line(998).optional(),
    body: z.string().max(262_144),
    sent_at: instantField.optional().openapi({
      description: 'When it was sent, as its sender says; deadlines run from when it reached us',
    }),
  })
  .openapi('ChannelMessage', {
    example: {
      message_id: 'wamid.HBgLNDQ3OTQ2MDAwMA',
      from: '+44 20 7946 0000',
      from_name: 'Ada',
      body: 'What do 10 seats cost?',
      sent_at: '2026-11-20T09:30:00Z',
    },
  })
export type ChannelMessage = z.infer<typeof channelMessage>

export const receivedMessage = z
  .object({
    status: z
      .enum(['received', 'duplicate', 'queued'])
      .openapi({ description: 'queued: kept safe while the database is down' }),
    message_id: z.uuid().optional().openapi({ description: 'Ours; not known yet while it is queued' }),
    lead_id: z.uuid().optional(),
  })
  .openapi('ReceivedMessage', {
    example: {
      status: 'received',
      message_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11',
      lead_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a12',
    },
  })
export type ReceivedMessage = z.infer<typeof receivedMessage>

export const receivedMail = z
  .object({
    status: z.enum(['received', 'duplicate', 'queued', 'unrouted', 'ignored']).openapi({
      description:
        'unrouted: kept for the operator, because nothing tells which organization it is for; ignored: a test of the webhook',
    }),
  })
  .openapi('ReceivedMail', { example: { status: 'received' } })
export type ReceivedMail = z.infer<typeof receivedMail>
