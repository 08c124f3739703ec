import { domainOf, normalizeEmail } from '#kernel/email-address'
import type { TemplateKind } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { senderOf } from '../policy/outgoing-mail'
import { type Rendered, renderTemplate, type Template, type Values } from '../policy/render-template'
import { builtInTemplates, valuesFor } from '../policy/templates'
import { TEMPLATE_FAILED } from '../repo/finish'
import type { LeadFacts, NewSystemSend } from '../repo/system-mail'

type Worded = Rendered & { note: NewSystemSend['note'] }

/** The words of a mail about a lead. A template that does not work costs its own words, never the mail. */
export async function wordLeadMail(ctx: Ctx, kind: TemplateKind, lead: LeadFacts): Promise<Worded> {
  const pages = (ctx.config.FRONTEND_URL ?? ctx.config.BASE_URL).replace(/\/$/, '')
  const values = valuesFor(kind, {
    ...lead,
    lead_source: lead.source,
    lead_text: lead.text,
    lead_received_at: new Date(lead.received_at),
    lead_url: `${pages}/leads/${lead.id}`,
  })
  const own = lead.templates[kind]
  if (own === undefined) return { ...(await wordBuiltIn(builtInTemplates[kind], values)), note: null }
  const written = await renderTemplate(own, values)
  if (written.ok) return { ...written.value, note: null }
  const [{ path, line } = { path: 'body', line: 1 }] = written.problems
  ctx.log.warn('template.failed', { kind, path, line })
  const message = `The template for this mail does not work (${path}, line ${line}), so it has our own words.`
  const note = { code: TEMPLATE_FAILED, message, at: ctx.clock.now().toISOString() }
  return { ...(await wordBuiltIn(builtInTemplates[kind], values)), note }
}

async function wordBuiltIn(template: Template, values: Values): Promise<Rendered> {
  const written = await renderTemplate(template, values)
  if (!written.ok) throw new TypeError('Our own words for a mail do not work')
  return written.value
}

/** The address of whoever runs the installation; `null`: there is none. */
export function operatorAddress({ config }: Ctx): string | null {
  return config.ADMIN_EMAIL === undefined ? null : normalizeEmail(config.ADMIN_EMAIL)
}

type Given = Pick<
  NewSystemSend,
  'org_id' | 'kind' | 'conversation_id' | 'lead_id' | 'to_email' | 'dedupe_key' | 'created_by' | 'yields'
>

/** It leaves over the installation's own transport, from its own address. */
export function toSystemSend(ctx: Ctx, given: Given, { subject, text, note }: Worded): NewSystemSend {
  const id = ctx.newId()
  return {
    ...given,
    id,
    transport: ctx.config.MAIL_TRANSPORT,
    to_domain: domainOf(given.to_email),
    subject,
    text,
    message_id: `<${id}@${domainOf(senderOf(ctx.config))}>`,
    note,
  }
}
