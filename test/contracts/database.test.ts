// The wall between organizations, as the database itself holds it: a new table that lacks any of it fails here.
import { neon } from '@neondatabase/serverless'
import { eq, sql } from 'drizzle-orm'
import { describe, expect, inject, it } from 'vitest'
import { DatabaseError, q, raw } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts } from '#db/schema/conversations'
import { AppError } from '#kernel/errors'
import { createWorld } from '#test/world'

const scope = (org_id: string) => ({ org_id, visibility: 'all' as const })
const contact = (org_id: string) => {
  const email = `${crypto.randomUUID()}@buyer.test`
  return { id: crypto.randomUUID(), org_id, email, email_norm: email }
}

interface Table extends Record<string, unknown> {
  name: string
  enabled: boolean
  forced: boolean
  has_org: boolean
  policies: string[]
}

async function tables(): Promise<Table[]> {
  const [result] = await createWorld().sql(
    raw<Table>(sql`select c.relname as name, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
      exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped) or c.relname = 'organizations' as has_org,
      coalesce((select array_agg(p.polname::text order by p.polname) from pg_policy p where p.polrelid = c.oid), '{}') as policies
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind in ('r', 'p') order by 1`),
  )
  return result.rows
}

describe('every table', () => {
  it('has row-level security enabled and forced, with the policies of its kind', async () => {
    const all = await tables()
    expect(all.length).toBeGreaterThan(20)
    for (const { name, enabled, forced, has_org, policies } of all) {
      expect({ name, enabled, forced, policies }).toEqual({
        name,
        enabled: true,
        forced: true,
        policies: has_org ? ['org_isolation', 'system_all'] : ['system_all'],
      })
    }
  })

  it('shows a tenant nothing of another one, and takes nothing for another one', async () => {
    const world = createWorld()
    const [mine, other] = [await world.organization(), await world.organization()]
    for (const { name, has_org } of await tables()) {
      const column = name === 'organizations' ? 'id' : 'org_id'
      const select = sql`select count(*)::int as n from ${sql.identifier(name)} where ${has_org ? sql`${sql.identifier(column)} <> ${mine.id}` : sql`true`}`
      const seen = await world
        .ctx()
        .db.org(scope(mine.id))
        .batch([raw<{ n: number }>(select)])
        .then(
          ([result]) => result.rows[0]?.n,
          (error: unknown) => (error instanceof DatabaseError ? error.code : 'unknown'),
        )
      // Tables of the installation are not even granted.
      expect([name, seen]).toEqual([name, has_org ? 0 : '42501'])
    }
    const refused = world
      .ctx()
      .db.org(scope(mine.id))
      .batch([q.insert(contacts).values(contact(other.id))])
    await expect(refused).rejects.toMatchObject({ code: '42501' })
  })

  it('has foreign keys between tenant tables that carry the organization', async () => {
    const [plain] = await createWorld().sql(
      raw<{ key: string }>(sql`select c.conname as key from pg_constraint c
        join pg_class t on t.oid = c.conrelid join pg_class r on r.oid = c.confrelid
        where c.contype = 'f' and r.relname <> 'organizations'
          and exists (select from pg_attribute a where a.attrelid = r.oid and a.attname = 'org_id')
          and not exists (select from unnest(c.conkey) k join pg_attribute a on a.attrelid = t.oid and a.attnum = k where a.attname = 'org_id')`),
    )
    expect(plain.rows).toEqual([])
  })

  it('never loses its organization when a neighbour is deleted', async () => {
    const [nulling] = await createWorld().sql(
      raw<{ key: string }>(
        sql`select conname as key from pg_constraint where contype = 'f' and confdeltype = 'n' and confdelsetcols is null`,
      ),
    )
    expect(nulling.rows).toEqual([])
  })
})

