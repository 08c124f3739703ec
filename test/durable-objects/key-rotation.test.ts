import { abortAllDurableObjects, runInDurableObject } from 'cloudflare:test'
import { eq } from 'drizzle-orm'
import { expect, it, vi } from 'vitest'
import { q } from '#db/client'
import { mailboxes } from '#db/schema/mailboxes'
import { organizations } from '#db/schema/organizations'
import { isSealedWithPrevious, open, seal, SealedWithAnotherKey } from '#platform/crypto'
import { connectMailbox, shim } from '#test/google'
import { createWorld, type World } from '#test/world'

const key = (byte: number) => new Uint8Array(32).fill(byte)

it('a secret opens with the key that sealed it, also while it is rotated out, and only for its own row', async () => {
  const old = { current: key(1), previous: undefined }
  const rotated = { current: key(2), previous: key(1) }
  const sealed = await seal(old, 'secret', 'row:1')
  expect(await open(rotated, sealed, 'row:1')).toBe('secret')
  expect(await isSealedWithPrevious(rotated, sealed)).toBe(true)
  expect(await isSealedWithPrevious(rotated, await seal(rotated, 'secret', 'row:1'))).toBe(false)
  const broken = [
    open({ current: key(3), previous: undefined }, sealed, 'row:1'),
    open(old, sealed, 'row:2'),
    open(old, sealed.slice(0, -6), 'row:1'),
    open(old, 'v1.nonsense', 'row:1'),
    open(old, '', 'row:1'),
  ]
  for (const attempt of broken) await expect(attempt).rejects.toBeInstanceOf(SealedWithAnotherKey)
})

it('seals the same text differently each time', async () => {
  const keys = { current: key(1), previous: undefined }
  expect(await seal(keys, 'secret', 'row')).not.toBe(await seal(keys, 'secret', 'row'))
})

it('tokens that no key opens pause the mailbox, are kept as they are, and work again with the right key', async () => {
  const world = createWorld()
  const org = await world.organization()
  const mailbox = await connectMailbox(world, org)
  // The object's own environment cannot be changed, so the tokens are: as if another key had sealed them.
  const swap = (from: string, to: string) =>
    // A stub of an object that was aborted is broken.
    runInDurableObject(world.env.MAILBOX.get(world.env.MAILBOX.idFromName(mailbox.id)), async (_, state) => {
      const data = await state.storage.get<{ held: { sealed_tokens: string } }>('data')
      if (!data) throw new Error('nothing stored')
      data.held.sealed_tokens = data.held.sealed_tokens.replace(from, to)
      await state.storage.put('data', data)
      return data.held.sealed_tokens
    })
  const sealed = await swap('v1.', 'v1.')
  const id = sealed.split('.')[1] ?? ''
  await swap(`v1.${id}.`, 'v1.00000000.')
  await abortAllDurableObjects()
  const port = world.ctx().mailboxes(mailbox.id)
  const before = (await shim<{ requests?: Record<string, number> }>('stats', {}, 'GET')).requests
  expect(await port.sync(new Date().toISOString())).toMatchObject({
    ok: false,
    failure: { kind: 'auth', code: 'sealed_with_another_key' },
  })
  expect((await shim<{ requests?: Record<string, number> }>('stats', {}, 'GET')).requests).toEqual(before)
  const status = async () => {
    const [rows] = await world.sql(
      q
        .select({ status: mailboxes.status, error: mailboxes.last_error })
        .from(mailboxes)
        .where(eq(mailboxes.id, mailbox.id)),
    )
    return rows[0]
  }
  expect(await status()).toMatchObject({ status: 'paused', error: { code: 'sealed_with_another_key' } })
  await swap('v1.00000000.', `v1.${id}.`)
  await abortAllDurableObjects()
  // A call may still meet the object that is being ended.
  await vi.waitFor(async () =>
    expect(await port.sync(new Date(Date.now() + 3600_000).toISOString())).toMatchObject({ ok: true }),
  )
  expect(await status()).toMatchObject({ status: 'connected', error: null })
})

it('an organization’s secret is sealed anew by the daily sweep, and one that no key opens is kept', async () => {
  const previous = 'aa'.repeat(32)
  const before = createWorld({ ENCRYPTION_KEY: previous })
  const stranger = createWorld({ ENCRYPTION_KEY: 'bb'.repeat(32) })
  const make = async (world: World) => {
    const org = await world.organization()
    const sealed = await world
      .ctx()
      .seal('https://hooks.slack.com/services/T/B/X', `organization:${org.id}:slack`)
    await world.sql(
      q.update(organizations).set({ slack_webhook_sealed: sealed }).where(eq(organizations.id, org.id)),
    )
    return { id: org.id, sealed }
  }
  const [old, lost] = [await make(before), await make(stranger)]
  const world = createWorld({ ENCRYPTION_KEY_PREVIOUS: previous })
  await world.tick('0 3 * * *')
  const sealedOf = async (id: string) => {
    const [rows] = await world.sql(
      q
        .select({ sealed: organizations.slack_webhook_sealed })
        .from(organizations)
        .where(eq(organizations.id, id)),
    )
    return rows[0]?.sealed ?? ''
  }
  expect(
    await createWorld()
      .ctx()
      .open(await sealedOf(old.id), `organization:${old.id}:slack`),
  ).toBe('https://hooks.slack.com/services/T/B/X')
  expect(await sealedOf(lost.id)).toBe(lost.sealed)
})
