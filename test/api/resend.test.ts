import { and, asc, eq } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { audit_logs } from '#db/schema/audit'
import { contacts } from '#db/schema/conversations'
import { leads } from '#db/schema/leads'
import { mail_templates, sends, suppressions } from '#db/schema/sending'
import type { SendState } from '#kernel/vocabulary'
import { arrangeReply } from '#test/sends'
import { describeSecurity } from '#test/security'
import { createWorld, read, type TestOrganization, type World } from '#test/world'

interface Send {
  id: string
  kind: string
  state: string
  automatic: boolean
  to: string
  subject: string
  lead_id: string
  created_by: string
}

async function sendsOf(world: World, org: TestOrganization) {
  const [rows] = await world.sql(
    q.select().from(sends).where(eq(sends.org_id, org.id)).orderBy(asc(sends.created_at), asc(sends.id)),
  )
  return rows
}

async function acknowledged(
  world: World,
  org: TestOrganization,
): Promise<{ welcome: string; alert: string }> {
  await world.request('POST', `/lead/${org.slug}`, {
    body: { email: 'ada@buyer.test', name: 'Ada', message: 'What do ten seats cost?' },
  })
  await world.drain()
  const rows = await sendsOf(world, org)
  const idOf = (kind: string) => rows.find((row) => row.kind === kind)?.id ?? ''
  return { welcome: idOf('welcome'), alert: idOf('admin_alert') }
}

async function createScene() {
  const world = createWorld({ ADMIN_EMAIL: 'boss@agency.test' })
  world.fetch = async () => new Response('ok')
  const org = await world.organization({ name: 'Shop', reply_mode: 'draft' })
  const manager = await org.as('manager')
  const again = (id: string, headers: Record<string, string> = {}) =>
    world.request('POST', `/api/v1/sends/${id}/resend`, { token: manager.token, headers })
  return { world, org, manager, again, ...(await acknowledged(world, org)) }
}

