// GET /openapi.json, /docs and /redoc. The document is made from the routes themselves, once per isolate, when first asked for.
import type { OpenAPIHono } from '@hono/zod-openapi'
import { type ErrorCode, errorStatus } from '#kernel/errors'
import { titles } from './errors'
import { exampleOf, type JsonSchema } from './openapi-examples'
import { createRoute, z } from './openapi'
import { type AppEnv, createRouter } from './router'

const INFO = {
  title: 'Inlet',
  version: '1',
  description: [
    'One inbox for every lead. Everything is JSON in `snake_case`; instants are ISO 8601 in UTC.',
    'Errors are `application/problem+json` (RFC 9457) with a `code` and a `request_id`.',
    'Lists answer `{ data, next_cursor }` and take `limit` and `cursor`. `Idempotency-Key` is honoured on every POST that creates or sends.',
  ].join('\n\n'),
}

// Not a literal, so that nobody checks the document's type against its own description.
const JSON_TYPE: string = 'application/json'
const anyObject = z.looseObject({}).openapi('OpenApiDocument')

const page = (summary: string) => ({
  tags: ['Documentation'],
  summary,
  responses: {
    200: { description: 'A page', content: { 'text/html': { schema: { type: 'string' as const } } } },
  },
})
const document = (path: string, operationId: string) =>
  createRoute({
    method: 'get',
    path,
    operationId,
    tags: ['Documentation'],
    summary: 'This document, OpenAPI 3.1',
    responses: {
      200: {
        description: 'OpenAPI',
        content: { [JSON_TYPE]: { schema: anyObject } },
      },
    },
  })
const openapiRoute = document('/openapi.json', 'getOpenapi')
const openapiAlias = document('/api/v1/openapi.json', 'getOpenapiAlias')
const docsRoute = createRoute({ method: 'get', path: '/docs', ...page('The interactive documentation') })
const redocRoute = createRoute({ method: 'get', path: '/redoc', ...page('The documentation to read') })

export interface Docs {
  routes: ReturnType<typeof createRouter>
  /** Which router the document describes; it is complete only after the routes were mounted. */
  describe(published: OpenAPIHono<AppEnv>): void
}

export function createDocs(): Docs {
  let published: OpenAPIHono<AppEnv> | undefined
  let text: string | undefined
  const read = () => (text ??= JSON.stringify(published ? buildDocument(published) : {}))
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' }
  const routes = createRouter()
    .openapi(openapiRoute, (c) => c.body(read(), 200, headers))
    .openapi(openapiAlias, (c) => c.body(read(), 200, headers))
    .openapi(docsRoute, async (c) => c.html(SWAGGER, 200, await pageHeaders(SWAGGER_SCRIPT)))
    .openapi(redocRoute, async (c) => c.html(REDOC, 200, await pageHeaders(REDOC_SCRIPT)))
  // Their scripts are our own assets: no stranger's server is asked.
  routes.get('/vendor/*', (c) => c.env.ASSETS.fetch(c.req.raw))
  return {
    routes,
    describe: (router) => {
      published = router
    },
  }
}

type OpenApiDocument = ReturnType<OpenAPIHono<AppEnv>['getOpenAPI31Document']>

function buildDocument(published: OpenAPIHono<AppEnv>): OpenApiDocument {
  const { openAPIRegistry } = published
  for (const [name, description] of [
    ['user', 'The access token of POST /api/v1/auth/login; 15 minutes'],
    ['operator', 'The access token of POST /admin/login'],
    ['siteToken', 'A token of POST /api/v1/site-tokens: inlet_site_…'],
  ] as const) {
    openAPIRegistry.registerComponent('securitySchemes', name, {
      type: 'http',
      scheme: 'bearer',
      description,
    })
  }
  openAPIRegistry.registerComponent('securitySchemes', 'webhook', {
    type: 'http',
    scheme: 'basic',
    description: 'WEBHOOK_USERNAME and WEBHOOK_PASSWORD',
  })
  const built = published.getOpenAPI31Document({ openapi: '3.1.0', info: INFO, servers: [{ url: '/' }] })
  for (const [path, item] of Object.entries(built.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item[method]
      if (!operation) continue
      operation.operationId ??= operationId(method, path)
      if (method === 'post') acceptKey(operation, path)
      if (method === 'patch' && operation.responses?.['412']) acceptIfMatch(operation)
      const schemas = (built.components?.schemas ?? {}) as Record<string, JsonSchema>
      addExamples(operation.requestBody as Body | undefined, schemas)
      for (const [status, response] of Object.entries(operation.responses ?? {})) {
        addProblem(response as Body, Number(status))
        addExamples(response as Body, schemas)
      }
    }
  }
  return built
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const
interface Operation {
  parameters?: object[]
}
interface Body {
  description?: string
  content?: Record<string, { schema?: JsonSchema; example?: unknown; examples?: unknown }>
}

function operationId(method: string, path: string): string {
  const words = path
    .replace(/^\/api\/v1/, '')
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== '')
  return [method, ...words.map((word) => word[0]?.toUpperCase() + word.slice(1))].join('')
}

