// What anybody may post to /lead/{company_slug}, and what programs, foreign pages and outages make of it.
import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { contacts, messages } from '#db/schema/conversations'
import { drafts } from '#db/schema/drafting'
import { leads } from '#db/schema/leads'
import { notices } from '#db/schema/notifications'
import { organizations } from '#db/schema/organizations'
import { events } from '#db/schema/platform'
import { nameFor } from '#platform/ingest-flush'
import { createFakeTurnstile } from '#test/fake-turnstile'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const lead = { email: 'ada@buyer.test', name: 'Ada', message: 'What do 10 seats cost?' }
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' }
const NOWHERE = { NEON_GATEWAY_URL: 'http://127.0.0.1:1' }

interface Answer {
  leadId: string
  status: string
  timestamp: string
  code: string
  errors: { path: string; message: string }[]
}

const post = async (
  world: World,
  slug: string,
  body: unknown = lead,
  headers: Record<string, string> = {},
) => {
  const response = await world.request('POST', `/lead/${slug}`, { body, headers })
  return { response, ...(await read<Answer>(response.clone())) }
}
const urlencoded = (fields: Record<string, string>) => new URLSearchParams(fields).toString()

async function multipart(fields: [string, string | File][]) {
  const form = new FormData()
  for (const [name, value] of fields) form.append(name, value)
  const request = new Request('http://x.test', { method: 'POST', body: form })
  return {
    body: new TextDecoder().decode(await request.arrayBuffer()),
    type: request.headers.get('Content-Type') ?? '',
  }
}

const leadsOf = async (world: World, org: TestOrganization) =>
  (await world.sql(q.select().from(leads).where(eq(leads.org_id, org.id))))[0]

const settings = async (world: World, slug: string) =>
  await (await world.request('GET', `/lead/${slug}`)).json<{ render_token: string }>()

describe('a form', () => {
  const fields = {
    email: 'ada@buyer.test',
    name: 'Ada',
    company: '',
    message: 'Hi',
    page_url: 'https://shop.test/p?utm_source=ad',
    'consent[news]': 'on',
    'custom[budget]': '5',
    Farbe: 'rot',
  }
  const stored = {
    status: 'received',
    page_url: 'https://shop.test/p?utm_source=ad',
    utm: { source: 'ad' },
    consent: { news: true },
    custom: { budget: '5', Farbe: 'rot' },
    signals: [],
  }

  it('may be urlencoded', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    expect((await post(world, org.slug, urlencoded(fields), FORM)).status).toBe(201)
    expect(await leadsOf(world, org)).toMatchObject([stored])
  })

  it('may be multipart, and keeps the name of a file alone', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const { body, type } = await multipart([
      ...Object.entries(fields),
      ['plan', new File(['secret content'], 'plan.pdf')],
    ])
    expect((await post(world, org.slug, body, { 'Content-Type': type })).status).toBe(201)
    expect(await leadsOf(world, org)).toMatchObject([
      { ...stored, custom: { ...stored.custom, plan: 'plan.pdf (not kept)' } },
    ])
    expect(JSON.stringify(await leadsOf(world, org))).not.toContain('secret content')
  })

  it('may be JSON, which names its fields rightly', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const { Farbe, 'custom[budget]': budget, 'consent[news]': _news, ...plain } = fields
    const body = { ...plain, custom: { budget, Farbe }, consent: { news: true } }
    expect((await post(world, org.slug, body)).status).toBe(201)
    expect(await leadsOf(world, org)).toMatchObject([stored])
    expect(await post(world, org.slug, { ...lead, favourite: 'red' })).toMatchObject({
      status: 400,
      body: { code: 'invalid' },
    })
    expect(await post(world, org.slug, { ...lead, consent: { news: 'yes' } })).toMatchObject({
      status: 400,
      body: { errors: [{ path: 'consent.news' }] },
    })
  })

  it('is one lead, however it comes: a double click, side by side', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => post(world, org.slug, urlencoded(fields), FORM)),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 201])
    expect(new Set(answers.map(({ body }) => `${body.leadId} ${body.timestamp}`)).size).toBe(1)
    expect(await leadsOf(world, org)).toHaveLength(1)
  })

  it.each([
    ['a body that is no form', '--x\r\nnonsense', 'multipart/form-data; boundary=x', 400, 'invalid'],
    ['a multipart body without a boundary', 'a=b', 'multipart/form-data', 400, 'invalid'],
    ['no address', 'name=Ada', FORM['Content-Type'], 400, 'invalid'],
    ['an empty body', '', FORM['Content-Type'], 400, 'invalid'],
    ['half a character in its address', '{"email":"a\\ud83d@b.test"}', 'application/json', 400, 'invalid'],
    ['another type', '<lead/>', 'application/xml', 415, 'unsupported_media_type'],
    ['too much', `email=a@b.test&message=${'x'.repeat(66_000)}`, FORM['Content-Type'], 413, 'too_large'],
  ])('with %s is refused', async (_what, body, type, status, code) => {
    const world = createWorld()
    const org = await world.organization()
    const answer = await post(world, org.slug, body, { 'Content-Type': type })
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code })
    expect(await leadsOf(world, org)).toEqual([])
  })

  it.each(['NOPE', 'a%2Fb', '%00', '..%2f..%2fetc', 'x%0d%0aSet-Cookie:a=b', '%F0%9F%98%80', "'--"])(
    'for the slug %s is not found',
    async (slug) => {
      const world = createWorld()
      const { response, status } = await post(world, slug)
      expect([status, response.headers.get('Set-Cookie')]).toEqual([404, null])
      expect((await world.request('GET', `/f/${slug}`)).status).toBe(404)
      expect((await world.request('GET', `/lead/${slug}`)).status).toBe(404)
    },
  )
})

