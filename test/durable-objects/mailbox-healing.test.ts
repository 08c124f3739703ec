// What people see of a mailbox and what its object holds are two stores: where they part, they come together again.
import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { mailboxes } from '#db/schema/mailboxes'
import { events } from '#db/schema/platform'
import { addSeconds } from '#kernel/clock'
import type { MailboxStatus } from '#kernel/vocabulary'
import { beginConnect, connectMailbox, consent, deliver, shim, takeAccount } from '#test/google'
import { createWorld, type TestOrganization, type World } from '#test/world'

const now = () => new Date().toISOString()

afterEach(async () => {
  await shim('faults', {}, 'DELETE')
})

async function seen(world: World, id: string): Promise<MailboxStatus | undefined> {
  const [rows] = await world.sql(
    q.select({ status: mailboxes.status }).from(mailboxes).where(eq(mailboxes.id, id)),
  )
  return rows[0]?.status
}

async function isHeld(world: World, id: string): Promise<boolean> {
  const state = await world.ctx().mailboxes(id).status()
  return state.ok && state.value.connected
}

const setStatus = (world: World, id: string, status: MailboxStatus) =>
  world.sql(q.update(mailboxes).set({ status }).where(eq(mailboxes.id, id)))

async function told(world: World, org: TestOrganization): Promise<string[]> {
  const [rows] = await world.sql(
    q.select({ type: events.type }).from(events).where(eq(events.org_id, org.id)).orderBy(events.created_at),
  )
  return rows.map(({ type }) => type)
}

describe('a mailbox whose callback died before the object had the tokens', () => {
  it('asks for a reconnect, once, and not while the callback may still be under way', async () => {
    const world = createWorld()
    const org = await world.organization()
    const id = crypto.randomUUID()
    const email = `${id}@box.test`
    const account = { provider: 'google' as const, account_subject: id, email, email_norm: email }
    await world.sql(q.insert(mailboxes).values({ id, org_id: org.id, ...account, status: 'connecting' }))
    await world.tick('*/5 * * * *')
    await world.drain()
    expect([await seen(world, id), await told(world, org)]).toEqual(['connecting', []])
    for (const seconds of [301, 602]) {
      await world.tick('*/5 * * * *', addSeconds(new Date(), seconds))
      await world.drain()
    }
    expect([await seen(world, id), await told(world, org)]).toEqual([
      'reconnect_required',
      ['mailbox.reconnect_required'],
    ])
  })
})

describe('a disconnect that did not reach the object', () => {
  it('is made up for by its next sync: tokens and alarm are gone, the grant is revoked', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await setStatus(world, mailbox.id, 'disconnected')
    expect((await world.ctx().mailboxes(mailbox.id).sync(now())).ok).toBe(true)
    expect(await world.ctx().mailboxes(mailbox.id).status()).toMatchObject({
      value: { connected: false, alarm_at: null },
    })
    expect(await seen(world, mailbox.id)).toBe('disconnected')
  })

  it('of a mailbox whose organization is gone, too', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await world.sql(q.delete(mailboxes).where(eq(mailboxes.id, mailbox.id)))
    await deliver(mailbox.email, { subject: 'too late' })
    await world.ctx().mailboxes(mailbox.id).sync(now())
    await world.ctx().mailboxes(mailbox.id).sync(now())
    expect(await isHeld(world, mailbox.id)).toBe(false)
  })
})

describe('a mailbox that people believe to be lost', () => {
  it('calls the provider no more until they reconnect it', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    await setStatus(world, mailbox.id, 'reconnect_required')
    await world.ctx().mailboxes(mailbox.id).sync(now())
    expect(await world.ctx().mailboxes(mailbox.id).sync(now())).toMatchObject({
      ok: false,
      failure: { kind: 'auth', code: 'reconnect_required' },
    })
    expect(await connectMailbox(world, org, mailbox.email)).toEqual(mailbox)
    expect([await seen(world, mailbox.id), await isHeld(world, mailbox.id)]).toEqual(['connected', true])
  })
})

describe('a connect while a disconnect waits for the provider', () => {
  it('keeps its own tokens', async () => {
    const world = createWorld()
    const org = await world.organization()
    const mailbox = await connectMailbox(world, org)
    const callback = await consent(await beginConnect(world, org), mailbox.email)
    await shim('faults', { path_pattern: '/stop', delay_ms: 1500 })
    await shim('faults', { path_pattern: '/revoke', delay_ms: 1500 })
    const going = world.ctx().mailboxes(mailbox.id).disconnect()
    expect((await world.request('GET', callback)).status).toBe(200)
    await going
    expect([await seen(world, mailbox.id), await isHeld(world, mailbox.id)]).toEqual(['connected', true])
  })
})

describe('an account that two organizations have connected', () => {
  it('goes on for the one when the other disconnects it', async () => {
    const world = createWorld()
    const [one, two] = [await world.organization(), await world.organization()]
    const first = await connectMailbox(world, one)
    const second = await connectMailbox(world, two, first.email)
    const { token } = await one.as('owner')
    expect((await world.request('DELETE', `/api/v1/mailboxes/${first.id}`, { token })).status).toBe(204)
    expect(await isHeld(world, first.id)).toBe(false)
    await deliver(second.email, { subject: 'still here' })
    expect(await world.ctx().mailboxes(second.id).sync(now())).toMatchObject({
      ok: true,
      value: { ingested: 1 },
    })
  })
})

describe('a mailbox whose watch and first sync fail', () => {
  it('counts as connected from the sync that succeeds, so that its next loss is told, too', async () => {
    const world = createWorld()
    const org = await world.organization()
    const callback = await consent(await beginConnect(world, org), takeAccount())
    for (const path_pattern of ['/watch', '/history'])
      await shim('faults', { path_pattern, status: 500, times: 0 })
    const page = await (await world.request('GET', callback)).text()
    const id = /data-mailbox-id="([^"]+)"/.exec(page)?.[1] ?? ''
    const read = async () =>
      (
        await world.sql(
          q
            .select({ status: mailboxes.status, connected_at: mailboxes.connected_at })
            .from(mailboxes)
            .where(eq(mailboxes.id, id)),
        )
      )[0][0]
    expect(await read()).toEqual({ status: 'connecting', connected_at: null })
    await shim('faults', {}, 'DELETE')
    await world.ctx().mailboxes(id).sync(now())
    const connected = await read()
    expect(connected).toEqual({ status: 'connected', connected_at: expect.any(Date) })
    await world.ctx().mailboxes(id).sync(now())
    expect(await read()).toEqual(connected)
  })
})
