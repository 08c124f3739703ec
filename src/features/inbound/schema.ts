import { z } from '#http/openapi'

const line = (max: number) => z.string().trim().max(max)

export const slugParam = z.object({
  company_slug: z
    .string()
    .min(1)
    .max(100)
    .openapi({ param: { name: 'company_slug', in: 'path' }, example: 'demo' }),
})

export const formInput = z
  .object({
    email: line(254).min(3),
    name: line(200).optional(),
    phone: line(50).optional(),
    company: line(200).optional(),
    service: line(200).optional(),
    message: z.string().max(20_000).optional(),
    page_url: line(2000).optional(),
    custom: z
      .record(z.string().max(60), z.union([z.string().max(2000), z.number(), z.boolean(), z.null()]))
      .refine((fields) => Object.keys(fields).length <= 50, 'has more than 50 fields')
      .optional(),
  })
  .openapi('FormLead', {
    example: {
      email: 'ada@buyer.test',
      name: 'Ada',
      company: 'Buyer Ltd',
      message: 'What do 10 seats cost?',
    },
  })

export const receivedLead = z
  .object({ leadId: z.uuid(), timestamp: z.string(), status: z.literal('received') })
  .openapi('ReceivedLead', {
    example: {
      leadId: '0190a5e2-7c3b-8b8e-9c3e-0f6f2f6c1a11',
      timestamp: '2026-11-20T09:30:00.000Z',
      status: 'received',
    },
  })

export const idempotencyHeader = z.object({
  'idempotency-key': z
    .string()
    .min(1)
    .max(255)
    .optional()
    .openapi({ param: { name: 'idempotency-key', in: 'header' } }),
})
