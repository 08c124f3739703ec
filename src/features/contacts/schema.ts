import { instantOut, pageOf, pageQuery, z } from '#http/openapi'

export const contactsQuery = pageQuery
  .extend({ q: z.string().trim().min(1).max(200).optional() })
  .openapi('ContactsQuery')

export const contactOut = z
  .object({
    id: z.uuid(),
    email: z.string().nullable().openapi({ description: 'null: known by another channel only' }),
    name: z.string().nullable(),
    company: z.string().nullable(),
    phone: z.string().nullable(),
    last_inbound_at: instantOut.nullable(),
    created_at: instantOut,
    updated_at: instantOut,
  })
  .openapi('Contact')

export const contactPage = pageOf(contactOut).openapi('ContactPage')

const count = z.int().openapi({ example: 3 })

export const contactErasureOut = z
  .object({
    id: z.uuid(),
    erased_at: instantOut,
    suppressed: z.boolean().openapi({
      description: 'The address had opted out or was undeliverable, and stays suppressed, by a hash alone',
    }),
    removed: z
      .object({
        leads: count,
        conversations: count,
        messages: count,
        comments: count,
        drafts: count,
        sends: count,
      })
      .openapi('ErasedRows'),
  })
  .openapi('ContactErasure')

const exportedRows = z.array(z.record(z.string(), z.unknown())).openapi('ExportedRows', {
  example: [{ id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11', created_at: '2026-11-20T09:30:00+00:00' }],
})

export const contactExportOut = z
  .object({
    exported_at: instantOut,
    contact: z.record(z.string(), z.unknown()).openapi({ example: { email: 'ada@example.com' } }),
    handles: exportedRows,
    leads: exportedRows,
    conversations: exportedRows,
    messages: exportedRows,
    comments: exportedRows,
    drafts: exportedRows,
    sends: exportedRows,
    suppressions: exportedRows,
    audit: exportedRows,
  })
  .openapi('ContactExport')