describe('a program', () => {
  async function compare(arrange: (world: World, org: TestOrganization) => Promise<object>) {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'auto' })
    const bot = await post(world, org.slug, { ...lead, ...(await arrange(world, org)) })
    await world.drain()
    const [made, facts, replies, told] = await world.sql(
      q.select().from(leads).where(eq(leads.org_id, org.id)),
      q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)),
      q.select({ id: drafts.id }).from(drafts).where(eq(drafts.org_id, org.id)),
      q.select({ id: notices.id }).from(notices).where(eq(notices.org_id, org.id)),
    )
    const person = await post(world, org.slug, { ...lead, email: 'bob@buyer.test' })
    return { bot, person, made, facts, replies, told }
  }
  const shape = ({ response, status, body }: Awaited<ReturnType<typeof post>>) => ({
    status,
    fields: Object.keys(body),
    says: body.status,
    headers: [...response.headers.keys()].toSorted((a, b) => a.localeCompare(b)),
    trips: /desc="\d+"/.exec(response.headers.get('Server-Timing') ?? '')?.[0],
  })

  it.each([
    ['fills in the trap', ['honeypot'], async () => ({ _comments: 'Buy cheap pills' })],
    [
      'is too quick',
      ['too_fast'],
      async (world: World, org: TestOrganization) => ({ _t: (await settings(world, org.slug)).render_token }),
    ],
  ] as const)(
    'that %s is answered as a person is, and its lead is kept as spam that nobody is told of',
    async (_what, signals, arrange) => {
      const { bot, person, made, facts, replies, told } = await compare(arrange)
      expect(shape(bot)).toEqual(shape(person))
      expect(made).toMatchObject([{ id: bot.body.leadId, status: 'spam', signals }])
      expect({ facts, replies, told }).toEqual({ facts: [], replies: [], told: [] })
    },
  )

  it('is not seen in a person who took two seconds, an old page, a forged time or none', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const { render_token } = await settings(world, org.slug)
    const quick = (await settings(world, org.slug)).render_token
    const forged = `${quick.slice(0, -2)}${quick.endsWith('A') ? 'BB' : 'AA'}`
    world.clock.advance(3)
    await post(world, org.slug, { ...lead, message: 'in time', _t: render_token })
    await post(world, org.slug, { ...lead, message: 'forged', _t: forged })
    await post(world, org.slug, { ...lead, message: 'nonsense', _t: '<script>' })
    await post(world, org.slug, { ...lead, message: 'none', _comments: ' ' })
    world.clock.advance(25 * 3600)
    await post(world, org.slug, { ...lead, message: 'old', _t: render_token })
    expect((await leadsOf(world, org)).map(({ status, signals }) => [status, signals])).toEqual(
      Array.from({ length: 5 }, () => ['received', []]),
    )
  })

  it('is not seen by the time of a key that is not ours any more', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const before = createWorld({ ENCRYPTION_KEY: 'ab'.repeat(32) })
    await post(world, org.slug, { ...lead, _t: (await settings(before, org.slug)).render_token })
    expect(await leadsOf(world, org)).toMatchObject([{ status: 'received', signals: [] }])
  })

  it('does not become another lead by its traps: they are no part of the inquiry', async () => {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off' })
    const first = await post(world, org.slug, lead)
    const again = await post(world, org.slug, { ...lead, _t: 'x', _comments: 'y' })
    expect([again.status, again.body.leadId]).toEqual([200, first.body.leadId])
  })
})

