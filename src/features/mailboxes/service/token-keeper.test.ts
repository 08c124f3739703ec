import { describe, expect, it } from 'vitest'
import { type Failure, fail, type Result, succeed } from '#kernel/failure'
import type { Tokens } from '../providers/contract'
import { createTokenKeeper, type TokenDeps } from './token-keeper'

const NOW = new Date('2026-11-20T10:00:00Z')
const tokens = (name: string, minutes: number): Tokens => ({
  access_token: name,
  refresh_token: `refresh-${name}`,
  expires_at: new Date(NOW.getTime() + minutes * 60_000).toISOString(),
})

function setup(stored: Tokens | null, answers: Result<Tokens>[]) {
  const log: string[] = []
  let now = NOW
  const deps: TokenDeps = {
    now: () => now,
    read: async () => stored,
    write: async (written) => void log.push(`write ${written.access_token}`),
    refresh: async (refresh_token) => {
      log.push(`refresh ${refresh_token}`)
      return answers.shift() ?? fail('transient', 'no_answer', 'down')
    },
    pause: async () => undefined,
  }
  return {
    deps,
    log,
    keeper: createTokenKeeper(),
    later: (seconds: number) => (now = new Date(now.getTime() + seconds * 1000)),
  }
}

describe('the token keeper', () => {
  it('hands out a fresh token without asking anybody', async () => {
    const { keeper, deps, log } = setup(tokens('a', 30), [])
    expect(await keeper.get(deps)).toEqual(succeed('a'))
    expect(log).toEqual([])
  })

  it('refreshes five minutes before the end, once for everybody, and persists before anybody uses it', async () => {
    const { keeper, deps, log } = setup(tokens('a', 4), [succeed(tokens('b', 60))])
    const results = await Promise.all(Array.from({ length: 200 }, () => keeper.get(deps)))
    expect(new Set(results.map((result) => (result.ok ? result.value : 'none')))).toEqual(new Set(['b']))
    expect(log).toEqual(['refresh refresh-a', 'write b'])
  })

  it('refreshes a token that was refused, but not the one that came after it', async () => {
    const { keeper, deps, log } = setup(tokens('a', 30), [succeed(tokens('b', 60))])
    expect(await keeper.get(deps, 'a')).toEqual(succeed('b'))
    expect(await keeper.get(deps, 'a')).toEqual(succeed('b'))
    expect(log).toEqual(['refresh refresh-a', 'write b'])
  })

  it('tries an outage three times, then remembers it for seconds', async () => {
    const down: Failure = { kind: 'transient', code: 'no_answer', message: 'down' }
    const { keeper, deps, log, later } = setup(tokens('a', 0), [])
    expect(await keeper.get(deps)).toEqual({ ok: false, failure: down })
    expect(await keeper.get(deps)).toEqual({ ok: false, failure: down })
    expect(log).toHaveLength(3)
    later(10)
    await keeper.get(deps)
    expect(log).toHaveLength(6)
  })

  it('asks a dead grant once', async () => {
    const { keeper, deps, log } = setup(tokens('a', 0), [fail('auth', 'grant_dead', 'gone')])
    expect(await keeper.get(deps)).toMatchObject({ ok: false, failure: { kind: 'auth' } })
    expect(log).toEqual(['refresh refresh-a'])
  })

  it('does not leave the tokens of an earlier connection in the next one', async () => {
    const { deps, log, keeper } = setup(tokens('a', 0), [])
    let answer: (result: Result<Tokens>) => void = () => undefined
    const slow = keeper.get({ ...deps, refresh: () => new Promise((resolve) => (answer = resolve)) })
    await Promise.resolve()
    await Promise.resolve()
    keeper.forget()
    answer(succeed(tokens('stale', 60)))
    expect(await slow).toMatchObject({ ok: false, failure: { code: 'not_connected' } })
    expect(log).toEqual([])
  })
})
