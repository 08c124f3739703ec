import { instantField } from '#http/fields'
import { instantOut, pageOf, pageQuery, z } from '#http/openapi'
import { actorTypes } from '#kernel/vocabulary'

export const auditQuery = pageQuery.extend({
  entity: z.string().max(100).optional(),
  actor: z.string().max(200).optional(),
  action: z.string().max(100).optional(),
  from: instantField.optional(),
  to: instantField.optional(),
})

const auditEntryOut = z
  .object({
    id: z.uuid(),
    at: instantOut,
    actor_type: z.enum(actorTypes),
    actor_id: z.string(),
    action: z.string(),
    entity: z.string(),
    entity_id: z.string(),
    fields: z.array(z.string()),
    request_id: z.string().nullable(),
    ip: z.string().nullable(),
  })
  .openapi('AuditEntry')

export const auditPage = pageOf(auditEntryOut).openapi('AuditPage')

export const auditVerification = z
  .object({ ok: z.boolean(), checked: z.int(), unchained: z.int(), broken_at: z.int().optional() })
  .openapi('AuditVerification', { example: { ok: true, checked: 1284, unchained: 0 } })
