import { emailField } from '#http/fields'
import { instantOut, z } from '#http/openapi'
import { mailboxProviders, mailboxStatuses } from '#kernel/vocabulary'

export const providerParam = z.object({
  provider: z.enum(mailboxProviders).openapi({ param: { name: 'provider', in: 'path' } }),
})
export const clientProviderParam = providerParam.extend({
  id: z.uuid().openapi({ param: { name: 'id', in: 'path' } }),
})

export const connectInput = z
  .strictObject({
    mailbox_id: z
      .uuid()
      .optional()
      .openapi({ description: 'Reconnect this mailbox: only its account may come back' }),
    email: emailField.optional().openapi({ description: 'Only this address may be connected' }),
  })
  .openapi('ConnectInput')

export const connectOut = z
  .object({ authorization_url: z.url(), expires_at: instantOut })
  .openapi('Authorization', {
    example: {
      authorization_url: 'https://accounts.google.com/o/oauth2/v2/auth?…',
      expires_at: '2026-11-20T09:40:00.000Z',
    },
  })

const mailboxError = z
  .object({ code: z.string(), message: z.string(), at: z.string() })
  .openapi('MailboxError')

export const mailboxOut = z
  .object({
    id: z.uuid(),
    provider: z.enum(mailboxProviders),
    email: z.string(),
    send_as: z.array(z.string()),
    status: z.enum(mailboxStatuses),
    push: z.enum(['on', 'off']),
    auto_send: z.boolean(),
    daily_cap: z.int(),
    sequence_daily_cap: z.int(),
    sequence_gap_seconds: z.int(),
    watch_expires_at: instantOut.nullable(),
    last_synced_at: instantOut.nullable(),
    last_push_at: instantOut.nullable(),
    last_error: mailboxError.nullable(),
    connected_at: instantOut.nullable(),
    disconnected_at: instantOut.nullable(),
    created_at: instantOut,
    updated_at: instantOut,
  })
  .openapi('Mailbox')

export const mailboxList = z
  .object({ data: z.array(mailboxOut), next_cursor: z.string().nullable() })
  .openapi('MailboxList')

export const mailboxPatch = z
  .strictObject({
    auto_send: z.boolean().optional(),
    daily_cap: z.int().min(0).max(10_000).optional(),
    sequence_daily_cap: z.int().min(0).max(2_000).optional(),
    sequence_gap_seconds: z.int().min(0).max(86_400).optional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, 'names nothing to change')
  .openapi('MailboxPatch', { example: { auto_send: false } })

export const syncOut = z
  .object({ ingested: z.int(), known: z.int(), dead: z.int(), recovered_gap: z.boolean() })
  .openapi('SyncReport')

const gapOut = z
  .object({
    id: z.uuid(),
    searched_from_at: instantOut,
    detected_at: instantOut,
    closed_at: instantOut.nullable(),
    recovered: z.int(),
  })
  .openapi('MailboxGap')

export const connectionStatusOut = z
  .object({
    mailboxes: z.array(
      z
        .object({
          id: z.uuid(),
          provider: z.enum(mailboxProviders),
          email: z.string(),
          status: z.enum(mailboxStatuses),
          push: z.enum(['on', 'off']),
          watch_expires_at: instantOut.nullable(),
          last_synced_at: instantOut.nullable(),
          last_push_at: instantOut.nullable(),
          cursor_age_seconds: z.int().nullable(),
          gaps: z.array(gapOut),
          last_error: mailboxError.nullable(),
        })
        .openapi('MailboxConnection'),
    ),
  })
  .openapi('ConnectionStatus')

// Strict: a misspelt field must not disconnect all of them.
export const disconnectInput = z
  .strictObject({
    mailbox_id: z.uuid().optional().openapi({ description: 'Without it, all mailboxes of the organization' }),
  })
  .openapi('DisconnectInput')
export const disconnectOut = z.object({ disconnected: z.array(z.uuid()) }).openapi('DisconnectOut')

/** Pub/Sub's envelope; `data` is base64 of `{ emailAddress, historyId }`. */
export const pushInput = z
  .object({
    message: z.object({ data: z.string().max(10_000), messageId: z.string().max(200).optional() }),
    subscription: z.string().max(500).optional(),
  })
  .openapi('GmailPush')

export const callbackQuery = z.object({
  state: z.string().max(500).optional(),
  code: z.string().max(4000).optional(),
  error: z.string().max(200).optional(),
})
