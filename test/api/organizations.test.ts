import { eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { organizations } from '#db/schema/organizations'
import { describeSecurity, operatorToken } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

const webhook = 'https://hooks.slack.com/services/T1/B1/secret-part'

function auditOf(world: World, org_id: string) {
  return world
    .sql(q.select().from(audit_logs).where(eq(audit_logs.org_id, org_id)).orderBy(audit_logs.id))
    .then(([rows]) => rows.map(({ action, actor_type, fields }) => ({ action, actor_type, fields })))
}

describe('GET /organization', () => {
  it('answers the settings with an ETag, and never the Slack webhook', async () => {
    const world = createWorld()
    const organization = await world.organization({ slack_webhook_sealed: 'v1.sealed' })
    const owner = await organization.as('owner')
    const response = await world.request('GET', '/api/v1/organization', { token: owner.token })
    expect(response.headers.get('ETag')).toMatch(/^"\w+"$/)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        id: organization.id,
        name: 'Test',
        slug: organization.slug,
        timezone: 'UTC',
        business_hours: null,
        sla_minutes: null,
        ai_provider: null,
        reply_mode: 'auto',
        undo_seconds: 0,
        from_name: null,
        postal_address: null,
        reply_instructions: '',
        allowed_link_hosts: [],
        allowed_commitments: [],
        retention_days: null,
        form_allowed_origins: [],
        form_redirect_url: null,
        welcome_mail: true,
        slack_webhook_configured: true,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
  })
})

const change = {
  name: 'Analytical Engines',
  timezone: 'Europe/Berlin',
  business_hours: {
    mon: [
      ['09:00', '12:00'],
      ['13:00', '17:00'],
    ],
    sat: [['21:00', '02:00']],
  },
  sla_minutes: 90,
  ai_provider: 'heuristic',
  reply_mode: 'draft',
  undo_seconds: 30,
  from_name: 'Ada',
  postal_address: '1 Engine Street\nLondon',
  reply_instructions: 'Ten seats cost 100 a month.',
  allowed_link_hosts: ['engines.example.com'],
  allowed_commitments: ['free trial'],
  retention_days: { conversations: 730, sends: 365 },
  form_allowed_origins: ['https://www.engines.example.com'],
  form_redirect_url: 'https://www.engines.example.com/thanks',
  welcome_mail: false,
}

describe('PATCH /organization', () => {
  const patch = async (
    world: World,
    organization: TestOrganization,
    body: unknown,
    headers: Record<string, string> = {},
  ) =>
    await world.request('PATCH', '/api/v1/organization', {
      token: (await organization.as('owner')).token,
      body,
      headers,
    })

  it('changes what is named, keeps the rest, and records the names of the fields', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const { status, body } = await read(await patch(world, organization, change))
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        ...change,
        id: organization.id,
        slug: organization.slug,
        slack_webhook_configured: false,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
    expect(await auditOf(world, organization.id)).toEqual([
      { action: 'organization.updated', actor_type: 'user', fields: Object.keys(change) },
    ])
  })

  it('records nothing when nothing changes', async () => {
    const world = createWorld()
    const organization = await world.organization()
    await patch(world, organization, change)
    expect((await patch(world, organization, change)).status).toBe(200)
    expect((await patch(world, organization, {})).status).toBe(200)
    expect(await auditOf(world, organization.id)).toHaveLength(1)
  })

  it('seals the Slack webhook for this organization alone, and removes it with null', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const { body } = await read(await patch(world, organization, { slack_webhook_url: webhook }))
    expect(body['slack_webhook_configured']).toBe(true)
    expect(JSON.stringify(body)).not.toContain('secret-part')
    const [[row]] = await world.sql(
      q.select().from(organizations).where(eq(organizations.id, organization.id)),
    )
    const sealed = row?.slack_webhook_sealed ?? ''
    expect(sealed).not.toContain('secret-part')
    expect(await world.ctx().open(sealed, `organization:${organization.id}:slack`)).toBe(webhook)
    await expect(world.ctx().open(sealed, 'organization:another:slack')).rejects.toThrow('sealed')
    const removed = await read(await patch(world, organization, { slack_webhook_url: null }))
    expect(removed.body['slack_webhook_configured']).toBe(false)
  })

  it.each([
    'http://127.0.0.1:8080/hook',
    'https://10.0.0.1/hook',
    'https://localhost/hook',
    'https://metadata.internal/hook',
    'https://user:password@hooks.slack.com/x',
    'ftp://hooks.slack.com/x',
  ])('refuses to post to %s', async (slack_webhook_url) => {
    const world = createWorld()
    const { status, body } = await read<{ code: string; errors: { path: string }[] }>(
      await patch(world, await world.organization(), { slack_webhook_url }),
    )
    expect({ status, path: body.errors[0]?.path }).toEqual({ status: 422, path: 'slack_webhook_url' })
  })

  it.each([
    ['timezone', 'Mars/Olympus'],
    ['timezone', '+02:00'],
    ['slug', 'Not A Slug'],
    ['slug', 'x'],
    ['reply_mode', 'always'],
    ['undo_seconds', -1],
    ['sla_minutes', 0],
    ['retention_days.sends', { sends: 1.5 }],
    ['form_allowed_origins.0', ['https://example.com/path']],
    ['form_redirect_url', 'javascript:alert(1)'],
    ['name', ''],
    ['from_name', 'Ada\r\nBcc: eve@example.com'],
    ['allowed_link_hosts.0', ['https://example.com/path']],
    [
      'business_hours.mon',
      {
        mon: [
          ['17:00', '18:00'],
          ['09:00', '12:00'],
        ],
      },
    ],
    ['business_hours.monday', { monday: [['09:00', '17:00']] }],
    ['slack_webhook_url', 'no url'],
  ])('answers 400 and names %s for the value %j', async (path, value) => {
    const world = createWorld()
    const field = path.split('.')[0] ?? ''
    const { status, body } = await read<{ errors: { path: string }[] }>(
      await patch(world, await world.organization(), { [field]: value }),
    )
    expect({ status, path: body.errors[0]?.path }).toEqual({ status: 400, path })
  })

  it('refuses fields that are not settings', async () => {
    const world = createWorld()
    const organization = await world.organization()
    for (const body of [{ id: crypto.randomUUID() }, { slack_webhook_sealed: 'v1.x' }, { created_at: null }])
      expect((await patch(world, organization, body)).status).toBe(400)
  })

  it('refuses a slug that another organization has, and one that has a meaning of its own', async () => {
    const world = createWorld()
    const other = await world.organization()
    const organization = await world.organization()
    for (const slug of [other.slug, 'postmaster']) {
      const { status, body } = await read(await patch(world, organization, { slug, name: 'Never' }))
      expect({ status, code: body['code'] }).toEqual({ status: 409, code: 'conflict' })
    }
    expect(await auditOf(world, organization.id)).toEqual([])
  })

  it('changes nothing for an If-Match that names another version', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const owner = await organization.as('owner')
    const first = (await world.request('GET', '/api/v1/organization', { token: owner.token })).headers.get(
      'ETag',
    )
    const second = (await patch(world, organization, { name: 'Second' }, { 'If-Match': `W/${first}` }))
      .headers
    expect(second.get('ETag')).not.toBe(first)
    const stale = await read(
      await patch(world, organization, { name: 'Third' }, { 'If-Match': String(first) }),
    )
    expect({ status: stale.status, code: stale.body['code'] }).toEqual({
      status: 412,
      code: 'precondition_failed',
    })
    expect((await patch(world, organization, { name: 'Third' }, { 'If-Match': '*' })).status).toBe(200)
  })

  it('lets one of two writers of the same version win', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const owner = await organization.as('owner')
    const tag = (await world.request('GET', '/api/v1/organization', { token: owner.token })).headers.get(
      'ETag',
    )
    const answers = await Promise.all(
      ['One', 'Two', 'Three'].map((name) =>
        patch(world, organization, { name }, { 'If-Match': String(tag) }),
      ),
    )
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412])
    expect(await auditOf(world, organization.id)).toHaveLength(1)
  })
})