describe('the runtime login', () => {
  it('is no superuser, bypasses nothing, and reads nothing where the role was forgotten', async () => {
    const { DATABASE_URL } = createWorld().env
    const login = neon(DATABASE_URL)
    expect(
      await login.query(
        'select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user',
      ),
    ).toEqual([{ rolsuper: false, rolbypassrls: false, rolcreaterole: false }])
    for (const { name } of await tables()) {
      await expect(login.query(`select * from "${name}" limit 1`)).rejects.toMatchObject({ code: '42501' })
    }
  })

  it('is nobody again after each transaction', async () => {
    const world = createWorld()
    const org = await world.organization()
    await world
      .ctx()
      .db.org(scope(org.id))
      .batch([q.select().from(contacts)])
    const login = neon(world.env.DATABASE_URL)
    expect(
      await login.query(
        "select current_user as who, coalesce(current_setting('app.org_id', true), '') as org",
      ),
    ).toEqual([{ who: 'inlet_login', org: '' }])
  })
})

describe('the doors', () => {
  it('one batch is one transaction: a statement that fails leaves nothing of the others', async () => {
    const world = createWorld()
    const org = await world.organization()
    const row = contact(org.id)
    const door = world.ctx().db.org(scope(org.id))
    await expect(door.batch([q.insert(contacts).values(row), raw(sql`select 1 / 0`)])).rejects.toMatchObject({
      code: '22012',
    })
    expect(await door.batch([q.select().from(contacts)])).toEqual([[]])
  })

  it('an interactive transaction sees only its organization, commits as a whole and rolls back as a whole', async () => {
    const world = createWorld()
    const org = await world.organization()
    const ctx = world.ctx()
    const kept = contact(org.id)
    const count = await ctx.db.org(scope(org.id)).transaction(async (run) => {
      await run(q.insert(contacts).values(kept))
      return (await run(q.select({ id: contacts.id }).from(contacts))).length
    })
    expect(count).toBe(1)
    const undone = ctx.db.org(scope(org.id)).transaction(async (run) => {
      await run(q.insert(contacts).values(contact(org.id)))
      throw new AppError('conflict', 'no')
    })
    await expect(undone).rejects.toMatchObject({ code: 'conflict' })
    const [rows] = await ctx.db.org(scope(org.id)).batch([q.select({ id: contacts.id }).from(contacts)])
    expect(rows).toEqual([{ id: kept.id }])
  })

  it('an unknown slug, and nobody, see no row', async () => {
    const world = createWorld()
    const org = await world.organization()
    await world.sql(q.insert(contacts).values(contact(org.id)))
    const ctx = world.ctx()
    expect(await ctx.db.bySlug('no-such-slug').batch([q.select().from(contacts)])).toEqual([[]])
    expect(await ctx.db.nobody().batch([q.select().from(contacts)])).toEqual([[]])
    const [rows] = await ctx.db.bySlug(org.slug).batch([q.select({ org: contacts.org_id }).from(contacts)])
    expect(rows).toEqual([{ org: org.id }])
  })

  it('a transaction that Postgres gave up for another one is unavailable for a moment, not broken', async () => {
    const deadlock = raw(sql`do $$ begin raise exception 'deadlock detected' using errcode = '40P01'; end $$`)
    await expect(createWorld().sql(deadlock)).rejects.toMatchObject({
      name: 'AppError',
      code: 'unavailable',
    })
  })

  it('a database that does not answer is unavailable, not an error of its own with an address in it', async () => {
    const world = createWorld({ NEON_GATEWAY_URL: 'http://127.0.0.1:9' })
    const failing = world
      .ctx()
      .db.nobody()
      .batch([raw(sql`select 1`)])
    await expect(failing).rejects.toMatchObject({
      name: 'AppError',
      code: 'unavailable',
      details: { retry_after_seconds: 5 },
    })
    await expect(failing).rejects.not.toThrow(/127\.0\.0\.1/)
  })
})

