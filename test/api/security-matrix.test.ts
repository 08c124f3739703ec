// Every published route, asked by those who must not get an answer. Generated from the OpenAPI, so that a new route cannot be forgotten.
import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { contacts, conversations } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { site_tokens } from '#db/schema/inbound'
import { leads } from '#db/schema/leads'
import { mailboxes } from '#db/schema/mailboxes'
import { notifications } from '#db/schema/notifications'
import { sends } from '#db/schema/sending'
import { operatorToken } from '#test/security'
import { createWorld, type TestOrganization, type World } from '#test/world'

interface Operation {
  parameters?: { name: string; schema?: { enum?: string[] } }[]
  security?: Record<string, unknown>[]
  requestBody?: {
    content: Record<
      string,
      { schema?: unknown; example?: unknown; examples?: Record<string, { value: unknown }> }
    >
  }
}
interface Route {
  method: string
  path: string
  operation: Operation
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete']
let world: World
let routes: Route[]
let mine: TestOrganization
let stranger: { token: string }
let operator: string
let site: string
const ids: Record<string, string> = {}

beforeAll(async () => {
  world = createWorld({ WEBHOOK_USERNAME: 'hook', WEBHOOK_PASSWORD: 'hook-password' })
  const document = (await (await world.request('GET', '/openapi.json')).json()) as {
    paths: Record<string, Record<string, Operation>>
    components: { schemas: Record<string, { example?: unknown }> }
  }
  routes = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        operation: withExample(operation, document.components.schemas),
      })),
  )
  mine = await world.organization()
  stranger = await (await world.organization()).as('owner')
  operator = await operatorToken(world)
  const owner = await mine.as('owner')
  await world.request('POST', `/lead/${mine.slug}`, {
    body: { email: 'ada@buyer.test', message: 'What do 10 seats cost?' },
  })
  await world.drain()
  const made = await world.request('POST', '/api/v1/site-tokens', {
    token: owner.token,
    body: { name: 'Website' },
  })
  site = (await made.json<{ token: string }>()).token
  const email = 'box@mine.test'
  await world.sql(
    q.insert(mailboxes).values({
      id: crypto.randomUUID(),
      org_id: mine.id,
      provider: 'google',
      account_subject: 's',
      email,
      email_norm: email,
      status: 'connected',
    }),
    q.insert(notifications).values({
      id: crypto.randomUUID(),
      org_id: mine.id,
      user_id: owner.id,
      type: 'onboarding',
      entity_type: 'system',
      title: 't',
      body: 'b',
      dedupe_key: 'k',
    }),
  )
  const tables = {
    contacts,
    conversations,
    leads,
    drafts,
    sends,
    mailboxes,
    notifications,
    'site-tokens': site_tokens,
  }
  for (const [name, table] of Object.entries(tables)) {
    const [[row]] = await world.sql(q.select({ id: table.id }).from(table).where(eq(table.org_id, mine.id)))
    if (!row) throw new Error(`no row in ${name}`)
    ids[name] = row.id
  }
})

/** Bodies are examples of their schema, so that a refusal is about who asks and not about what. */
function withExample(operation: Operation, schemas: Record<string, { example?: unknown }>): Operation {
  const json = operation.requestBody?.content['application/json']
  const name = /#\/components\/schemas\/(.+)$/.exec(
    JSON.stringify(json?.schema ?? '').replace(/"\}?$/, ''),
  )?.[1]
  if (json && name !== undefined) json.example ??= schemas[name]?.example
  return operation
}

const bodyOf = ({ operation }: Route) => operation.requestBody?.content['application/json']?.example
const fill = ({ path, operation }: Route) =>
  (operation.parameters ?? []).reduce(
    (filled, { name, schema }) => filled.replace(`{${name}}`, schema?.enum?.[0] ?? `{${name}}`),
    path.replace('{id}', ids[path.split('/')[3] ?? ''] ?? crypto.randomUUID()),
  )