describe('POST /sends/{id}/resend', () => {
  it('makes a new send of the kind, worded anew, that leaves although the address had its mail today', async () => {
    const { world, org, manager, again, welcome } = await createScene()
    await world.sql(
      q.insert(mail_templates).values({ org_id: org.id, kind: 'welcome', subject: 'New words', body: 'x' }),
      q
        .update(contacts)
        .set({ email: 'Ada@new.test', email_norm: 'ada@new.test' })
        .where(eq(contacts.org_id, org.id)),
    )
    const { status, body } = await read<Send>(await again(welcome))
    const [[lead]] = await world.sql(q.select().from(leads).where(eq(leads.org_id, org.id)))
    expect({ status, ...body }).toMatchObject({
      status: 201,
      kind: 'welcome',
      state: 'scheduled',
      automatic: false,
      to: 'ada@new.test',
      subject: 'New words',
      lead_id: lead?.id,
      created_by: manager.id,
    })
    expect(body.id).not.toBe(welcome)
    await world.drain()
    const rows = await sendsOf(world, org)
    expect(rows.filter(({ kind }) => kind === 'welcome').map(({ state }) => state)).toEqual(['sent', 'sent'])
    const [audit] = await world.sql(
      q
        .select({ actor_id: audit_logs.actor_id, entity_id: audit_logs.entity_id })
        .from(audit_logs)
        .where(and(eq(audit_logs.org_id, org.id), eq(audit_logs.action, 'send.resent'))),
    )
    expect(audit).toEqual([{ actor_id: manager.id, entity_id: body.id }])
  })

  it('tells the operator again too', async () => {
    const { world, org, again, alert } = await createScene()
    expect((await read<Send>(await again(alert))).body).toMatchObject({
      kind: 'admin_alert',
      to: 'boss@agency.test',
    })
    await world.drain()
    const alerts = (await sendsOf(world, org)).filter(({ kind }) => kind === 'admin_alert')
    expect(alerts.map(({ state }) => state)).toEqual(['sent', 'sent'])
  })

  it.each<SendState>(['sent', 'failed', 'skipped'])('takes one that is %s', async (state) => {
    const { world, again, welcome } = await createScene()
    await world.sql(q.update(sends).set({ state }).where(eq(sends.id, welcome)))
    expect((await again(welcome)).status).toBe(201)
  })

  it.each<SendState>(['scheduled', 'claimed', 'sending', 'unknown', 'review'])(
    'answers 409 while one is %s',
    async (state) => {
      const { world, org, again, welcome } = await createScene()
      expect((await again(welcome)).status).toBe(201)
      await world.drain()
      const latest = (await sendsOf(world, org)).at(-1)?.id ?? ''
      await world.sql(q.update(sends).set({ state }).where(eq(sends.id, latest)))
      // Also when the one that was asked for is long done.
      for (const id of [welcome, latest]) {
        const { status, body } = await read<{ code: string }>(await again(id))
        expect({ status, code: body.code }).toEqual({ status: 409, code: 'conflict' })
      }
    },
  )

  it('makes one more also when the first has expired meanwhile', async () => {
    const { world, again, welcome } = await createScene()
    const { body: second } = await read<Send>(await again(welcome))
    await world.drain()
    await world.sql(q.delete(sends).where(eq(sends.id, welcome)))
    expect((await again(second.id)).status).toBe(201)
  })

  it('makes one mail when two people ask at once', async () => {
    const { world, org, again, welcome } = await createScene()
    const answers = await Promise.all(Array.from({ length: 4 }, () => again(welcome)))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409])
    expect((await sendsOf(world, org)).filter(({ kind }) => kind === 'welcome')).toHaveLength(2)
  })

  it('answers the same again under one Idempotency-Key', async () => {
    const { again, welcome } = await createScene()
    const first = await again(welcome, { 'Idempotency-Key': 'k' })
    const second = await again(welcome, { 'Idempotency-Key': 'k' })
    expect([first.status, second.status, second.headers.get('Idempotent-Replayed')]).toEqual([
      201,
      201,
      'true',
    ])
    expect(await second.text()).toBe(await first.text())
  })

  it('writes to nobody who must not be written to', async () => {
    const { world, org, again, welcome } = await createScene()
    await world.sql(
      q.insert(suppressions).values({
        id: crypto.randomUUID(),
        org_id: org.id,
        kind: 'email',
        value_norm: 'ada@buyer.test',
        reason: 'unsubscribed',
      }),
    )
    const { status, body } = await read<{ code: string }>(await again(welcome))
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'unprocessable' })
  })

  it('writes to the address that the contact has by now, whatever became of the one before', async () => {
    const { world, org, again, welcome } = await createScene()
    const suppress = (value_norm: string) =>
      world.sql(
        q.insert(suppressions).values({
          id: crypto.randomUUID(),
          org_id: org.id,
          kind: 'email',
          value_norm,
          reason: 'hard_bounce',
        }),
      )
    await suppress('ada@buyer.test')
    await world.sql(
      q
        .update(contacts)
        .set({ email: 'ada@new.test', email_norm: 'ada@new.test' })
        .where(eq(contacts.org_id, org.id)),
    )
    expect((await again(welcome)).status).toBe(201)
    await world.drain()
    expect((await sendsOf(world, org)).at(-1)).toMatchObject({ to_email: 'ada@new.test', state: 'sent' })
    await suppress('ada@new.test')
    expect((await again(welcome)).status).toBe(422)
  })

  it('is no second way to send a reply', async () => {
    const { world, org, again } = await createScene()
    const { send_id } = await arrangeReply(world, org)
    await world.sql(q.update(sends).set({ state: 'sent' }).where(eq(sends.id, send_id)))
    expect((await again(send_id)).status).toBe(422)
  })

  it('says which setting an alert lacks', async () => {
    const { world, org, alert } = await createScene()
    const bare = createWorld({ ADMIN_EMAIL: '' })
    const { token } = await org.as('owner')
    const { status, body } = await read<{ code: string; settings: string[] }>(
      await bare.request('POST', `/api/v1/sends/${alert}/resend`, { token }),
    )
    expect({ status, code: body.code, settings: body.settings }).toEqual({
      status: 503,
      code: 'not_configured',
      settings: ['ADMIN_EMAIL'],
    })
    expect(world.queued).toEqual([])
  })
})

describeSecurity({
  method: 'POST',
  path: async (world, org) => `/api/v1/sends/${(await acknowledged(world, org)).welcome}/resend`,
  allowed: ['owner', 'admin', 'manager'],
})
