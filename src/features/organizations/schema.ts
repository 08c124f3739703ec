import { lineField, proseField } from '#http/fields'
import { instantOut, z } from '#http/openapi'
import { isSlug } from '#kernel/slug'
import { aiProviders, replyModes, retainedTables } from '#kernel/vocabulary'
import { isHost, isOrigin, isTimezone, refuseWindows, weekdays } from './policy'

const window = z.tuple([z.string(), z.string()]).openapi({ example: ['09:00', '17:00'] })

const day = z
  .array(window)
  .max(6)
  .superRefine((windows, issues) => {
    const message = refuseWindows(windows)
    if (message !== null) issues.addIssue({ code: 'custom', message })
  })

const hoursMeta = {
  description:
    'Local times; a day that is not named is closed. A window that ends before it begins ends on the next day. null: always open.',
  example: {
    mon: [
      ['09:00', '12:30'],
      ['13:30', '17:00'],
    ],
    fri: [['09:00', '15:00']],
  },
}

const fields = {
  name: lineField(120).openapi({ example: 'Analytical Engines' }),
  slug: z
    .string()
    .refine(isSlug, 'must be 2 to 60 of a-z, 0-9 and -, and must not begin or end with -')
    .openapi({ example: 'analytical-engines', pattern: '^[a-z0-9][a-z0-9-]{0,58}[a-z0-9]$' }),
  timezone: z
    .string()
    .max(60)
    .refine(isTimezone, 'is no time zone of the IANA database')
    .openapi({ example: 'Europe/Berlin' }),
  business_hours: z.partialRecord(z.enum(weekdays), day).nullable().openapi(hoursMeta),
  sla_minutes: z
    .int()
    .min(1)
    .max(525_600)
    .nullable()
    .openapi({ description: 'null: the default of the installation', example: 120 }),
  ai_provider: z
    .enum(aiProviders)
    .nullable()
    .openapi({ description: 'null: the default of the installation' }),
  reply_mode: z.enum(replyModes),
  undo_seconds: z.int().min(0).max(86_400).openapi({ example: 60 }),
  from_name: lineField(100).nullable().openapi({ example: 'Ada of Analytical Engines' }),
  postal_address: proseField(500).nullable(),
  reply_instructions: proseField(10_000).openapi({
    description: 'What the AI may say about the organization: products, prices, tone',
  }),
  allowed_link_hosts: z.array(z.string().toLowerCase().refine(isHost, 'is no host name')).max(50),
  allowed_commitments: z.array(lineField(200)).max(50).openapi({
    description: 'Words about prices and promises that an automatic reply may use',
  }),
  retention_days: z
    .partialRecord(z.enum(retainedTables), z.int().min(1).max(3650))
    .nullable()
    .openapi({
      description:
        'Days after which rows are deleted, by table, once a day; what is not named is kept for good. A lead is as old as the last message of its conversation; a conversation goes with its messages, drafts and comments, but not before its lead or while a mail or a draft waits; sends that are over are kept for at least 30 days, because their link to unsubscribe has to work; events once they are dispatched, notifications once they are read.',
      example: { conversations: 730, sends: 365 },
    }),
  form_allowed_origins: z
    .array(z.string().refine(isOrigin, 'is no origin such as https://www.example.com'))
    .max(50)
    .openapi({
      description: 'Pages that may post the public form; none: any',
      example: ['https://www.example.com'],
    }),
  form_redirect_url: z
    .url({ protocol: /^https?$/ })
    .max(2000)
    .nullable()
    .openapi({
      description: 'Where a browser goes after it posted the form; null: a small page of ours',
    }),
  welcome_mail: z.boolean().openapi({ description: 'Whether who filled in a form gets an acknowledgement' }),
}

const slackWebhook = z.url().max(500).nullable().openapi({
  description: 'Write-only; null removes it',
  example: 'https://hooks.slack.com/services/T0/B0/X0',
})

export const organizationOut = z
  .object({
    id: z.uuid(),
    ...fields,
    // What is stored was judged when it was written.
    business_hours: z.record(z.string(), z.array(window)).nullable().openapi(hoursMeta),
    slack_webhook_configured: z.boolean(),
    created_at: instantOut,
    updated_at: instantOut,
  })
  .openapi('Organization')
export type OrganizationOut = z.infer<typeof organizationOut>

export const organizationChange = z
  .strictObject({ ...fields, slack_webhook_url: slackWebhook })
  .partial()
  .openapi('OrganizationChange', {
    example: { reply_mode: 'auto', undo_seconds: 30, timezone: 'Europe/Berlin' },
  })
export type OrganizationChange = z.infer<typeof organizationChange>

/** For the operator, who makes organizations. */
export const newOrganization = organizationChange
  .required({ name: true })
  .openapi('NewClient', { example: { name: 'Analytical Engines', reply_mode: 'draft' } })
export type NewOrganization = z.infer<typeof newOrganization>
