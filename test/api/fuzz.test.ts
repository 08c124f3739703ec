// Every published operation, asked with what its schema allows and with what it does not: never a 500, always a problem that
// tells what is wrong, never another organization's data, and no answer that the description does not promise.
import { eq } from 'drizzle-orm'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { comments, contacts, conversations } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { site_tokens } from '#db/schema/inbound'
import { leads } from '#db/schema/leads'
import { mailboxes } from '#db/schema/mailboxes'
import { notifications } from '#db/schema/notifications'
import { dead_letters } from '#db/schema/platform'
import { sends } from '#db/schema/sending'
import { cursorOf, deviations, type Schema, type Schemas, valueOf } from '#test/schema-fuzz'
import { operatorToken } from '#test/security'
import { createWorld, type TestOrganization, type World } from '#test/world'
import { published } from '../../src/app'

interface Parameter {
  name: string
  in: string
  required?: boolean
  schema?: Schema
}
interface Operation {
  security?: Record<string, unknown>[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema?: Schema }> }
  responses: Record<string, { content?: Record<string, { schema?: Schema }> }>
}

const RUNS = 25
// The failure names seed and path; put them here to see it again.
const REPLAY: { seed?: number; path?: string } = {}
const seed = REPLAY.seed ?? Math.floor(Math.random() * 2 ** 31)

/** Stands in every text of the other organization, and in nothing of ours. */
const SECRET = 'zq7stranger'

// Any document will do: the routes are the same in every world.
const document = published.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'fuzz', version: '1' } })
const schemas = (document.components?.schemas ?? {}) as Schemas
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const
const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
  METHODS.flatMap((method) => {
    const operation = item[method] as Operation | undefined
    return operation
      ? [{ name: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, operation }]
      : []
  }),
)

interface Stage {
  world: World
  ids: string[]
  owner: string
  operator: string
  site: string
  slug: string
}

let stage: Promise<Stage> | undefined
const setStage = () => (stage ??= build())

async function build(): Promise<Stage> {
  const world = createWorld({ WEBHOOK_USERNAME: 'hook', WEBHOOK_PASSWORD: 'hook-password' })
  const [mine, other] = [await world.organization(), await world.organization({ name: SECRET })]
  const ids = [
    ...(await furnish(world, mine, 'ada')),
    ...(await furnish(world, other, SECRET)),
    crypto.randomUUID(),
  ]
  const owner = (await mine.as('owner')).token
  return {
    world,
    ids: [mine.id, other.id, ...ids],
    owner,
    operator: await operatorToken(world),
    site: await siteToken(world, owner, 'Website'),
    slug: mine.slug,
  }
}

async function siteToken(world: World, token: string, name: string): Promise<string> {
  const response = await world.request('POST', '/api/v1/site-tokens', { token, body: { name } })
  return (await response.json<{ token: string }>()).token
}

/** One row of everything that has an id; answers the ids. */
async function furnish(world: World, organization: TestOrganization, word: string): Promise<string[]> {
  const org_id = organization.id
  const user = await organization.as('owner')
  const body = {
    email: `${word}@buyer.test`,
    name: word,
    company: word,
    message: `${word}: what do 10 seats cost?`,
  }
  await world.request('POST', `/lead/${organization.slug}`, { body })
  await world.drain()
  await siteToken(world, user.token, word)
  const tables = [contacts, conversations, leads, drafts, sends, site_tokens] as const
  const found = await Promise.all(
    tables.map((table) => world.sql(q.select({ id: table.id }).from(table).where(eq(table.org_id, org_id)))),
  )
  const [conversation_id = ''] = (found[1]?.[0] ?? []).map(({ id }) => id)
  const [mailbox, notification, comment, letter] = [1, 2, 3, 4].map(() => crypto.randomUUID()) as [
    string,
    string,
    string,
    string,
  ]
  const email = `${word}-${mailbox.slice(0, 8)}@box.test`
  const account = { provider: 'google' as const, account_subject: word, email, email_norm: email }
  const failure = { kind: 'permanent', code: 'poison_message', message: word }
  await world.sql(
    q.insert(mailboxes).values({ id: mailbox, org_id, ...account, status: 'disconnected' }),
    q.insert(comments).values({ id: comment, org_id, conversation_id, author_id: user.id, body: word }),
    q.insert(notifications).values({
      id: notification,
      org_id,
      user_id: user.id,
      type: 'onboarding',
      entity_type: 'system',
      title: word,
      body: word,
      dedupe_key: word,
    }),
    q
      .insert(dead_letters)
      .values({ id: letter, org_id, queue: 'events', job: 'none', payload: { word }, failure, attempts: 1 }),
  )
  return [
    ...found.flatMap(([rows]) => rows.map(({ id }) => id)),
    mailbox,
    notification,
    comment,
    letter,
    user.id,
  ]
}