const schemesOf = ({ operation }: Route) => operation.security?.flatMap((entry) => Object.keys(entry)) ?? []
const secured = (scheme: string) => routes.filter((route) => schemesOf(route).includes(scheme))
/** What opens a route to the organization's owner, by the scheme that it names; nothing where all are let in. */
const keyTo = async (route: Route): Promise<Record<string, string>> => {
  const [scheme = 'none'] = schemesOf(route)
  const keys: Record<string, string> = {
    user: `Bearer ${(await mine.as('owner')).token}`,
    operator: `Bearer ${operator}`,
    siteToken: `Bearer ${site}`,
    webhook: `Basic ${btoa('hook:hook-password')}`,
  }
  return keys[scheme] === undefined ? {} : { Authorization: keys[scheme] }
}
const ask = async (
  route: Route,
  options: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
) => {
  const { body: _body, ...bodyless } = options
  const response = await world.request(route.method, fill(route), route.method === 'GET' ? bodyless : options)
  return [`${route.method} ${route.path}`, response.status] as const
}

describe('every route', () => {
  it('that needs a token answers 401 without one, with nonsense, and with the other kind', async () => {
    expect(secured('user').length).toBeGreaterThan(20)
    expect(secured('operator').length).toBeGreaterThan(10)
    expect(secured('siteToken').length).toBeGreaterThan(0)
    expect(secured('webhook').length).toBeGreaterThan(0)
    const tokens = { user: stranger.token, operator, siteToken: site }
    for (const route of routes.filter((one) => schemesOf(one).length > 0)) {
      const others = Object.entries(tokens).flatMap(([scheme, token]) =>
        schemesOf(route).includes(scheme) ? [] : [token],
      )
      for (const token of [undefined, 'a.b.c', ...others]) {
        expect(await ask(route, { ...(token === undefined ? {} : { token }), body: bodyOf(route) })).toEqual([
          `${route.method} ${route.path}`,
          401,
        ])
      }
    }
  })

  it('with an id answers 404 to another organization, and 404 for an id that does not exist', async () => {
    const withId = secured('user').filter(({ path }) => path.includes('{id}'))
    expect(withId.length).toBeGreaterThan(12)
    const owner = await mine.as('owner')
    for (const route of withId) {
      expect(await ask(route, { token: stranger.token, body: bodyOf(route) })).toEqual([
        `${route.method} ${route.path}`,
        404,
      ])
      const nowhere = { ...route, path: route.path.replace('{id}', crypto.randomUUID()) }
      expect((await ask(nowhere, { token: owner.token, body: bodyOf(route) }))[1]).toBe(404)
    }
    for (const route of secured('operator').filter(({ path }) => path.includes('{id}'))) {
      expect(await ask(route, { token: operator, body: bodyOf(route) })).toEqual([
        `${route.method} ${route.path}`,
        expect.toBeOneOf([404, 400]),
      ])
    }
  })

  it('that takes a body refuses 5 MB with 413 and broken JSON with 400 problem+json', async () => {
    for (const route of routes.filter(
      ({ operation }) => operation.requestBody?.content['application/json'],
    )) {
      const headers = await keyTo(route)
      // A mail with its files is read as it streams in.
      const size = route.path.endsWith('/postmark/inbound') ? 53_000_000 : 5_000_000
      const [, tooLarge] = await ask(route, { headers, body: `{"a":"${'x'.repeat(size)}"}` })
      expect([route.path, tooLarge]).toEqual([route.path, 413])
      if (route.path.startsWith('/webhooks/')) continue
      const response = await world.request(route.method, fill(route), { headers, body: '{"broken":' })
      expect([route.path, response.status, response.headers.get('Content-Type')]).toEqual([
        route.path,
        400,
        'application/problem+json',
      ])
    }
  })

  it('under /api/v1 is served identically under /api', async () => {
    const now = world.clock.now()
    world.clock.now = () => now
    const same = { token: (await mine.as('owner')).token, headers: { 'X-Request-Id': 'the-same' } }
    for (const route of secured('user').filter(
      // An export tells of itself in the record that it contains.
      ({ method, path }) => method === 'GET' && path.startsWith('/api/v1/') && !path.endsWith('/export'),
    )) {
      const path = fill(route)
      const [a, b] = [
        await world.request('GET', path, same),
        await world.request('GET', path.replace('/api/v1/', '/api/'), same),
      ]
      expect([path, b.status, await b.text()]).toEqual([path, a.status, await a.text()])
    }
  })
})
