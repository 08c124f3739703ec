// A message that has arrived, made by the same SQL function as in production.
import { sql } from 'drizzle-orm'
import { raw } from '#db/client'
import type { TestOrganization, World } from './world'

export interface Arrival {
  message_id: string
  conversation_id: string
  contact_id: string
  lead_id: string
  draft_id: string
  notice_id: string
}

export async function arrive(
  world: World,
  organization: TestOrganization,
  given: {
    email?: string
    name?: string
    company?: string
    subject?: string
    text?: string
    source?: string
    at?: Date
    verdicts?: { rule: string; passed: boolean; detail: string }[]
  } = {},
): Promise<Arrival> {
  const ctx = world.ctx()
  const id = () => ctx.newId()
  const ids = {
    contact: id(),
    conversation: id(),
    message: id(),
    lead: id(),
    draft: id(),
    notice: id(),
    suppression: id(),
    audit: id(),
    message_event: id(),
    lead_event: id(),
    draft_event: id(),
  }
  const now = world.clock.now()
  const email = given.email ?? `ada-${ids.contact.slice(-8)}@buyer.test`
  const text = given.text ?? 'What do ten seats cost?'
  const input = {
    now: now.toISOString(),
    actor: 'test',
    ids,
    source: given.source ?? 'email',
    slack_configured: true,
    contact: {
      email,
      email_norm: email,
      name: given.name ?? 'Ada',
      company: given.company ?? null,
      phone: null,
    },
    message: {
      channel: 'form',
      received_at: (given.at ?? now).toISOString(),
      message_id: `<${ids.message}@buyer.test>`,
      from_email: email,
      from_name: given.name ?? 'Ada',
      subject: given.subject ?? 'Pricing?',
      text,
      stripped_text: text,
      references: [],
      classification: 'human',
      verdicts: given.verdicts ?? [],
      dmarc: 'pass',
    },
  }
  await world
    .ctx()
    .db.org({ org_id: organization.id, visibility: 'all' })
    .batch([raw(sql`select ingest_inbound(${JSON.stringify(input)}::jsonb) as result`)])
  return {
    message_id: ids.message,
    conversation_id: ids.conversation,
    contact_id: ids.contact,
    lead_id: ids.lead,
    draft_id: ids.draft,
    notice_id: ids.notice,
  }
}
