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
