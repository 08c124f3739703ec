import { expect, it } from 'vitest'
import { COUNTER, Filler, templateOf } from './template.ts'

const ORG = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
const LEAD = '6f9d1c52-03ab-8a41-9d1e-5b0a3c7e9f10'
const EVENT = '0190a5e2-7c3c-7b8e-9c3e-0f6f2f6c1a12'

function fill(text: string, filler: Filler, fixed?: Set<string>): string {
  const template = templateOf(text, fixed)
  const bytes = Buffer.from(template.text, 'latin1')
  filler.next()
  filler.fill(bytes, template.holes)
  return bytes.toString('latin1')
}

it('makes ids, instants and counters anew and leaves everything else as it was', () => {
  const text = `{"org":"${ORG}","id":"${EVENT}","lead":"${LEAD}","again":"${EVENT}","at":"2026-11-20T09:30:00.000Z","from":"${COUNTER}@x.test"}`
  const filler = new Filler()
  const [one, other] = [fill(text, filler, new Set([ORG])), fill(text, filler, new Set([ORG]))].map(
    (filled) => JSON.parse(filled) as Record<string, string>,
  )
  expect(one).toEqual({
    org: ORG,
    id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8000-[0-9a-f]{12}$/),
    lead: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8000-[0-9a-f]{12}$/),
    again: one?.['id'],
    at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    from: expect.stringMatching(/^bench-[0-9a-f]{12}@x\.test$/),
  })
  expect(one?.['at']).not.toBe('2026-11-20T09:30:00.000Z')
  for (const made of ['id', 'lead', 'from']) expect(one?.[made]).not.toBe(other?.[made])
})

it('refuses what takes more bytes than characters', () => {
  expect(() => templateOf('Grüße')).toThrow('ASCII')
})