describe('the limits', () => {
  const ip = () => ({ 'CF-Connecting-IP': `198.51.100.${Math.floor(Math.random() * 250)}` })

  it('count the organization, too, and remember that it is full', async () => {
    const world = createWorld({ RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE: '2' })
    const [org, other] = [await world.organization(), await world.organization()]
    const answers: unknown[] = []
    for (let i = 0; i < 4; i++) {
      const { response } = await post(world, org.slug, { ...lead, message: `m${i}` }, ip())
      answers.push([response.status, /desc="(\d+)"/.exec(response.headers.get('Server-Timing') ?? '')?.[1]])
    }
    expect(answers).toEqual([
      [201, '1'],
      [201, '1'],
      [429, '1'],
      [429, '0'],
    ])
    expect((await post(world, other.slug, lead, ip())).status).toBe(201)
  })
})

describe('pages of others', () => {
  const from = (origin: string) => ({ Origin: origin })
  const cors = (response: Response) => response.headers.get('Access-Control-Allow-Origin')

  it('may ask first, whoever they are, and never with credentials', async () => {
    const world = createWorld()
    const response = await world.request('OPTIONS', '/lead/demo', {
      headers: {
        ...from('https://any.test'),
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'idempotency-key',
      },
    })
    expect([
      response.status,
      cors(response),
      response.headers.get('Access-Control-Allow-Headers'),
      response.headers.get('Access-Control-Allow-Credentials'),
    ]).toEqual([204, '*', 'Content-Type, Idempotency-Key, X-Request-Id', null])
  })

  it.each([
    ['no list', [], 'https://any.test', 201, '*'],
    ['no list, no browser', [], undefined, 201, '*'],
    ['on the list', ['https://shop.test'], 'https://shop.test', 201, '*'],
    ['not on the list', ['https://shop.test'], 'https://evil.test', 403, null],
    ['like one on the list', ['https://shop.test'], 'https://shop.test.evil.test', 403, null],
    ['a sandboxed frame', ['https://shop.test'], 'null', 403, null],
    ['a list, no browser', ['https://shop.test'], undefined, 403, null],
    ['our own page', ['https://shop.test'], 'http://inlet.test', 201, '*'],
  ])('post when the organization lets them: %s', async (_what, list, origin, status, allowed) => {
    const world = createWorld()
    const org = await world.organization({ form_allowed_origins: list, reply_mode: 'off' })
    const { response } = await post(world, org.slug, lead, origin === undefined ? {} : from(origin))
    expect([response.status, cors(response)]).toEqual([status, allowed])
    expect(await leadsOf(world, org)).toHaveLength(status === 201 ? 1 : 0)
  })

  it('read what is wrong with a field, and the settings', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { response } = await post(world, org.slug, { email: 'nobody' }, from('https://any.test'))
    expect([response.status, cors(response)]).toEqual([400, '*'])
    const got = await world.request('GET', `/lead/${org.slug}?lang=de`, { headers: from('https://any.test') })
    expect([got.status, cors(got), await got.json()]).toEqual([
      200,
      '*',
      expect.objectContaining({
        name: 'Test',
        language: 'de',
        honeypot: '_comments',
        turnstile_site_key: null,
        texts: expect.objectContaining({ submit: 'Nachricht senden' }),
      }),
    ])
  })

  it('ask for the settings at every visit, and the database hears of it once a minute', async () => {
    const world = createWorld()
    const org = await world.organization({ name: 'Before' })
    const ask = async () => {
      const response = await world.request('GET', `/lead/${org.slug}`)
      const trips = /desc="(\d+)"/.exec(response.headers.get('Server-Timing') ?? '')?.[1]
      return [(await response.json<{ name: string }>()).name, trips]
    }
    const first = await ask()
    await world.sql(q.update(organizations).set({ name: 'After' }).where(eq(organizations.id, org.id)))
    const second = await ask()
    world.clock.advance(61)
    expect([first, second, await ask()]).toEqual([
      ['Before', '1'],
      ['Before', '0'],
      ['After', '1'],
    ])
  })

  it('of the console have no more rights elsewhere than before', async () => {
    const world = createWorld()
    const response = await world.request('OPTIONS', '/api/v1/leads', {
      headers: { ...from('https://any.test'), 'Access-Control-Request-Method': 'GET' },
    })
    expect(cors(response)).toBeNull()
  })
})

