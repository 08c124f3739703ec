import { emailField, lineField } from '#http/fields'
import { instantOut, z } from '#http/openapi'
import { roles } from '#kernel/vocabulary'

const newPassword = z
  .string()
  .min(10)
  .max(200)
  .openapi({ format: 'password', example: 'a long enough phrase' })

export const registration = z
  .object({
    name: lineField(120).openapi({ example: 'Ada Lovelace' }),
    email: emailField,
    password: newPassword,
    organization_name: lineField(120).optional().openapi({ example: 'Analytical Engines' }),
  })
  .openapi('Registration')
export type Registration = z.infer<typeof registration>

// Deliberately lax: what is no address is an unknown one, and is answered like it.
export const credentials = z
  .object({
    email: z.string().min(1).max(320).openapi({ example: 'ada@example.com' }),
    password: z.string().min(1).max(200).openapi({ format: 'password', example: 'a long enough phrase' }),
  })
  .openapi('Credentials')
export type Credentials = z.infer<typeof credentials>

export const refreshRequest = z
  .object({
    refresh_token: z
      .string()
      .min(1)
      .max(200)
      .openapi({ example: 'kq0i7m0cTqv0bqH1m2nS8d3uJ4yqv5w6x7y8z9A0B1C' }),
  })
  .openapi('RefreshRequest')

export const operatorCredentials = z
  .object({
    username: z.string().min(1).max(200).openapi({ example: 'operator' }),
    password: z.string().min(1).max(1000).openapi({ format: 'password' }),
  })
  .openapi('OperatorCredentials')

export const userOut = z
  .object({
    id: z.uuid(),
    email: z.string(),
    name: z.string(),
    role: z.enum(roles),
    organization: z.object({ id: z.uuid(), name: z.string(), slug: z.string() }).openapi('UserOrganization'),
    created_at: instantOut,
    last_login_at: instantOut.nullable(),
  })
  .openapi('User')
export type UserOut = z.infer<typeof userOut>

export const tokens = z
  .object({
    access_token: z.string().openapi({ description: 'A JWT; carries user, organization, role and session' }),
    refresh_token: z.string().openapi({ description: 'Works once; each refresh answers the next one' }),
    token_type: z.literal('bearer'),
    expires_in: z.int().openapi({ description: 'Seconds', example: 900 }),
    user: userOut,
  })
  .openapi('Tokens')

export const operatorToken = z
  .object({ access_token: z.string(), token_type: z.literal('bearer'), expires_in: z.int() })
  .openapi('OperatorToken')
