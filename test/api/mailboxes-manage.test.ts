import { and, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { mailboxes } from '#db/schema/mailboxes'
import { operatorToken } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

async function addMailbox(world: World, organization: TestOrganization): Promise<string> {
  const id = crypto.randomUUID()
  const email = `${id.slice(0, 8)}@box.test`
  const account = { provider: 'google' as const, account_subject: id, email, email_norm: email }
  await world.sql(
    q.insert(mailboxes).values({ id, org_id: organization.id, ...account, status: 'connected' }),
  )
  return id
}

const auditOf = async (world: World, organization: TestOrganization, action: string) => {
  const [rows] = await world.sql(
    q
      .select({ entity_id: audit_logs.entity_id, fields: audit_logs.fields })
      .from(audit_logs)
      .where(and(eq(audit_logs.org_id, organization.id), eq(audit_logs.action, action))),
  )
  return rows
}

describe('PATCH /mailboxes/{id}', () => {
  it('leaves no trace of a change to a mailbox that is not there, or of one that changes nothing', async () => {
    const world = createWorld()
    const [organization, other] = [await world.organization(), await world.organization()]
    const [mine, foreign] = [await addMailbox(world, organization), await addMailbox(world, other)]
    const { token } = await organization.as('owner')
    const patch = (id: string, body: unknown) =>
      world.request('PATCH', `/api/v1/mailboxes/${id}`, { token, body })
    expect((await patch(foreign, { daily_cap: 5 })).status).toBe(404)
    expect((await patch(crypto.randomUUID(), { daily_cap: 5 })).status).toBe(404)
    expect((await patch(mine, { daily_cap: 1000 })).status).toBe(200)
    expect(await auditOf(world, organization, 'mailbox.updated')).toEqual([])
    expect((await patch(mine, { daily_cap: 5, auto_send: true })).status).toBe(200)
    expect(await auditOf(world, organization, 'mailbox.updated')).toEqual([
      { entity_id: mine, fields: ['daily_cap'] },
    ])
  })

  it('honours If-Match with the ETag of the mailbox', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const path = `/api/v1/mailboxes/${await addMailbox(world, organization)}`
    const { token } = await organization.as('owner')
    const tag = (await world.request('GET', path, { token })).headers.get('ETag') ?? ''
    const patch = (daily_cap: number, match: string) =>
      world.request('PATCH', path, { token, body: { daily_cap }, headers: { 'If-Match': match } })
    const first = await patch(7, tag)
    expect([first.status, first.headers.get('ETag')]).toEqual([200, expect.stringMatching(/^"\w+"$/)])
    expect((await patch(8, tag)).status).toBe(412)
    expect((await patch(9, first.headers.get('ETag') ?? '')).status).toBe(200)
  })
})

describe('POST /admin/clients/{id}/disconnect', () => {
  it('disconnects nothing when its body is misspelt or of another type', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const id = await addMailbox(world, organization)
    const token = await operatorToken(world)
    const disconnect = async (body: unknown, headers = {}) => {
      const path = `/admin/clients/${organization.id}/disconnect`
      const { status, body: answer } = await read(await world.request('POST', path, { token, body, headers }))
      return { status, code: answer['code'] }
    }
    expect(await disconnect({ mailboxId: id })).toEqual({ status: 400, code: 'invalid' })
    expect(await disconnect(JSON.stringify({ mailbox_id: id }), { 'Content-Type': 'text/plain' })).toEqual({
      status: 415,
      code: 'unsupported_media_type',
    })
    const [rows] = await world.sql(
      q.select({ status: mailboxes.status }).from(mailboxes).where(eq(mailboxes.id, id)),
    )
    expect(rows).toEqual([{ status: 'connected' }])
  })

  it('says once when a mailbox was disconnected, however often it is asked', async () => {
    const world = createWorld()
    const organization = await world.organization()
    const id = await addMailbox(world, organization)
    const token = await operatorToken(world)
    for (let i = 0; i < 2; i++) {
      const path = `/admin/clients/${organization.id}/disconnect`
      const answer = await read(await world.request('POST', path, { token }))
      expect(answer).toEqual({ status: 200, body: { disconnected: [id] } })
    }
    expect(await auditOf(world, organization, 'mailbox.disconnected')).toEqual([
      { entity_id: id, fields: ['status'] },
    ])
  })
})

describe('an answer of the API', () => {
  it('is kept by no cache, whether it is a row, a list or an error', async () => {
    const world = createWorld()
    const { token } = await (await world.organization()).as('owner')
    const cached = async (path: string, given: { token?: string } = { token }) =>
      (await world.request('GET', path, given)).headers.get('Cache-Control')
    expect(await cached('/api/v1/organization')).toBe('no-store')
    expect(await cached('/api/leads')).toBe('no-store')
    expect(await cached('/api/v1/leads', {})).toBe('no-store')
    expect(await cached(`/api/v1/leads/${crypto.randomUUID()}`)).toBe('no-store')
    expect(await cached('/admin/clients', { token: await operatorToken(world) })).toBe('no-store')
    expect(await cached('/api/v1/openapi.json', {})).toBe('no-cache')
  })
})

describe('a body of many unknown fields', () => {
  it('is refused in few words', async () => {
    const world = createWorld()
    const { token } = await (await world.organization()).as('owner')
    const body = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`field${i}`, 1]))
    const response = await world.request('PATCH', '/api/v1/organization', { token, body })
    expect([response.status, (await response.text()).length < 1000]).toEqual([400, true])
  })
})