describe('Turnstile', () => {
  const SETTINGS = { TURNSTILE_SECRET_KEY: 'turnstile-secret', TURNSTILE_SITE_KEY: 'site-key' }
  async function guarded(given: Partial<Parameters<World['organization']>[0]> = {}) {
    const world = createWorld(SETTINGS)
    const turnstile = createFakeTurnstile(SETTINGS.TURNSTILE_SECRET_KEY, world.clock)
    world.fetch = turnstile.fetch
    const org = await world.organization({ reply_mode: 'off', ...given })
    const send = (token: string | undefined, more: object = {}, headers: Record<string, string> = {}) =>
      post(
        world,
        org.slug,
        { ...lead, ...more, ...(token === undefined ? {} : { 'cf-turnstile-response': token }) },
        headers,
      )
    return { world, turnstile, org, send }
  }
  const REFUSED = {
    status: 422,
    body: { code: 'unprocessable', errors: [{ path: 'cf-turnstile-response' }] },
  }

  it('lets in whoever shows a token, and asks with address and key', async () => {
    const { world, turnstile, org, send } = await guarded()
    const answer = await send(turnstile.issue(), {}, { 'CF-Connecting-IP': '203.0.113.9' })
    expect([answer.status, answer.response.headers.get('Server-Timing')]).toEqual([
      201,
      expect.stringContaining('desc="1"'),
    ])
    expect(turnstile.asked).toMatchObject([{ secret: 'turnstile-secret', remoteip: '203.0.113.9' }])
    expect(await leadsOf(world, org)).toMatchObject([{ signals: [] }])
  })

  it.each([
    ['none', () => undefined],
    ['an invented one', () => '0.invented'],
    ['one of 2,049 characters', () => 'x'.repeat(2049)],
    ['one of another action', (fake: { issue(o: object): string }) => fake.issue({ action: 'login' })],
    ['one of another site', (fake: { issue(o: object): string }) => fake.issue({ hostname: 'evil.test' })],
  ])('refuses %s, names the field, and stores nothing', async (_what, make) => {
    const { world, turnstile, org, send } = await guarded()
    const answer = await send(make(turnstile))
    expect(answer).toMatchObject(REFUSED)
    expect(answer.response.headers.get('Server-Timing')).toContain('desc="0"')
    expect(await leadsOf(world, org)).toEqual([])
  })

  it('takes a token of the page that posts, and not of another', async () => {
    const { turnstile, send } = await guarded({ form_allowed_origins: ['https://shop.test'] })
    const origin = { Origin: 'https://shop.test' }
    expect((await send(turnstile.issue({ hostname: 'shop.test' }), {}, origin)).status).toBe(201)
    expect(await send(turnstile.issue({ hostname: 'evil.test' }), { message: 'b' }, origin)).toMatchObject(
      REFUSED,
    )
  })

  it('lets a token work once, and lives five minutes', async () => {
    const { world, turnstile, send } = await guarded()
    const token = turnstile.issue()
    expect((await send(token)).status).toBe(201)
    expect(await send(token, { message: 'another inquiry' })).toMatchObject(REFUSED)
    const late = turnstile.issue()
    world.clock.advance(301)
    expect(await send(late, { message: 'late' })).toMatchObject(REFUSED)
  })

  it('lets the same inquiry come again with its token, when its answer was lost', async () => {
    const { world, turnstile, org, send } = await guarded()
    const token = turnstile.issue()
    const key = { 'Idempotency-Key': 'lost-answer' }
    const first = await send(token, {}, key)
    const again = await send(token, {}, key)
    expect([first.status, again.status, again.body.leadId]).toEqual([201, 200, first.body.leadId])
    expect(await leadsOf(world, org)).toHaveLength(1)
  })

  it.each(['down', 'silent', 'garbage', 'internal-error'] as const)(
    'that is %s loses no lead: it is let in with a doubt',
    async (mood) => {
      const { world, turnstile, org, send } = await guarded()
      turnstile.mood = mood
      expect((await send(turnstile.issue())).status).toBe(201)
      expect(await leadsOf(world, org)).toMatchObject([
        { status: 'received', signals: ['turnstile_unverified'] },
      ])
    },
  )

  it('with a wrong secret is our mistake and no visitor’s', async () => {
    const { world, turnstile, org, send } = await guarded()
    turnstile.secret = 'rotated'
    world.fetch = createFakeTurnstile('rotated', world.clock).fetch
    expect((await send(turnstile.issue())).status).toBe(201)
    expect(await leadsOf(world, org)).toMatchObject([{ signals: ['turnstile_unverified'] }])
  })

  it('without its site key says what is missing instead of drawing a form that nobody could send', async () => {
    const world = createWorld({ TURNSTILE_SECRET_KEY: 'turnstile-secret' })
    const org = await world.organization()
    expect(await read(await world.request('GET', `/lead/${org.slug}`))).toMatchObject({
      status: 503,
      body: { code: 'not_configured', settings: ['TURNSTILE_SITE_KEY'] },
    })
  })
})

