import { beforeAll, describe, expect, it } from 'vitest'
import { q } from '#db/client'
import { notifications } from '#db/schema/notifications'
import { createWorld, read, type TestOrganization } from '#test/world'

const world = createWorld()
type Member = Awaited<ReturnType<TestOrganization['as']>>
let organization: TestOrganization
let agent: Member
let colleague: Member
let stranger: Member

beforeAll(async () => {
  organization = await world.organization()
  agent = await organization.as('agent')
  colleague = await organization.as('owner')
  stranger = await (await world.organization()).as('owner')
})

async function tell(user: Member, created_at = world.clock.now()): Promise<string> {
  const id = crypto.randomUUID()
  await world.sql(
    q.insert(notifications).values({
      id,
      org_id: user.actor.org_id,
      user_id: user.id,
      type: 'onboarding',
      entity_type: 'system',
      title: 'Welcome',
      body: 'Connect a mailbox.',
      dedupe_key: `test:${id}`,
      created_at,
    }),
  )
  return id
}

const list = async (token: string, query = '') =>
  read<{ data: { id: string; read_at: string | null }[]; next_cursor: string | null }>(
    await world.request('GET', `/api/v1/notifications${query}`, { token }),
  )
const tick = (token: string, id: string) =>
  world.request('POST', `/api/v1/notifications/${id}/read`, { token })

describe('notifications', () => {
  it('are listed newest first, to their own user only', async () => {
    const early = await tell(agent, new Date('2026-11-20T09:00:00.000Z'))
    const late = await tell(agent, new Date('2026-11-20T10:00:00.000Z'))
    expect(await list(agent.token)).toEqual({
      status: 200,
      body: {
        data: [
          {
            id: late,
            type: 'onboarding',
            entity_type: 'system',
            entity_id: null,
            title: 'Welcome',
            body: 'Connect a mailbox.',
            read_at: null,
            created_at: '2026-11-20T10:00:00.000Z',
          },
          expect.objectContaining({ id: early }),
        ],
        next_cursor: null,
      },
    })
    const first = await list(agent.token, '?limit=1')
    expect(first.body.data.map((row) => row.id)).toEqual([late])
    const second = await list(agent.token, `?limit=1&cursor=${first.body.next_cursor}`)
    expect(second.body).toEqual({ data: [expect.objectContaining({ id: early })], next_cursor: null })
    expect((await list(colleague.token)).body.data).toEqual([])
    expect((await list(stranger.token)).body.data).toEqual([])
  })

  it('are ticked off once, whenever that was first', async () => {
    const id = await tell(colleague)
    const first = await read(await tick(colleague.token, id))
    expect(first).toEqual({
      status: 200,
      body: expect.objectContaining({ id, read_at: expect.any(String) }),
    })
    expect(await read(await tick(colleague.token, id))).toEqual(first)
  })

  it('are ticked off all at once, and filtered by whether they were read', async () => {
    const own = await (await world.organization()).as('agent')
    const [a, b] = [await tell(own), await tell(own)]
    await tick(own.token, a)
    expect((await list(own.token, '?unread=true')).body.data.map((row) => row.id)).toEqual([b])
    expect((await list(own.token, '?unread=false')).body.data.map((row) => row.id)).toEqual([a])
    const all = () => world.request('POST', '/api/v1/notifications/read-all', { token: own.token })
    expect(await read(await all())).toEqual({ status: 200, body: { read: 1 } })
    expect(await read(await all())).toEqual({ status: 200, body: { read: 0 } })
    expect((await list(own.token, '?unread=true')).body.data).toEqual([])
  })

  it('are nobody else’s to read or tick off', async () => {
    const id = await tell(agent)
    expect((await tick(colleague.token, id)).status).toBe(404)
    expect((await tick(stranger.token, id)).status).toBe(404)
    await world.request('POST', '/api/v1/notifications/read-all', { token: colleague.token })
    expect((await list(agent.token, '?unread=true')).body.data.map((row) => row.id)).toContain(id)
    for (const [method, path] of [
      ['GET', ''],
      ['POST', `/${id}/read`],
      ['POST', '/read-all'],
    ] as const)
      expect((await world.request(method, `/api/v1/notifications${path}`)).status).toBe(401)
  })

  it('refuse a limit out of range and a foreign cursor', async () => {
    for (const query of ['?limit=0', '?limit=201', '?cursor=nonsense', '?unread=maybe'])
      expect((await list(agent.token, query)).status).toBe(400)
  })
})
