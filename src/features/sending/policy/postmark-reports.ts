// Postmark's webhooks about mail that has left: one URL may get every kind. Pure.
import * as z from 'zod'
import { isStorable } from '#kernel/clock'
import type { MailEventKind } from '#kernel/vocabulary'

/** What a report does to its send (SQL: apply_mail_event). `none`: it is kept, and says nothing of the mail. */
type ReportEffect = 'delivered' | 'bounced' | 'complained' | 'unsubscribed' | 'reactivated' | 'none'

export interface MailReport {
  /** The provider's own identity of the report. */
  dedupe_key: string
  kind: MailEventKind
  send_id: string | null
  provider_message_id: string | null
  recipient: string | null
  occurred_at: Date
  /** No text of the mail or of a server, which may hold addresses. */
  detail: {
    effect: ReportEffect
    org_id: string | null
    type: string | null
    bounce?: { hard: boolean; status: string | null; detail: string }
  }
}

export type ReadReport =
  | { outcome: 'report'; report: MailReport }
  /** A kind that we did not ask for, or a test post. */
  | { outcome: 'ignored' }
  | { outcome: 'unreadable'; path: string }

const instant = z.iso
  .datetime({ offset: true })
  .refine(isStorable)
  .transform((text) => new Date(text))
/** What Postgres cannot hold would hold up all that the buffer stores with it. */
const line = (max: number) =>
  z.string().transform((given) =>
    given
      .replace(/\p{Cc}+/gu, ' ')
      .toWellFormed()
      .trim()
      .slice(0, max),
  )
const token = z.string().regex(/^[\w.:@+-]{1,100}$/)
/** 64 bits, which JSON.parse may round. */
const id = z.union([z.number().nonnegative(), token]).transform(String)
const metadata = z
  .object({ send_id: z.uuid().optional().catch(undefined), org_id: z.uuid().optional().catch(undefined) })
  .optional()
  .catch(undefined)
const message = token.optional().catch(undefined)
const text = line(2000).optional().catch(undefined)
const address = line(320)

const delivery = z.object({
  MessageID: token,
  Recipient: address.default(''),
  DeliveredAt: instant,
  Metadata: metadata,
})
/** The unsubscription among the bounces has neither time nor address. */
const bounce = z.object({
  ID: id,
  Type: text,
  TypeCode: z.int().optional().catch(undefined),
  MessageID: message,
  Email: text,
  Details: text,
  Description: text,
  BouncedAt: instant.optional().catch(undefined),
  Inactive: z.boolean().default(false).catch(false),
  Metadata: metadata,
})
const subscription = z.object({
  MessageID: message,
  MessageStream: text,
  Recipient: address.pipe(z.string().min(1)),
  ChangedAt: instant,
  SuppressSending: z.boolean(),
  SuppressionReason: line(100).nullish().catch(null),
  Metadata: metadata,
})

const UNSUBSCRIBE = 16
const COMPLAINT = 100_001
/** Nobody reads there: an address that bounced, that is malformed, that somebody switched off. */
const hardTypes: readonly number[] = [1, 100_000, 100_002]
/** Subscribe, auto-responder, change of address, challenge: the mail has arrived. */
const arrivedTypes: readonly number[] = [32, 64, 128, 16_384]

