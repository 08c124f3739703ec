import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { site_tokens } from '#db/schema/inbound'
import { sha256Hex } from '#platform/crypto'
import { describeSecurity } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

interface Token {
  id: string
  name: string
  hint: string
  token: string
  created_at: string
  last_used_at: string | null
  revoked_at: string | null
}

const PATH = '/api/v1/site-tokens'

async function create(world: World, org: TestOrganization, name = 'Website', headers = {}) {
  const { token } = await org.as('owner')
  const response = await world.request('POST', PATH, { token, body: { name }, headers })
  return { response, ...(await read<Token>(response.clone())) }
}

async function list(world: World, org: TestOrganization, query = '') {
  const { token } = await org.as('owner')
  return read<{ data: Token[]; next_cursor: string | null }>(
    await world.request('GET', PATH + query, { token }),
  )
}

async function revoke(world: World, org: TestOrganization, id: string) {
  return (await world.request('DELETE', `${PATH}/${id}`, { token: (await org.as('owner')).token })).status
}

async function audited(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q
      .select({
        action: audit_logs.action,
        entity_id: audit_logs.entity_id,
        actor_id: audit_logs.actor_id,
        fields: audit_logs.fields,
      })
      .from(audit_logs)
      .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.entity, 'site_token')))
      .orderBy(audit_logs.id),
  )
  return rows
}

describe('POST /site-tokens', () => {
  it('makes a token that is shown once, stored as a hash and on the record', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { id: created_by } = await org.as('owner')
    const { response, status, body } = await create(world, org)
    const shown = {
      id: body.id,
      name: 'Website',
      hint: body.token.slice(-4),
      created_by,
      created_at: expect.any(String),
      last_used_at: null,
      revoked_at: null,
    }
    expect({ status, cache: response.headers.get('Cache-Control'), body }).toEqual({
      status: 201,
      cache: 'no-store',
      body: { ...shown, token: expect.stringMatching(/^inlet_site_[\w-]{88}$/) },
    })
    expect(await list(world, org)).toEqual({ status: 200, body: { data: [shown], next_cursor: null } })
    const [rows] = await world.sql(q.select().from(site_tokens).where(eq(site_tokens.org_id, org.id)))
    expect(rows.map(({ hash }) => hash)).toEqual([await sha256Hex(body.token)])
    expect(JSON.stringify(rows)).not.toContain(body.token)
    expect(await audited(world, org)).toEqual([
      { action: 'site_token.created', entity_id: body.id, actor_id: created_by, fields: ['name'] },
    ])
  })

  it('makes another one for the same name, and the first answer again for the same Idempotency-Key', async () => {
    const world = createWorld()
    const org = await world.organization()
    const keyed = { 'Idempotency-Key': 'once' }
    const first = await create(world, org, 'Website', keyed)
    const again = await create(world, org, 'Website', keyed)
    const other = await create(world, org, 'Website')
    expect(again.body).toEqual(first.body)
    expect(again.response.headers.get('Cache-Control')).toBe('no-store')
    expect(other.body.token).not.toBe(first.body.token)
    expect((await list(world, org)).body.data.map(({ id }) => id)).toEqual([other.body.id, first.body.id])
  })

  it.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: '   ' }, 'name'],
    [{ name: 'a\u0000b' }, 'name'],
    [{ name: 'x'.repeat(101) }, 'name'],
    [{ name: 7 }, 'name'],
  ])('answers 400 to %j and names the field', async (body, path) => {
    const world = createWorld()
    const org = await world.organization()
    const { token } = await org.as('admin')
    const answer = await read<{ code: string; errors: { path: string }[] }>(
      await world.request('POST', PATH, { token, body }),
    )
    expect([answer.status, answer.body.code, answer.body.errors[0]?.path]).toEqual([400, 'invalid', path])
  })

  it('answers 400 to a field that it does not know', async () => {
    const world = createWorld()
    const { token } = await (await world.organization()).as('admin')
    const { status, body } = await read(
      await world.request('POST', PATH, { token, body: { name: 'x', org_id: crypto.randomUUID() } }),
    )
    expect({ status, errors: body['errors'] }).toEqual({
      status: 400,
      errors: [{ path: 'org_id', message: 'is not known here' }],
    })
  })

  it('lets fifty be active, also when they are made at the same moment, and another one when one is revoked', async () => {
    const world = createWorld()
    const org = await world.organization()
    const row = (i: number) => ({
      id: crypto.randomUUID(),
      org_id: org.id,
      name: `t${i}`,
      hash: `h${i}`,
      hint: 'hint',
    })
    await world.sql(q.insert(site_tokens).values(Array.from({ length: 47 }, (_, i) => row(i))))
    const made = await Promise.all(Array.from({ length: 8 }, () => create(world, org)))
    expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      201, 201, 201, 422, 422, 422, 422, 422,
    ])
    expect((await audited(world, org)).length).toBe(3)
    const one = made.find(({ status }) => status === 201)?.body.id ?? ''
    expect(await revoke(world, org, one)).toBe(204)
    expect((await create(world, org)).status).toBe(201)
    expect((await create(world, org)).status).toBe(422)
  })

  describeSecurity({ method: 'POST', path: PATH, body: { name: 'Website' }, allowed: ['owner', 'admin'] })
})

