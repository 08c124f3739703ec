// Text fields as people and programs send them. Postgres text cannot hold NUL, so it is refused here, by name.
import { z } from '@hono/zod-openapi'
import { normalizeEmail } from '#kernel/email-address'

const NO_CONTROL = /^\P{Cc}*$/u
// oxlint-disable-next-line no-control-regex -- NUL is what this is about
const NO_NUL = /^[^\u0000]*$/

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
