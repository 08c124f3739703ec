// The mails that an organization may word itself: our own words for them, and what they may name.
import type { TemplateKind } from '#kernel/vocabulary'
import { harmless, type Template, type Values } from './render-template'

export interface TemplateVariable {
  name: string
  description: string
  /** Written by whoever filled in the form, who may be anybody. */
  from_outside: boolean
  sample: string
}

const organization: readonly TemplateVariable[] = [
  {
    name: 'organization_name',
    description: 'The name of the organization',
    from_outside: false,
    sample: 'Analytical Engines',
  },
  {
    name: 'postal_address',
    description: 'The postal address of the organization, if it has one',
    from_outside: false,
    sample: '12 St James Square, London',
  },
]

const contact: readonly TemplateVariable[] = [
  {
    name: 'contact_name',
    description: 'The name that was given',
    from_outside: true,
    sample: 'Ada Lovelace',
  },
  {
    name: 'contact_company',
    description: 'The company that was given',
    from_outside: true,
    sample: 'Buyer Ltd',
  },
]

const lead: readonly TemplateVariable[] = [
  {
    name: 'contact_email',
    description: 'The address that was given',
    from_outside: true,
    sample: 'ada@buyer.test',
  },
  {
    name: 'contact_phone',
    description: 'The telephone number that was given',
    from_outside: true,
    sample: '+44 20 7946 0000',
  },
  {
    name: 'lead_source',
    description: 'Where the lead came in',
    from_outside: true,
    sample: 'form',
  },
  {
    name: 'lead_text',
    description: 'The beginning of what was written',
    from_outside: true,
    sample: 'What do 10 seats cost?',
  },
  {
    name: 'lead_received_at',
    description: 'When it came in, in UTC',
    from_outside: false,
    sample: '2026-11-20 09:30 UTC',
  },
  {
    name: 'lead_url',
    description: 'The page of the lead',
    from_outside: false,
    sample: 'https://inlet.example.com/leads/0190a5e2-7c3b-8b8e-9c3e-0f6f2f6c1a11',
  },
]

export const templateVariables: Record<TemplateKind, readonly TemplateVariable[]> = {
  // Nothing of the message: whoever has a form fill in another's address would write to them through us.
  welcome: [...organization, ...contact],
  admin_alert: [...organization, ...contact, ...lead],
}

export const builtInTemplates: Record<TemplateKind, Template> = {
  // Nothing at all of what the form was filled with: it may have been anybody, with anybody's address.
  welcome: {
    subject: 'We have received your inquiry',
    body: `Hello,

thank you for your inquiry. It has reached us at {{ organization_name }}, and somebody will get back to you as soon as possible.

You have not written to us? Then your address was entered by mistake, and you need do nothing.

Kind regards
{{ organization_name }}{% if postal_address %}
{{ postal_address }}{% endif %}`,
  },
  admin_alert: {
    subject:
      'New lead for {{ organization_name }}: {{ contact_name | default: contact_email | default: "no name given" }}',
    body: `{{ organization_name }} has a new lead.

Name:    {{ contact_name | default: "not given" }}
E-mail:  {{ contact_email | default: "not given" }}{% if contact_company %}
Company: {{ contact_company }}{% endif %}{% if contact_phone %}
Phone:   {{ contact_phone }}{% endif %}
Source:  {{ lead_source }}
Came in: {{ lead_received_at }}
{% if lead_text %}
They wrote (shortened, links taken apart):
> {{ lead_text }}
{% endif %}
Read and answer it here:
{{ lead_url }}`,
  },
}

export function sampleValues(kind: TemplateKind): Values {
  return Object.fromEntries(templateVariables[kind].map(({ name, sample }) => [name, sample]))
}

export interface LeadWords {
  organization_name: string
  postal_address: string | null
  contact_name: string | null
  contact_company: string | null
  contact_email: string | null
  contact_phone: string | null
  lead_source: string
  lead_text: string | null
  lead_received_at: Date
  lead_url: string
}

/** Only what this kind may name, and of strangers' words nothing that could do harm in a mail of ours. */
export function valuesFor(kind: TemplateKind, words: LeadWords): Values {
  const values: Values = {
    ...words,
    contact_name: harmless(words.contact_name, 100),
    contact_company: harmless(words.contact_company, 100),
    // An address that mail can be sent to has neither spaces nor line breaks, and people have to see it as it is.
    contact_email: words.contact_email,
    contact_phone: harmless(words.contact_phone, 50),
    lead_source: harmless(words.lead_source, 100),
    lead_text: harmless(words.lead_text, 500),
    lead_received_at: `${words.lead_received_at.toISOString().slice(0, 16).replace('T', ' ')} UTC`,
  }
  return Object.fromEntries(templateVariables[kind].map(({ name }) => [name, values[name] ?? null]))
}

/** To whoever runs the installation. */
export function operatorNotice(dead: {
  organization: string
  count: string
  code: string
  url: string
}): Template {
  const organization = harmless(dead.organization, 100) ?? 'an organization'
  const what = dead.count === '1' ? '1 inquiry' : `${dead.count} inquiries`
  return {
    subject: `Inlet: ${what} of ${organization} could not be stored`,
    body: [
      `The database refused ${what} of ${organization} (${dead.code}).`,
      'Nothing is lost: what was refused is kept with its reason, to be repaired and replayed.',
      `The list: GET ${dead.url}`,
      'This is told once a day for an organization.',
    ].join('\n\n'),
  }
}
