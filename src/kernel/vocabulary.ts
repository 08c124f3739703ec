// Every enumerated value of the product, declared once: zod, SQL checks and the console read these arrays.

export const roles = ['owner', 'admin', 'manager', 'agent'] as const
export type Role = (typeof roles)[number]

export const mailboxProviders = ['google', 'microsoft'] as const
export type MailboxProviderName = (typeof mailboxProviders)[number]

export const mailboxStatuses = [
  'connecting',
  'connected',
  'needs_scopes',
  'reconnect_required',
  'paused',
  'disconnected',
] as const
export type MailboxStatus = (typeof mailboxStatuses)[number]

export const channels = [
  'email',
  'form',
  'whatsapp',
  'sms',
  'instagram',
  'telegram',
  'webchat',
  'generic',
] as const
export type Channel = (typeof channels)[number]

export const conversationStatuses = ['open', 'waiting', 'closed', 'ignored'] as const
export type ConversationStatus = (typeof conversationStatuses)[number]

export const directions = ['inbound', 'outbound'] as const

export const mailClassifications = ['human', 'automated', 'bounce', 'list', 'own'] as const
export type MailClassification = (typeof mailClassifications)[number]

export const leadStatuses = [
  'received',
  'processing',
  'contacted',
  'qualified',
  'won',
  'lost',
  'spam',
] as const
export type LeadStatus = (typeof leadStatuses)[number]

/** What makes the form doubt its writer; the first two make the lead spam. */
export const leadSignals = ['honeypot', 'too_fast', 'turnstile_unverified'] as const
export type LeadSignal = (typeof leadSignals)[number]

/** Tables whose rows an organization may let expire. */
export const retainedTables = ['leads', 'conversations', 'sends', 'events', 'notifications'] as const
export type RetainedTable = (typeof retainedTables)[number]

export const aiProviders = ['heuristic', 'income', 'openai'] as const
export type AiProviderName = (typeof aiProviders)[number]

export const replyModes = ['off', 'draft', 'auto'] as const
export type ReplyMode = (typeof replyModes)[number]

/** `pending` waits for the AI, `ready` for a person; `approved` has a send. */
export const draftStatuses = ['pending', 'ready', 'approved', 'rejected', 'superseded'] as const
export type DraftStatus = (typeof draftStatuses)[number]

export const draftDecisions = ['auto_send', 'needs_review', 'no_reply'] as const
export type DraftDecision = (typeof draftDecisions)[number]

export const draftCategories = ['inquiry', 'other', 'spam', 'unsafe'] as const
export type DraftCategory = (typeof draftCategories)[number]

export const sendKinds = [
  'reply',
  'sequence',
  'assignment',
  'sla_reminder',
  'sla_breach',
  'welcome',
  'admin_alert',
  'operator_notice',
  'magic_link',
  'invitation',
  'password_reset',
] as const
export type SendKind = (typeof sendKinds)[number]

/** Kinds that go to a person outside; the others go to users of the organization and to operators. */
export const contactKinds = ['reply', 'sequence', 'welcome'] as const satisfies readonly SendKind[]

/** Kinds whose text holds a link that signs somebody in: for the mail's transport and nobody else. */
export const secretKinds = [
  'magic_link',
  'invitation',
  'password_reset',
] as const satisfies readonly SendKind[]

export const sendStates = [
  'scheduled',
  'claimed',
  'sending',
  'sent',
  'failed',
  'unknown',
  'review',
  'skipped',
] as const
export type SendState = (typeof sendStates)[number]

/** `email_hash`: an HMAC, for an address that was erased. */
export const suppressionKinds = ['email', 'domain', 'email_hash'] as const

/** Suppressed by their own wish, and not because mail to them cannot or must not arrive. */
export const optOutReasons = ['unsubscribed', 'unsubscribed_at_provider'] as const

/** Mails whose words an organization may choose. */
export const templateKinds = ['welcome', 'admin_alert'] as const satisfies readonly SendKind[]
export type TemplateKind = (typeof templateKinds)[number]

/** What a mail provider tells of a mail after it took it. */
export const mailEventKinds = ['delivery', 'bounce', 'complaint', 'subscription'] as const
export type MailEventKind = (typeof mailEventKinds)[number]

export const transportNames = ['mailbox', 'outbox', 'postmark', 'smtp'] as const
export type TransportName = (typeof transportNames)[number]

export const noticeKinds = ['lead_outcome', 'mailbox_reconnect_required'] as const

export const noticeStates = ['pending', 'sent', 'failed'] as const

export const actorTypes = ['user', 'operator', 'system'] as const
