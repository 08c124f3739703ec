import { expect, it } from 'vitest'
import { fail, succeed } from '#kernel/failure'
import { type SyncDeps, syncChanges } from './sync-changes'

const NOW = new Date('2026-11-20T10:00:00Z')

function setup(over: Partial<SyncDeps> = {}) {
  const log: string[] = []
  const deps: SyncDeps = {
    now: () => NOW,
    changesSince: async (cursor) =>
      succeed({
        messages: cursor === '1' ? ['a', 'b', 'c'].map((id) => ({ id, thread_id: 't' })) : [],
        cursor: '2',
        more: false,
      }),
    currentCursor: async () => succeed('9'),
    searchSince: async () => succeed({ messages: [], next_page: null }),
    fetchRaw: async () =>
      succeed({ raw: new Uint8Array(), thread_id: 't', received_at: NOW, relevant: true, sent: false }),
    known: async () => new Set(),
    ingest: async ({ id }) => {
      log.push(`ingest ${id}`)
      return 'new'
    },
    bury: async ({ id }) => void log.push(`bury ${id}`),
    save: async ({ cursor }) => void log.push(`save ${cursor}`),
    openGap: async () => 'gap',
    closeGap: async () => undefined,
    ...over,
  }
  return { log, run: () => syncChanges(deps, { cursor: '1', recovery: null, last_good: null }) }
}

it('goes on behind a mail that will never be had', async () => {
  const { log, run } = setup({
    fetchRaw: async (id) =>
      id === 'b'
        ? fail('permanent', 'unfetchable', 'too large')
        : succeed({ raw: new Uint8Array(), thread_id: 't', received_at: NOW, relevant: true, sent: false }),
  })
  expect(await run()).toEqual(succeed({ ingested: 2, known: 0, dead: 1, recovered_gap: false }))
  expect(log).toEqual(['ingest a', 'bury b', 'ingest c', 'save 2'])
})

it('does not advance past a mail that may be had later, and takes it in next time', async () => {
  const { log, run } = setup({ fetchRaw: async () => fail('transient', 'provider_unavailable', 'later') })
  expect(await run()).toMatchObject({ ok: false, failure: { code: 'provider_unavailable' } })
  expect(log).toEqual([])
})

it('ends only when nothing of it goes on any more', async () => {
  let running = 0
  const { run } = setup({
    changesSince: async () =>
      succeed({
        messages: Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, thread_id: `${i}` })),
        cursor: '2',
        more: false,
      }),
    ingest: async ({ id }) => {
      running++
      for (let i = 0; i < 5; i++) await Promise.resolve()
      running--
      if (id === '1') throw new Error('the database is away')
      return 'new'
    },
  })
  await expect(run()).rejects.toThrow('the database is away')
  expect(running).toBe(0)
})
