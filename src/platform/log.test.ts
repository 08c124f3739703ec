import { describe, expect, it } from 'vitest'
import { AppError } from '#kernel/errors'
import { createLog } from './log'

function written(work: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] {
  const lines: string[] = []
  work(createLog({ request_id: 'r1' }, (line) => lines.push(line)))
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

const described = (error: unknown) => written((log) => log.error('failed', error))[0] ?? {}

describe('a log line', () => {
  it('is JSON with level, event and fields', () => {
    expect(written((log) => log.with({ job: 'j' }).info('job', { attempts: 2 }))).toEqual([
      { level: 'info', event: 'job', request_id: 'r1', job: 'j', attempts: 2 },
    ])
  })

  it('has no address, whatever was handed to it', () => {
    const [line] = written((log) =>
      log.warn('x', { text: 'to <Ada.Byron+x@mail.buyer.test>, or grüße@bücher.test', path: '/a@b.test/c' }),
    )
    expect(line).toMatchObject({ text: 'to <[address]>, or [address]', path: '/[address]/c' })
  })
})

describe('an error in the log', () => {
  it('of our own says what it is', () => {
    expect(described(new AppError('unavailable', 'The database did not answer.'))).toMatchObject({
      error: 'AppError',
      code: 'unavailable',
      message: 'The database did not answer.',
      stack: expect.stringContaining('log.test.ts'),
    })
  })

  it('of anybody else keeps its words for itself', () => {
    const { message, stack, error } = described(new SyntaxError('Unexpected token S, "SECRET" is not JSON'))
    expect({ message, error }).toEqual({ message: undefined, error: 'SyntaxError' })
    expect(stack).not.toContain('SECRET')
  })

  it('has no frame that a stranger wrote into the message', () => {
    const { stack } = described(new Error('broken\n    at SECRET (file:///x.js:1:1)\n    at Ada Lovelace'))
    expect(stack).not.toMatch(/SECRET|Lovelace/)
    expect(stack).toContain('log.test.ts')
  })

  it('of the engine says what kind of mistake it was, without the name that it quotes', () => {
    let thrown: unknown
    try {
      const nothing = JSON.parse('null') as Record<string, string>
      void nothing['SECRET']
    } catch (error) {
      thrown = error
    }
    expect(described(thrown)).toMatchObject({
      error: 'TypeError',
      message: 'Cannot read properties of null',
    })
  })

  it('with a name or code of a stranger’s making has neither', () => {
    const error = Object.assign(new Error('x'), { name: 'Ada <ada@buyer.test>', code: 'the whole letter' })
    expect(described(error)).toMatchObject({ error: 'Error', code: 'odd' })
    expect(described('a letter')).toMatchObject({ error: 'string' })
  })
})
