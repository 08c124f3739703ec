// One inquiry, as a form or a backend posts it, made into what `ingest_inbound` takes. The same inquiry has the same lead id,
// whether it is stored at once or kept while the database is down.
import { canonicalJson } from '#kernel/canonical-json'
import { normalizeEmail } from '#kernel/email-address'
import { invalidField } from '#kernel/errors'
import { derivedUuid, sha256Hex } from '#platform/crypto'
import { normalizeBody } from '../policy/automated-signs'
import { cleanLine, cleanText } from './clean-text'
import type { Stored } from './store-inbound'

export interface Inquiry {
  email: string
  name?: string | undefined
  phone?: string | undefined
  company?: string | undefined
  service?: string | undefined
  message?: string | undefined
  page_url?: string | undefined
  utm?: Record<string, string> | undefined
  consent?: Record<string, boolean> | undefined
  custom?: Record<string, unknown> | undefined
}

export interface Arrival {
  /** Keys of one door never meet those of another: whoever fills in a form cannot take a backend's. */
  door: 'form' | 'api'
  source: string
  /** What the caller names the inquiry by. Without it the same body within ten minutes is the same inquiry. */
  key: string | undefined
  received_at: Date
}

type Prepared = Stored & { lead_key: string; request_hash: string }

/** Throws `invalid` for an address that no mail could be sent to. Text is cleaned, never refused. */
export async function prepareInquiry(
  posted: Inquiry,
  { door, source, key, received_at }: Arrival,
): Promise<Prepared> {
  const { email, name, phone, company, service, message, page_url, utm, consent, custom } = clean(posted)
  const email_norm = normalizeEmail(email)
  if (email_norm === null) throw invalidField('email', 'is not an e-mail address')
  const request_hash = await sha256Hex(
    canonicalJson({
      source,
      email,
      name,
      phone,
      company,
      service,
      message,
      page_url,
      utm,
      consent,
      custom,
    }),
  )
  const text = [message, service && `Service: ${service}`].filter((part) => part).join('\n\n')
  const body = normalizeBody(text)
  const from_name = name ?? null
  return {
    source,
    contact: { email, email_norm, name: from_name, company: company ?? null, phone: phone ?? null },
    message: {
      channel: 'form',
      from_email: email_norm,
      from_name,
      subject: service ?? '',
      text,
      stripped_text: text,
      body_hash: body === '' ? null : await sha256Hex(body),
      received_at: received_at.toISOString(),
    },
    custom: custom ?? {},
    ...(page_url === undefined ? {} : { page_url }),
    ...(utm === undefined ? {} : { utm }),
    ...(consent === undefined ? {} : { consent }),
    request_hash,
    lead_key: `${door}:${key ?? `${request_hash}:${Math.floor(received_at.getTime() / DEDUPE_MS)}`}`,
  }
}

const DEDUPE_MS = 10 * 60_000

/** As `ingest_inbound` derives it: the same in the buffer and in the database. */
export function leadIdOf(org_id: string, lead_key: string): Promise<string> {
  return derivedUuid(`lead:${org_id}:${lead_key}`)
}

/** What Postgres takes: one-line fields without control characters, no NUL and no half characters anywhere. */
function clean({ email, message, utm, consent, custom, ...lines }: Inquiry): Inquiry {
  return {
    email: email.trim(),
    name: line(lines.name),
    phone: line(lines.phone),
    company: line(lines.company),
    service: line(lines.service),
    page_url: line(lines.page_url),
    message: message === undefined ? undefined : cleanText(message),
    utm: fields(utm, (value) => cleanLine(value, MAX_LINE)),
    consent: fields(consent, (agreed) => agreed),
    custom: fields(custom, (value) => (typeof value === 'string' ? cleanText(value) : value)),
  }
}

const MAX_LINE = 2000

function line(value: string | undefined): string | undefined {
  return value === undefined ? undefined : cleanLine(value, MAX_LINE) || undefined
}

/** Entries and not assignments: `__proto__` is a name like any other. */
function fields<T>(
  named: Record<string, T> | undefined,
  cleanValue: (value: T) => T,
): Record<string, T> | undefined {
  if (named === undefined) return undefined
  return Object.fromEntries(
    Object.entries(named).map(([name, value]) => [cleanLine(name, MAX_LINE), cleanValue(value)]),
  )
}
