import { and, eq, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q, raw } from '#db/client'
import { idempotency_keys } from '#db/schema/platform'
import { organizations } from '#db/schema/organizations'
import { users } from '#db/schema/auth'
import { operatorToken } from '#test/security'
import { createWorld, read, type World } from '#test/world'

const unique = () => crypto.randomUUID()

async function create(world: World, key: string | undefined, body: unknown, token?: string) {
  const response = await world.request('POST', '/admin/clients', {
    token: token ?? (await operatorToken(world)),
    body,
    headers: key === undefined ? {} : { 'Idempotency-Key': key },
  })
  const replayed = response.headers.get('Idempotent-Replayed')
  const timing = response.headers.get('Server-Timing')
  const etag = response.headers.get('ETag')
  return { replayed, timing, etag, ...(await read<{ id: string; code: string }>(response)) }
}

const rowOf = async (world: World, key: string) =>
  (await world.sql(q.select().from(idempotency_keys).where(eq(idempotency_keys.key, key))))[0][0]

async function countNamed(world: World, name: string): Promise<number> {
  return (await world.sql(q.select().from(organizations).where(eq(organizations.name, name))))[0].length
}

describe('Idempotency-Key', () => {
  it('answers the same key and body with the first response, and does the work once', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    const first = await create(world, key, { name })
    const second = await create(world, key, { name })
    expect({ status: first.status, replayed: first.replayed }).toEqual({ status: 201, replayed: null })
    expect({ ...second, timing: null }).toEqual({ ...first, replayed: 'true', timing: null })
    expect(await countNamed(world, name)).toBe(1)
  })

  it('refuses the same key with another body or query: 422, and nothing is written', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    await create(world, key, { name: `Other ${name}` })
    const { status, body } = await create(world, key, { name })
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'unprocessable' })
    expect(await countNamed(world, name)).toBe(0)
  })

  it('does the work once when the same request arrives ten times at once; the others are 409 or the same answer', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    const token = await operatorToken(world)
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(world, key, { name }, token)))
    expect(await countNamed(world, name)).toBe(1)
    const fresh = answers.filter(({ status, replayed }) => status === 201 && replayed === null)
    expect(fresh).toHaveLength(1)
    for (const { status, body } of answers) {
      if (status === 201) expect(body.id).toBe(fresh[0]?.body.id)
      else expect({ status, code: body.code }).toEqual({ status: 409, code: 'conflict' })
    }
  })

  it('runs the key again when the first died: after its lease, not before', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    await create(world, key, { name })
    const set = (lease: ReturnType<typeof sql>) =>
      world.sql(
        q
          .update(idempotency_keys)
          .set({ state: 'running', response_sealed: null, lease_until: lease })
          .where(eq(idempotency_keys.key, key)),
      )
    await set(sql`now() + interval '30 seconds'`)
    expect((await create(world, key, { name })).status).toBe(409)
    await set(sql`now() - interval '1 second'`)
    expect((await create(world, key, { name: 'Another body' })).status).toBe(422)
    const again = await create(world, key, { name })
    expect({ status: again.status, replayed: again.replayed }).toEqual({ status: 201, replayed: null })
    expect((await create(world, key, { name })).body.id).toBe(again.body.id)
  })

  it('forgets a key after a day', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    await create(world, key, { name })
    world.clock.advance(24 * 3600 + 1)
    const later = await create(world, key, { name: `Later ${name}` })
    expect({ status: later.status, replayed: later.replayed }).toEqual({ status: 201, replayed: null })
  })

  it('keeps the answer of a refusal that stays one, and frees the key after one that may pass', async () => {
    const world = createWorld()
    const wrong = unique()
    expect((await create(world, wrong, { name: '' })).replayed).toBeNull()
    expect(await create(world, wrong, { name: '' })).toMatchObject({ status: 400, replayed: 'true' })
    const passing = unique()
    const slug = `taken-${unique().slice(0, 8)}`
    const organization = await world.organization({ slug })
    expect((await create(world, passing, { name: 'X', slug })).status).toBe(409)
    expect(await rowOf(world, passing)).toBeUndefined()
    await world.sql(q.delete(organizations).where(eq(organizations.id, organization.id)))
    expect((await create(world, passing, { name: 'X', slug })).status).toBe(201)
  })

  it('never answers one caller with what another caller was answered', async () => {
    const world = createWorld()
    const key = unique()
    const scopes = new Set<string>()
    const [one, two] = [await world.organization(), await world.organization()]
    const path = '/api/v1/notifications/read-all'
    for (const token of [
      (await one.as('owner')).token,
      (await two.as('owner')).token,
      (await one.as('agent')).token,
    ]) {
      const response = await world.request('POST', path, { token, headers: { 'Idempotency-Key': key } })
      expect({ status: response.status, replayed: response.headers.get('Idempotent-Replayed') }).toEqual({
        status: 200,
        replayed: null,
      })
    }
    const [rows] = await world.sql(q.select().from(idempotency_keys).where(eq(idempotency_keys.key, key)))
    for (const { scope } of rows) scopes.add(scope)
    expect(scopes.size).toBe(3)
  })

  it('gives an anonymous or forged caller no answer of somebody else, and keeps none for them', async () => {
    const world = createWorld()
    const [key, name] = [unique(), `Engines ${unique()}`]
    const token = await operatorToken(world)
    await create(world, key, { name }, token)
    const [head = '', payload = ''] = token.split('.')
    expect((await create(world, key, { name }, `${head}.${payload}.Zm9yZ2Vk`)).status).toBe(401)
    const anonymous = await world.request('POST', '/admin/clients', {
      body: { name },
      headers: { 'Idempotency-Key': key },
    })
    expect(anonymous.status).toBe(401)
    const [rows] = await world.sql(q.select().from(idempotency_keys).where(eq(idempotency_keys.key, key)))
    expect(rows.map(({ scope }) => scope)).toEqual(['operator:operator /admin/clients'])
  })

  it('keeps neither the answer nor the body readable in the table', async () => {
    const world = createWorld()
    const key = unique()
    const email = `ada-${unique()}@example.com`
    const body = { name: 'Ada', email, password: 'a long enough phrase' }
    const register = async () =>
      read<{ refresh_token: string }>(
        await world.request('POST', '/api/v1/auth/register', { body, headers: { 'Idempotency-Key': key } }),
      )
    const first = await register()
    expect(first.status).toBe(201)
    expect(await register()).toEqual(first)
    const row = JSON.stringify(await rowOf(world, key))
    expect(row).not.toContain(first.body.refresh_token)
    expect(row).not.toContain(email)
    const [plain] = await world.sql(
      raw<{ found: boolean }>(
        sql`select request_hash = encode(sha256(convert_to(${JSON.stringify(body)}, 'UTF8')), 'hex') as found from idempotency_keys where key = ${key}`,
      ),
    )
    expect(plain.rows[0]?.found).toBe(false)
    const [made] = await world.sql(
      q
        .select()
        .from(users)
        .where(and(eq(users.email_norm, email))),
    )
    expect(made).toHaveLength(1)
  })

  it.each(['', 'x'.repeat(256), 'tab\there'])('refuses the key %j', async (key) => {
    const world = createWorld()
    expect((await create(world, key, { name: 'X' })).status).toBe(400)
  })

  it('costs no round trip without the header', async () => {
    const world = createWorld()
    const name = `Engines ${unique()}`
    expect((await create(world, undefined, { name })).timing).toContain('desc="3"')
    expect((await create(world, unique(), { name: `Keyed ${name}` })).timing).toContain('desc="5"')
  })

  it('is not asked about by sign-in and refresh', async () => {
    const world = createWorld()
    const key = unique()
    const body = { email: 'nobody@example.com', password: 'wrong' }
    for (const path of ['/api/v1/auth/login', '/api/auth/login']) {
      await world.request('POST', path, { body, headers: { 'Idempotency-Key': key } })
    }
    expect(await rowOf(world, key)).toBeUndefined()
  })

  it('leaves the body to handlers that read it themselves, also a large one', async () => {
    const world = createWorld()
    const name = `Engines ${unique()}`
    const reply_instructions = 'ä'.repeat(9000)
    const { status, body } = await create(world, unique(), { name, reply_instructions })
    expect({
      status,
      same: (body as { reply_instructions?: string }).reply_instructions === reply_instructions,
    }).toEqual({ status: 201, same: true })
  })

  it('leaves nothing behind for a route that does not exist, however long its path', async () => {
    const world = createWorld()
    const key = unique()
    const token = await operatorToken(world)
    const long = Array.from({ length: 200 }, unique).join('')
    for (const path of ['/admin/nothing', `/admin/${long}`, `/admin/${long}`]) {
      const { status } = await world.request('POST', path, {
        token,
        body: {},
        headers: { 'Idempotency-Key': key },
      })
      expect(status).toBe(404)
    }
    expect(await rowOf(world, key)).toBeUndefined()
  })

  it('stores nothing for strangers but what they have made', async () => {
    const world = createWorld()
    const keys = [unique(), unique(), unique()]
    for (const [i, path] of ['/api/v1/auth/register', '/api/v1/drafts', '/admin/clients'].entries())
      await world.request('POST', path, { body: { i }, headers: { 'Idempotency-Key': keys[i] ?? '' } })
    expect(await Promise.all(keys.map((key) => rowOf(world, key)))).toEqual([undefined, undefined, undefined])
  })
})