describe('/admin/clients', () => {
  it('gives namesakes made at the same moment a slug each', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const name = `Twins ${crypto.randomUUID()}`
    const made = await Promise.all(
      [1, 2, 3].map(async () =>
        read<{ slug: string }>(await world.request('POST', '/admin/clients', { token, body: { name } })),
      ),
    )
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201])
    expect(new Set(made.map(({ body }) => body.slug)).size).toBe(3)
  })

  it('makes an organization with settings and a slug of its own', async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const name = `Engines ${crypto.randomUUID().slice(0, 8)}`
    const { status, body } = await read<{ id: string; slug: string }>(
      await world.request('POST', '/admin/clients', {
        token,
        body: { name, reply_mode: 'auto', undo_seconds: 0, slack_webhook_url: webhook },
      }),
    )
    expect({ status, body }).toEqual({
      status: 201,
      body: {
        id: expect.any(String),
        name,
        slug: name.toLowerCase().replace(' ', '-'),
        timezone: 'UTC',
        business_hours: null,
        sla_minutes: null,
        ai_provider: null,
        reply_mode: 'auto',
        undo_seconds: 0,
        from_name: null,
        postal_address: null,
        reply_instructions: '',
        allowed_link_hosts: [],
        allowed_commitments: [],
        retention_days: null,
        form_allowed_origins: [],
        form_redirect_url: null,
        welcome_mail: true,
        slack_webhook_configured: true,
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
    expect(await auditOf(world, body.id)).toEqual([
      { action: 'organization.created', actor_type: 'operator', fields: [] },
    ])
    expect(await read(await world.request('GET', `/admin/clients/${body.id}`, { token }))).toEqual({
      status: 200,
      body,
    })
    const twin = await read<{ slug: string }>(
      await world.request('POST', '/admin/clients', { token, body: { name } }),
    )
    expect(twin.status).toBe(201)
    expect(twin.body.slug).toMatch(new RegExp(`^${body.slug}-[0-9a-f]{8}$`))
    const taken = await world.request('POST', '/admin/clients', { token, body: { name, slug: body.slug } })
    expect(taken.status).toBe(409)
  })

  it('lists all organizations by page, by cursor and with a total', async () => {
    const world = createWorld()
    // Newer than whatever other tests of the run have made.
    world.clock.advance(3650 * 86_400)
    const token = await operatorToken(world)
    const made: string[] = []
    for (const name of ['One', 'Two', 'Three']) {
      const body = { name: `${name} ${crypto.randomUUID()}` }
      made.push(
        (await read<{ id: string }>(await world.request('POST', '/admin/clients', { token, body }))).body.id,
      )
    }
    interface Page {
      data: { id: string }[]
      next_cursor: string | null
      total: number
    }
    const list = async (query: string) =>
      (await read<Page>(await world.request('GET', `/admin/clients?${query}`, { token }))).body
    const newest = made.toReversed()
    const first = await list('limit=2')
    expect(first.data.map(({ id }) => id)).toEqual(newest.slice(0, 2))
    expect(first.total).toBeGreaterThanOrEqual(3)
    const byCursor = await list(`limit=1&cursor=${first.next_cursor}`)
    const byOffset = await list('limit=1&offset=2')
    expect(byCursor.data.map(({ id }) => id)).toEqual(newest.slice(2))
    expect(byOffset.data).toEqual(byCursor.data)
  })

  it("changes an organization's settings in the operator's name", async () => {
    const world = createWorld()
    const token = await operatorToken(world)
    const organization = await world.organization()
    const { status, body } = await read(
      await world.request('PATCH', `/admin/clients/${organization.id}`, {
        token,
        body: { reply_mode: 'off' },
      }),
    )
    expect({ status, mode: body['reply_mode'] }).toEqual({ status: 200, mode: 'off' })
    expect(await auditOf(world, organization.id)).toEqual([
      { action: 'organization.updated', actor_type: 'operator', fields: ['reply_mode'] },
    ])
  })
})

describeSecurity({ method: 'GET', path: '/api/v1/organization', allowed: ['owner', 'admin'] })
describeSecurity({
  method: 'PATCH',
  path: '/api/v1/organization',
  body: { name: 'X' },
  allowed: ['owner', 'admin'],
})
describeSecurity({ method: 'GET', path: '/admin/clients', who: 'operator' })
describeSecurity({ method: 'POST', path: '/admin/clients', body: { name: 'X' }, who: 'operator' })
describeSecurity({ method: 'GET', path: (_, { id }) => `/admin/clients/${id}`, who: 'operator' })
describeSecurity({
  method: 'PATCH',
  path: (_, { id }) => `/admin/clients/${id}`,
  body: { name: 'X' },
  who: 'operator',
})