describe('GET /site-tokens', () => {
  it('shows the newest first, by pages, revoked ones too, and nobody else’s', async () => {
    const world = createWorld()
    const [org, other] = [await world.organization(), await world.organization()]
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) {
      ids.unshift((await create(world, org, name)).body.id)
      world.clock.advance(1)
    }
    await create(world, other)
    await revoke(world, org, ids[2] ?? '')
    const first = await list(world, org, '?limit=2')
    const rest = await list(world, org, `?limit=2&cursor=${first.body.next_cursor}`)
    expect([...first.body.data, ...rest.body.data].map(({ id, revoked_at }) => [id, revoked_at])).toEqual([
      [ids[0], null],
      [ids[1], null],
      [ids[2], expect.any(String)],
    ])
    expect(rest.body.next_cursor).toBeNull()
    expect(JSON.stringify(first.body)).not.toContain('inlet_site_')
  })

  it('answers 400 to a cursor that is not its own', async () => {
    const world = createWorld()
    const org = await world.organization()
    expect((await list(world, org, '?cursor=nonsense')).status).toBe(400)
  })

  describeSecurity({ method: 'GET', path: PATH, allowed: ['owner', 'admin'] })
})

describe('DELETE /site-tokens/{id}', () => {
  it('revokes for good, and changes nothing a second time', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { id } = (await create(world, org)).body
    expect(await revoke(world, org, id)).toBe(204)
    const { revoked_at } = (await list(world, org)).body.data[0] ?? {}
    world.clock.advance(60)
    expect(await revoke(world, org, id)).toBe(204)
    expect((await list(world, org)).body.data.map((token) => token.revoked_at)).toEqual([revoked_at])
    expect((await audited(world, org)).map(({ action }) => action)).toEqual([
      'site_token.created',
      'site_token.revoked',
    ])
  })

  it('is on the record once when two revoke at the same moment', async () => {
    const world = createWorld()
    const org = await world.organization()
    const { id } = (await create(world, org)).body
    const answers = await Promise.all([1, 2, 3, 4].map(() => revoke(world, org, id)))
    expect(answers).toEqual([204, 204, 204, 204])
    expect(await audited(world, org)).toHaveLength(2)
  })

  it('answers 400 to what is no id', async () => {
    const world = createWorld()
    expect(await revoke(world, await world.organization(), 'nonsense')).toBe(400)
  })

  describeSecurity({
    method: 'DELETE',
    path: async (world, org) => `${PATH}/${(await create(world, org)).body.id}`,
    allowed: ['owner', 'admin'],
  })
})
