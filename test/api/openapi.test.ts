import { describe, expect, it } from 'vitest'
import { createWorld } from '#test/world'
import { published } from '../../src/app'

interface Media {
  schema?: { $ref?: string }
  example?: unknown
}
interface Operation {
  operationId: string
  summary?: string
  tags?: string[]
  security?: Record<string, string[]>[]
  parameters?: { name: string; in: string }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}
interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>; securitySchemes: Record<string, object> }
}

async function readDocument(path = '/openapi.json'): Promise<Document> {
  const response = await createWorld().request('GET', path)
  expect({ status: response.status, type: response.headers.get('Content-Type') }).toEqual({
    status: 200,
    type: 'application/json',
  })
  return response.json<Document>()
}

async function operations(): Promise<{ name: string; operation: Operation }[]> {
  const { paths } = await readDocument()
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )
}

/** What the router serves beside the API: static files. */
const NOT_API = new Set(['GET /vendor/*'])

describe('GET /openapi.json', () => {
  it('is OpenAPI 3.1, and the same under /api/v1', async () => {
    const document = await readDocument()
    expect(document.openapi).toBe('3.1.0')
    expect(await readDocument('/api/v1/openapi.json')).toEqual(document)
    expect(Object.keys(document.components.securitySchemes).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'operator',
      'siteToken',
      'user',
      'webhook',
    ])
  })

  it('has every route of the router, and no other', async () => {
    const served = new Set(
      published.routes
        .filter(({ method }) => method !== 'ALL')
        .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')}`)
        .filter((route) => !NOT_API.has(route)),
    )
    const described = new Set((await operations()).map(({ name }) => name))
    expect([...served].filter((route) => !described.has(route))).toEqual([])
    expect([...described].filter((route) => !served.has(route))).toEqual([])
  })

  it('gives every operation an id of its own, a summary, a tag and a success', async () => {
    const all = await operations()
    const ids = all.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    const poor = all.filter(
      ({ operation }) =>
        !operation.summary ||
        !operation.tags?.length ||
        !Object.keys(operation.responses).some((status) => status < '400'),
    )
    expect(poor.map(({ name }) => name)).toEqual([])
  })

  it('names 401 wherever a token is needed, by a scheme that exists', async () => {
    const { components } = await readDocument()
    for (const { name, operation } of await operations()) {
      const schemes = (operation.security ?? []).flatMap((one) => Object.keys(one))
      expect({ name, unknown: schemes.filter((one) => !(one in components.securitySchemes)) }).toEqual({
        name,
        unknown: [],
      })
      if (schemes.length > 0) expect(Object.keys(operation.responses), name).toContain('401')
    }
  })

  it('names an error answer, as problem+json, wherever there is input', async () => {
    const silent = (await operations())
      .filter(
        ({ operation }) =>
          operation.requestBody || operation.parameters?.some(({ in: at }) => at !== 'header'),
      )
      .filter(
        ({ operation }) =>
          !Object.entries(operation.responses).some(
            ([status, { content }]) =>
              status.startsWith('4') && content && 'application/problem+json' in content,
          ),
      )
    expect(silent.map(({ name }) => name)).toEqual([])
  })

  it('has an example for every JSON body', async () => {
    const without = (await operations()).flatMap(({ name, operation }) =>
      [operation.requestBody, ...Object.values(operation.responses)].flatMap((body) =>
        Object.entries(body?.content ?? {})
          .filter(([type, { example }]) => type.includes('json') && example === undefined)
          .map(([type]) => `${name} ${type}`),
      ),
    )
    expect(without).toEqual([])
  })

  it('refers only to schemas that it has', async () => {
    const document = await readDocument()
    const names = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/([\w.-]+)/g)].map(
      ([, name]) => name,
    )
    expect(names.length).toBeGreaterThan(50)
    expect([...new Set(names)].filter((name) => !(String(name) in document.components.schemas))).toEqual([])
  })

  it('tells of Idempotency-Key where it is honoured', async () => {
    const { paths } = await readDocument()
    const headers = (path: string) => paths[path]?.['post']?.parameters?.map(({ name }) => name) ?? []
    expect(headers('/api/v1/auth/register')).toContain('Idempotency-Key')
    expect(headers('/admin/clients')).toContain('Idempotency-Key')
    expect(headers('/api/v1/auth/login')).not.toContain('Idempotency-Key')
  })
})

describe.each(['/docs', '/redoc'])('GET %s', (path) => {
  it('is a page that loads scripts from nobody else', async () => {
    const response = await createWorld().request('GET', path)
    const html = await response.text()
    const policy = response.headers.get('Content-Security-Policy') ?? ''
    expect({ status: response.status, type: response.headers.get('Content-Type') }).toEqual({
      status: 200,
      type: expect.stringContaining('text/html'),
    })
    expect(html).not.toMatch(/https?:/)
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("connect-src 'self'")
    const [, script = ''] = /<script>([^<]*)<\/script>/.exec(html) ?? []
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(script))
    const digest = btoa(String.fromCharCode(...new Uint8Array(hash)))
    expect(policy).toContain(`script-src 'self' 'sha256-${digest}';`)
  })
})

it('serves the scripts of the pages from its own assets', async () => {
  const asked: string[] = []
  const world = createWorld()
  const fetcher = {
    fetch: async (request: Request) => {
      asked.push(new URL(request.url).pathname)
      return new Response('asset', { headers: { 'Content-Type': 'text/javascript' } })
    },
  }
  Object.assign(world.env, { ASSETS: fetcher })
  const response = await world.request('GET', '/vendor/redoc/redoc.standalone.js')
  expect({ status: response.status, text: await response.text(), asked }).toEqual({
    status: 200,
    text: 'asset',
    asked: ['/vendor/redoc/redoc.standalone.js'],
  })
})
