import { expect, it } from 'vitest'
import { createWorld, read } from '#test/world'

it('verifies the empty chain of an organization for its owner', async () => {
  const world = createWorld()
  const owner = await (await world.organization()).as('owner')
  expect(await read(await world.request('GET', '/api/v1/audit-logs/verify', { token: owner.token }))).toEqual(
    {
      status: 200,
      body: { ok: true, checked: 0, unchained: 0 },
    },
  )
})
