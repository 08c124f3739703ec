// Shared pieces of the routes' descriptions.
import { createRoute, type RouteConfig, z } from '@hono/zod-openapi'
import { DEFAULT_LIMIT, MAX_LIMIT } from '#kernel/page'

export { createRoute, z }

const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    settings: z.array(z.string()).optional(),
  })
  .openapi('Problem', {
    example: {
      type: 'about:blank',
      title: 'The request is invalid',
      status: 400,
      detail: 'The request does not match the schema.',
      code: 'invalid',
      request_id: '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11',
      errors: [{ path: 'email', message: 'Invalid email address' }],
    },
  })

const descriptions = {
  400: 'The body or a parameter does not match the schema',
  401: 'No valid access token',
  403: 'The role does not allow this',
  404: 'Not found, or of another organization',
  409: 'In conflict with the present state',
  412: 'The resource has changed since If-Match',
  413: 'The body is too large',
  415: 'A content type that this route does not take',
  422: 'Well formed, refused by a rule',
  429: 'Too many requests; see Retry-After',
  503: 'Not configured, or temporarily unavailable',
} as const
type ErrorStatus = keyof typeof descriptions

/** Responses of a route: its success and the errors that it can answer. */
export function responses<S extends z.ZodType>(
  status: 200,
  schema: S,
  ...errors: ErrorStatus[]
): { 200: ReturnType<typeof jsonResponse<S>> }
export function responses<S extends z.ZodType>(
  status: 201,
  schema: S,
  ...errors: ErrorStatus[]
): { 201: ReturnType<typeof jsonResponse<S>> }
export function responses<S extends z.ZodType>(
  status: 202,
  schema: S,
  ...errors: ErrorStatus[]
): { 202: ReturnType<typeof jsonResponse<S>> }
export function responses<S extends z.ZodType>(
  status: 200 | 201 | 202,
  schema: S,
  ...errors: ErrorStatus[]
): RouteConfig['responses'] {
  return { [status]: jsonResponse(schema, 'Success'), ...problems(...errors) }
}

/** A route that answers 204 without a body. */
export function emptyResponses(...errors: ErrorStatus[]): { 204: { description: string } } {
  return { 204: { description: 'Done' }, ...problems(...errors) }
}

function jsonResponse<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

function problems(...errors: ErrorStatus[]) {
  return Object.fromEntries(
    [...new Set<ErrorStatus>([...errors, 503])].map((status) => [
      status,
      { description: descriptions[status], content: { 'application/problem+json': { schema: problem } } },
    ]),
  )
}

export function jsonBody<S extends z.ZodType>(schema: S) {
  return { content: { 'application/json': { schema } }, required: true }
}

export const userSecurity = [{ user: [] }]
export const operatorSecurity = [{ operator: [] }]
/** `WEBHOOK_USERNAME` and `WEBHOOK_PASSWORD`, by HTTP Basic. */
export const webhookSecurity = [{ webhook: [] }]

export const idParam = z.object({ id: z.uuid().openapi({ param: { name: 'id', in: 'path' } }) })

export const ifMatch = z.object({ 'if-match': z.string().max(200).optional() })

export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
  cursor: z.string().max(200).optional(),
})

/** Operator lists: `offset` and a `total`. */
export const offsetQuery = z.object({
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
})

export function pageOf<S extends z.ZodType>(item: S) {
  return z.object({ data: z.array(item), next_cursor: z.string().nullable() })
}

export const instantOut = z
  .date()
  // Without `type`, which would hide `nullable`: a date is a string there anyway.
  .openapi({ format: 'date-time', example: '2026-11-20T09:30:00.000Z' })
