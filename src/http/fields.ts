// Text fields as people and programs send them. Postgres text cannot hold NUL, so it is refused here, by name.
import { z } from '@hono/zod-openapi'
import { isStorable } from '#kernel/clock'
import { normalizeEmail } from '#kernel/email-address'

// Without flags: the OpenAPI can show only the pattern.
// oxlint-disable no-control-regex -- control characters are what these are about
const NO_CONTROL = /^[^\u0000-\u001f\u007f-\u009f]*$/
const NO_NUL = /^[^\u0000]*$/
// oxlint-enable no-control-regex

/** One line: a name, a title. Trimmed, not empty. */
export function lineField(max: number) {
  return z.string().trim().min(1).max(max).regex(NO_CONTROL, 'must not contain control characters')
}

/** Several lines; may be empty. */
export function proseField(max: number) {
  return z.string().max(max).regex(NO_NUL, 'must not contain NUL')
}

export const emailField = z
  .string()
  .trim()
  .max(254)
  .refine((text) => normalizeEmail(text) !== null, 'is not an e-mail address')
  .openapi({ format: 'email', example: 'ada@example.com' })

export const instantField = z.iso
  .datetime({ offset: true })
  .refine(isStorable, 'is not between the years 1 and 9999')
  .openapi({ example: '2026-11-20T09:30:00Z' })