/** `now` for the reports that name no time. */
export function readPostmarkReport(body: Record<string, unknown>, now: Date): ReadReport {
  switch (body['RecordType']) {
    case 'Delivery': {
      const read = delivery.safeParse(body)
      if (!read.success) return unreadable(read.error)
      const { MessageID, Recipient, DeliveredAt, Metadata } = read.data
      return report('delivery', `${MessageID}:${folded(Recipient)}`, Metadata, MessageID, {
        recipient: Recipient,
        occurred_at: DeliveredAt,
        effect: 'delivered',
        type: null,
      })
    }
    case 'Bounce':
    case 'SpamComplaint': {
      const read = bounce.safeParse(body)
      return read.success ? readBounce(body['RecordType'], read.data, now) : unreadable(read.error)
    }
    case 'SubscriptionChange': {
      const read = subscription.safeParse(body)
      if (!read.success) return unreadable(read.error)
      const { MessageID, MessageStream, Recipient, ChangedAt, SuppressSending, SuppressionReason, Metadata } =
        read.data
      const key = [folded(Recipient), MessageStream ?? '', ChangedAt.toISOString(), SuppressSending].join(':')
      return report('subscription', key, Metadata, MessageID, {
        recipient: Recipient,
        occurred_at: ChangedAt,
        effect: SuppressSending ? suppressionEffect(SuppressionReason ?? null) : 'reactivated',
        type: SuppressionReason ?? null,
      })
    }
    default:
      return { outcome: 'ignored' }
  }
}

function readBounce(record: 'Bounce' | 'SpamComplaint', read: z.infer<typeof bounce>, now: Date): ReadReport {
  const { ID, Type, TypeCode, MessageID, Email, Details, Description, BouncedAt, Inactive, Metadata } = read
  const common = { recipient: Email ?? null, occurred_at: BouncedAt ?? now, type: Type ?? null }
  if (record === 'SpamComplaint' || TypeCode === COMPLAINT)
    // The same complaint by either door is one.
    return report('complaint', `complaint:${ID}`, Metadata, MessageID, { ...common, effect: 'complained' })
  const key = `bounce:${ID}`
  if (TypeCode === UNSUBSCRIBE)
    return report('bounce', key, Metadata, MessageID, { ...common, effect: 'unsubscribed' })
  if (TypeCode !== undefined && arrivedTypes.includes(TypeCode))
    return report('bounce', key, Metadata, MessageID, { ...common, effect: 'none' })
  return report('bounce', key, Metadata, MessageID, {
    ...common,
    effect: 'bounced',
    bounce: {
      hard: Inactive && TypeCode !== undefined && hardTypes.includes(TypeCode),
      status: /\b([245]\.\d{1,3}\.\d{1,3})\b/.exec(Details ?? '')?.[1] ?? null,
      detail: (Description ?? Type ?? 'Bounced').slice(0, 300),
    },
  })
}

/** A bounce or a complaint that stops the address tells so by itself too; said once more, it stays what it is. */
function suppressionEffect(reason: string | null): ReportEffect {
  if (reason === 'SpamComplaint') return 'complained'
  return reason === 'HardBounce' ? 'none' : 'unsubscribed'
}

function report(
  kind: MailEventKind,
  key: string,
  metadata: { send_id?: string | undefined; org_id?: string | undefined } | undefined,
  message_id: string | undefined,
  what: {
    recipient: string | null
    occurred_at: Date
    effect: ReportEffect
    type: string | null
    bounce?: NonNullable<MailReport['detail']['bounce']>
  },
): ReadReport {
  const provider_message_id = message_id === undefined || NOBODY.test(message_id) ? null : message_id
  const send_id = metadata?.send_id ?? null
  // Postmark's test posts are about a mail that never was. A subscription may change without one.
  if (provider_message_id === null && send_id === null && kind !== 'subscription')
    return { outcome: 'ignored' }
  const { occurred_at, recipient, effect, type, bounce } = what
  const detail = { effect, org_id: metadata?.org_id ?? null, type, ...(bounce ? { bounce } : {}) }
  return {
    outcome: 'report',
    report: {
      dedupe_key: key,
      kind,
      send_id,
      provider_message_id,
      recipient: recipient === null ? null : folded(recipient),
      occurred_at,
      detail,
    },
  }
}

const NOBODY = /^[0-]*$/

function folded(address: string): string {
  return address.trim().toLowerCase()
}

function unreadable(error: z.ZodError): ReadReport {
  return { outcome: 'unreadable', path: error.issues[0]?.path.map(String).join('.') ?? '' }
}
