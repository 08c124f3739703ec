import { beforeAll, describe, expect, it } from 'vitest'
import { arrive } from '#test/arrivals'
import { createWorld, read, type TestOrganization } from '#test/world'

const world = createWorld()
let organization: TestOrganization
let token: string
let stranger: string

beforeAll(async () => {
  organization = await world.organization()
  token = (await organization.as('agent')).token
  stranger = (await (await world.organization()).as('owner')).token
})

describe('contacts', () => {
  it('are listed newest first, page by page, and found by address, name or company', async () => {
    const own = await world.organization()
    const member = (await own.as('agent')).token
    const ada = await arrive(world, own, { email: 'ada@buyer.test', name: 'Ada', company: '100% Wool' })
    const bob = await arrive(world, own, { email: 'bob@buyer.test', name: 'Bob' })
    const ids = async (query: string) => {
      const { body } = await read<{ data: { id: string }[]; next_cursor: string | null }>(
        await world.request('GET', `/api/v1/contacts${query}`, { token: member }),
      )
      return { ids: body.data.map((contact) => contact.id), next: body.next_cursor }
    }
    expect(await ids('')).toEqual({ ids: [bob.contact_id, ada.contact_id], next: null })
    const first = await ids('?limit=1')
    expect(first).toEqual({ ids: [bob.contact_id], next: expect.any(String) })
    expect(await ids(`?limit=1&cursor=${first.next}`)).toEqual({ ids: [ada.contact_id], next: null })
    expect(await ids('?q=BOB@')).toEqual({ ids: [bob.contact_id], next: null })
    expect(await ids(`?q=${encodeURIComponent('0% w')}`)).toEqual({ ids: [ada.contact_id], next: null })
    expect(await ids(`?q=${encodeURIComponent('%')}`)).toEqual({ ids: [ada.contact_id], next: null })
  })

  it('are shown one by one with an ETag', async () => {
    const { contact_id } = await arrive(world, organization, { email: 'eve@buyer.test', name: 'Eve' })
    const response = await world.request('GET', `/api/v1/contacts/${contact_id}`, { token })
    expect(response.headers.get('ETag')).toMatch(/^"\w+"$/)
    expect(await read(response)).toEqual({
      status: 200,
      body: {
        id: contact_id,
        email: 'eve@buyer.test',
        name: 'Eve',
        company: null,
        phone: null,
        last_inbound_at: expect.any(String),
        created_at: expect.any(String),
        updated_at: expect.any(String),
      },
    })
  })

  it('are nobody else’s', async () => {
    const { contact_id } = await arrive(world, organization)
    expect((await world.request('GET', `/api/v1/contacts/${contact_id}`, { token: stranger })).status).toBe(
      404,
    )
    expect(await read(await world.request('GET', '/api/v1/contacts', { token: stranger }))).toEqual({
      status: 200,
      body: { data: [], next_cursor: null },
    })
    expect((await world.request('GET', `/api/v1/contacts/${contact_id}`)).status).toBe(401)
    expect((await world.request('GET', '/api/v1/contacts')).status).toBe(401)
  })

  it('refuse a limit out of range, a foreign cursor and an id that is none', async () => {
    for (const path of ['?limit=0', '?limit=201', '?limit=x', '?cursor=nonsense', '/not-an-id'])
      expect((await world.request('GET', `/api/v1/contacts${path}`, { token })).status).toBe(400)
    expect((await world.request('GET', '/api/v1/contacts?limit=200', { token })).status).toBe(200)
  })
})