describe('the audit log', () => {
  const entry = (org_id: string) => ({
    id: crypto.randomUUID(),
    org_id,
    at: new Date(),
    actor_type: 'system' as const,
    actor_id: 'test',
    action: 'tested',
    entity: 'test',
    entity_id: '1',
  })

  it('takes rows and gives none back: not to the tenant, not to the system', async () => {
    const world = createWorld()
    const org = await world.organization()
    const door = world.ctx().db.org(scope(org.id))
    await door.batch([q.insert(audit_logs).values(entry(org.id))])
    for (const statement of [q.update(audit_logs).set({ action: 'forged' }), q.delete(audit_logs)]) {
      await expect(door.batch([statement])).rejects.toMatchObject({ code: '42501' })
      await expect(world.sql(statement)).rejects.toMatchObject({ code: '42501' })
    }
    await expect(world.sql(raw(sql`truncate audit_logs`))).rejects.toMatchObject({ code: '42501' })
  })

  it('is chained by the sweep once, also when two chain at the same time, and verifies', async () => {
    const world = createWorld()
    const org = await world.organization()
    await world.sql(q.insert(audit_logs).values(Array.from({ length: 30 }, () => entry(org.id))))
    await Promise.all([world.tick('*/5 * * * *'), world.tick('*/5 * * * *', new Date(Date.now() + 300_000))])
    const owner = await org.as('owner')
    const answer = await world.request('GET', '/api/v1/audit-logs/verify', { token: owner.token })
    expect(await answer.json()).toEqual({ ok: true, checked: 30, unchained: 0 })
    const [links] = await world.sql(
      raw<{ n: number }>(
        sql`select count(distinct audit_id)::int as n from audit_chain where org_id = ${org.id}`,
      ),
    )
    expect(links.rows).toEqual([{ n: 30 }])
  })

  it('shows a row that was changed, and a last row that was removed, by the owner of the tables', async () => {
    const world = createWorld()
    const org = await world.organization()
    const rows = Array.from({ length: 5 }, () => entry(org.id))
    await world.sql(q.insert(audit_logs).values(rows))
    const owner = await org.as('owner')
    const verify = async () =>
      (await world.request('GET', '/api/v1/audit-logs/verify', { token: owner.token })).json()
    expect(await verify()).toEqual({ ok: true, checked: 5, unchained: 0 })
    const order = await world.sql(
      raw<{ audit_id: string }>(sql`select audit_id from audit_chain where org_id = ${org.id} order by seq`),
    )
    const chained = order[0].rows.map((row) => row.audit_id)
    // What no role of the product can do: the owner takes the rules away, forges, and puts them back.
    const tamper = neon(inject('ownerUrl'))
    const forge = (statement: string, id: string | undefined) =>
      tamper.transaction([
        tamper.query('alter table audit_logs no force row level security'),
        tamper.query('alter table audit_logs disable trigger audit_logs_append_only'),
        tamper.query(statement, [id]),
        tamper.query('alter table audit_logs enable trigger audit_logs_append_only'),
        tamper.query('alter table audit_logs force row level security'),
      ])
    await forge('delete from audit_logs where id = $1', chained[4])
    expect(await verify()).toEqual({ ok: false, checked: 5, unchained: 0, broken_at: 5 })
    await forge("update audit_logs set action = 'forged' where id = $1", chained[2])
    expect(await verify()).toEqual({ ok: false, checked: 5, unchained: 0, broken_at: 3 })
  })

  it('keeps another organization’s rows out of the list', async () => {
    const world = createWorld()
    const [mine, other] = [await world.organization(), await world.organization()]
    await world.sql(q.insert(audit_logs).values(entry(other.id)))
    const owner = await mine.as('owner')
    const answer = await world.request('GET', '/api/v1/audit-logs', { token: owner.token })
    expect(await answer.json()).toEqual({ data: [], next_cursor: null })
    const [rows] = await world.sql(
      q.select({ id: audit_logs.id }).from(audit_logs).where(eq(audit_logs.org_id, other.id)),
    )
    expect(rows).toHaveLength(1)
  })
})