interface Asked {
  path: string
  headers: Record<string, string>
  body: string | undefined
}

const ASCII = /^[\u0020-\u007e]*$/

/** One request: path, query and headers by their schemas, a body of the described type or, rarely, of none. */
function requestOf(
  { path, operation }: (typeof operations)[number],
  { ids, slug }: Stage,
): fc.Arbitrary<Asked> {
  const parameters = (operation.parameters ?? []).map((parameter) => ({
    ...parameter,
    value: fc.option(
      parameter.name === 'cursor' ? cursorOf(ids) : valueOf(parameter.schema ?? {}, schemas, ids),
      { nil: undefined, freq: parameter.in === 'path' ? 1_000_000 : 2 },
    ),
  }))
  const media = operation.requestBody?.content['application/json']?.schema
  const body = media
    ? fc.oneof(
        { weight: 12, arbitrary: valueOf(media, schemas, ids).map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: fc.constantFrom('', '{', 'null', '"a"', '{"a":1e999}', '[[[[[[[[') },
      )
    : fc.constant(undefined)
  const type = fc.oneof(
    { weight: 12, arbitrary: fc.constant('application/json') },
    {
      weight: 1,
      arbitrary: fc.constantFrom('text/plain', 'application/json; charset=utf-16', 'nonsense', ''),
    },
  )
  return fc
    .tuple(fc.tuple(...parameters.map(({ value }) => value)), body, type, fc.boolean())
    .map(([values, text, content_type, keyed]) => {
      const query = new URLSearchParams()
      const headers: Record<string, string> = {
        ...(text === undefined || content_type === '' ? {} : { 'Content-Type': content_type }),
        ...(keyed ? { 'Idempotency-Key': `fuzz-${crypto.randomUUID()}` } : {}),
      }
      let filled = path.replace('{company_slug}', () => (values[0] === 'demo' ? slug : '{company_slug}'))
      parameters.forEach(({ name, in: where }, i) => {
        const value = values[i]
        if (value === undefined) return
        const shown = (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed()
        if (where === 'path') filled = filled.replace(`{${name}}`, () => encodeURIComponent(shown) || '%20')
        else if (where === 'query') query.append(name, shown)
        else if (where === 'header' && ASCII.test(shown)) headers[name] = shown
      })
      const search = query.toString()
      return { path: search === '' ? filled : `${filled}?${search}`, headers, body: text }
    })
}

async function judge(
  { method, operation }: (typeof operations)[number],
  { world, owner, operator, site }: Stage,
  asked: Asked,
): Promise<void> {
  const scheme = operation.security?.flatMap((entry) => Object.keys(entry))[0]
  const token = scheme === 'operator' ? operator : scheme === 'siteToken' ? site : owner
  const basic = scheme === 'webhook' ? { Authorization: `Basic ${btoa('hook:hook-password')}` } : {}
  const response = await world.request(method, asked.path, {
    headers: { ...asked.headers, ...basic },
    ...(asked.body === undefined ? {} : { body: asked.body }),
    ...(scheme === undefined || scheme === 'webhook' ? {} : { token }),
  })
  world.queued.splice(0)
  const text = await response.text()
  const { status } = response
  const shown = `${method} ${asked.path} → ${status} ${text.slice(0, 500)}`
  if (scheme !== 'operator') expect(text.toLowerCase(), shown).not.toContain(SECRET)
  const [type = ''] = (response.headers.get('Content-Type') ?? '').split(';')
  if (status >= 400) {
    expect(type, shown).toBe('application/problem+json')
    const problem = JSON.parse(text) as Record<string, unknown>
    expect(problem, shown).toMatchObject({ status, code: expect.any(String), request_id: expect.any(String) })
    expect(problem['code'], shown).not.toBe('internal')
  }
  const described = operation.responses[String(status)]
  // A path parameter may end in another route; a wrong content type is everybody's 415.
  if (status !== 404 && status !== 415) expect(described, `not described: ${shown}`).toBeDefined()
  const schema = described?.content?.['application/json']?.schema
  if (status < 300 && schema && type === 'application/json')
    expect(deviations(JSON.parse(text), schema, schemas), shown).toEqual([])
}

describe('whatever is sent to it,', () => {
  it.each(operations)('$name keeps its word', { timeout: 60_000 }, async (one) => {
    const set = await setStage()
    await fc.assert(
      fc.asyncProperty(requestOf(one, set), (asked) => judge(one, set, asked)),
      { numRuns: RUNS, seed, ...(REPLAY.path === undefined ? {} : { path: REPLAY.path }) },
    )
  })
})