function acceptKey(operation: Operation, path: string): void {
  if (!/^\/(api\/v1|admin)\//.test(path) || /login$|refresh$|\/webhooks\//.test(path)) return
  addHeader(
    operation,
    'Idempotency-Key',
    'The same key and body get the first answer again; kept for a day',
    {
      type: 'string',
      minLength: 1,
      maxLength: 255,
    },
  )
}

function acceptIfMatch(operation: Operation): void {
  addHeader(operation, 'If-Match', 'The ETag that the change is based on; another version is 412', {
    type: 'string',
  })
}

function addHeader(operation: Operation, name: string, description: string, schema: object): void {
  const known = (operation.parameters ?? []).some(
    (parameter) => 'name' in parameter && String(parameter.name).toLowerCase() === name.toLowerCase(),
  )
  if (!known) (operation.parameters ??= []).push({ name, in: 'header', required: false, description, schema })
}

/** An example with the status and the code that this answer has. */
function addProblem({ content, description = '' }: Body, status: number): void {
  const media = content?.['application/problem+json']
  const code = codes.find((one) => errorStatus[one] === status)
  if (!media || code === undefined) return
  const errors =
    code === 'invalid' ? { errors: [{ path: 'email', message: 'is not an e-mail address' }] } : {}
  const request_id = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
  media.example = {
    type: 'about:blank',
    title: titles[code],
    status,
    detail: description,
    code,
    request_id,
    ...errors,
  }
}

const codes = Object.keys(errorStatus) as ErrorCode[]

function addExamples(body: Body | undefined, schemas: Record<string, JsonSchema>): void {
  for (const [type, media] of Object.entries(body?.content ?? {})) {
    if (!type.includes('json') || !media.schema || media.example !== undefined || media.examples) continue
    media.example = exampleOf(media.schema, schemas)
  }
}

const SWAGGER_SCRIPT = `window.ui = SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, persistAuthorization: false })`
const SWAGGER = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Inlet API</title>
<link rel="stylesheet" href="/vendor/swagger-ui/swagger-ui.css"></head>
<body><div id="docs"></div>
<script src="/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script>${SWAGGER_SCRIPT}</script></body>
</html>`

const REDOC_SCRIPT = `Redoc.init('/openapi.json', {}, document.getElementById('docs'))`
const REDOC = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Inlet API</title></head>
<body><div id="docs"></div>
<script src="/vendor/redoc/redoc.standalone.js"></script>
<script>${REDOC_SCRIPT}</script></body>
</html>`

/** Scripts are ours or named by their hash. Both viewers write style elements, and Redoc searches in a worker made of a blob. */
async function pageHeaders(script: string): Promise<Record<string, string>> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(script))
  const digest = btoa(String.fromCharCode(...new Uint8Array(hash)))
  return {
    'Content-Security-Policy': [
      `default-src 'none'`,
      `script-src 'self' 'sha256-${digest}'`,
      `style-src 'self' 'unsafe-inline'`,
      `img-src 'self' data:`,
      `font-src 'self' data:`,
      `connect-src 'self'`,
      `worker-src blob:`,
      `base-uri 'none'`,
      `form-action 'none'`,
      `frame-ancestors 'none'`,
    ].join('; '),
    'Cache-Control': 'no-cache',
  }
}