describe('while the database is down', () => {
  async function outage(given: Parameters<World['organization']>[0] = {}, more: Record<string, string> = {}) {
    const world = createWorld()
    const org = await world.organization({ reply_mode: 'off', ...given })
    return { world, org, down: createWorld({ ...NOWHERE, ...more }) }
  }

  it('a lead is kept under the id that it will have, and stored when it came', async () => {
    const { world, org, down } = await outage()
    const key = { 'Idempotency-Key': 'k' }
    const kept = await post(down, org.slug, { ...lead, _comments: '' }, key)
    expect([kept.status, kept.body]).toEqual([
      202,
      { leadId: expect.any(String), timestamp: expect.any(String), status: 'queued' },
    ])
    world.clock.advance(600)
    expect(await world.ctx().ingest(org.id).flush(world.clock.now())).toMatchObject({ stored: 1, waiting: 0 })
    expect(await leadsOf(world, org)).toMatchObject([
      { id: kept.body.leadId, received_at: new Date(kept.body.timestamp), status: 'received' },
    ])
    const again = await post(world, org.slug, lead, key)
    expect([again.status, again.body]).toEqual([200, { ...kept.body, status: 'received' }])
  })

  it('spam stays spam, and is answered like the rest', async () => {
    const { world, org, down } = await outage()
    const kept = await post(down, org.slug, { ...lead, _comments: 'x' })
    expect([kept.status, Object.keys(kept.body)]).toEqual([202, ['leadId', 'timestamp', 'status']])
    await world.ctx().ingest(org.id).flush(world.clock.now())
    expect(await leadsOf(world, org)).toMatchObject([{ status: 'spam', signals: ['honeypot'] }])
  })

  it('the directory knows who may post', async () => {
    const { org, down } = await outage({ form_allowed_origins: ['https://shop.test'] })
    const status = async (headers: Record<string, string>) =>
      (await post(down, org.slug, lead, headers)).status
    expect([
      await status({ Origin: 'https://shop.test' }),
      await status({ Origin: 'https://evil.test' }),
      await status({}),
      await status({ Origin: 'http://inlet.test' }),
    ]).toEqual([202, 403, 403, 202])
  })

  it('another body under the same key is refused', async () => {
    const { org, down } = await outage()
    const key = { 'Idempotency-Key': 'k' }
    expect((await post(down, org.slug, lead, key)).status).toBe(202)
    expect(await post(down, org.slug, { ...lead, message: 'other' }, key)).toMatchObject({ status: 422 })
  })

  it('the limits hold in the buffer', async () => {
    const { org, down } = await outage({}, { RATE_LIMIT_FORM_PER_MINUTE: '2' })
    const ip = { 'CF-Connecting-IP': `203.0.113.${Math.floor(Math.random() * 250)}` }
    const statuses: number[] = []
    for (let i = 0; i < 4; i++)
      statuses.push((await post(down, org.slug, { ...lead, message: `m${i}` }, ip)).status)
    expect(statuses).toEqual([202, 202, 429, 429])
  })

  it('the hosted form is drawn, and a browser is thanked as always', async () => {
    const { org, down } = await outage({ form_redirect_url: 'https://shop.test/thanks' })
    const page = await down.request('GET', `/f/${org.slug}`, { headers: { Accept: 'text/html' } })
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('name="email"')])
    const answer = await down.request('POST', `/lead/${org.slug}`, {
      body: urlencoded({ email: 'ada@buyer.test', message: 'Hi' }),
      headers: { ...FORM, Accept: 'text/html' },
    })
    expect([answer.status, answer.headers.get('Location')]).toEqual([303, 'https://shop.test/thanks'])
  })

  it('a slug that nobody can look up is taken in, and judged when the database is back', async () => {
    const { world } = await outage()
    // Made a moment ago, and not in the directory yet.
    const id = crypto.randomUUID()
    const slug = `new-${id.slice(0, 8)}`
    await world.sql(q.insert(organizations).values({ id, slug, name: 'New', reply_mode: 'off' }))
    const down = createWorld(NOWHERE)
    const kept = await post(down, slug)
    const lost = await post(down, 'nobody-has-this')
    expect([kept.status, lost.status]).toEqual([202, 202])
    const ctx = world.ctx()
    const name = nameFor(ctx, { id: kept.body.leadId, destination: { slug } })
    // Its alarm may have been quicker.
    await ctx.ingest(name).flush(world.clock.now())
    expect(await ctx.ingest(name).list('dead', 10, null)).toMatchObject([
      { id: lost.body.leadId, last_error: { code: 'unknown_organization', where: null } },
    ])
    const [found] = await world.sql(q.select({ id: leads.id }).from(leads).where(eq(leads.org_id, id)))
    expect(found).toEqual([{ id: kept.body.leadId }])
  })
})

it('keeps of a contact what is one line on one line', async () => {
  const world = createWorld()
  const org = await world.organization({ reply_mode: 'off' })
  await post(
    world,
    org.slug,
    urlencoded({ email: 'a@b.test', name: 'Ada\r\nBcc: eve@evil.test', x: '\u0000' }),
    FORM,
  )
  const [people, said] = await world.sql(
    q.select({ name: contacts.name }).from(contacts).where(eq(contacts.org_id, org.id)),
    q.select({ from_name: messages.from_name }).from(messages).where(eq(messages.org_id, org.id)),
  )
  expect({ people, said }).toEqual({
    people: [{ name: 'Ada Bcc: eve@evil.test' }],
    said: [{ from_name: 'Ada Bcc: eve@evil.test' }],
  })
})
