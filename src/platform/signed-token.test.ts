import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  idAt,
  idsToBytes,
  joinBytes,
  readToken,
  signToken,
  timeAt,
  timeToBytes,
  type TokenKind,
} from './signed-token'

const key = (fill: number) => new Uint8Array(32).fill(fill)
const present = { ENCRYPTION_KEY: key(1), ENCRYPTION_KEY_PREVIOUS: undefined }
const rotated = { ENCRYPTION_KEY: key(2), ENCRYPTION_KEY_PREVIOUS: present.ENCRYPTION_KEY }
const lost = { ENCRYPTION_KEY: key(3), ENCRYPTION_KEY_PREVIOUS: key(4) }

const site: TokenKind = {
  purpose: 'site-token',
  alphabet: 'base64url',
  body_bytes: 16,
  mac_bytes: 16,
  prefix: 'inlet_site_',
}
const reply: TokenKind = { purpose: 'reply', alphabet: 'base32', body_bytes: 16, mac_bytes: 7 }
const kinds = [site, reply]
const id = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
const body = idsToBytes(id)

describe.each(kinds)('a token in $alphabet', (kind) => {
  it('is proven by its key, and by the previous one after a rotation', async () => {
    const token = await signToken(present, kind, body)
    expect(await readToken(present, kind, token)).toEqual({ body, proven: true })
    expect(await readToken(rotated, kind, token)).toEqual({ body, proven: true })
  })

  it('is unproven by a key that is gone, and can still be read', async () => {
    const token = await signToken(present, kind, body)
    expect(await readToken(lost, kind, token)).toEqual({ body, proven: false })
  })

  it('is nobody’s under the key of another purpose: it proves nothing there', async () => {
    const token = await signToken(present, kind, body)
    const other = await readToken(present, { ...kind, purpose: 'other' }, token)
    expect(other?.proven ?? false).toBe(false)
  })

  it('is refused with any change behind its key id', async () => {
    const token = await signToken(present, kind, body)
    const from = (kind.prefix?.length ?? 0) + 4
    for (let at = from; at < token.length; at++) {
      const changed = token.slice(0, at) + (token[at] === 'b' ? 'c' : 'b') + token.slice(at + 1)
      expect([at, await readToken(present, kind, changed)]).toEqual([at, null])
    }
  })

  it('is refused too short, too long, without its prefix and in letters of another alphabet', async () => {
    const token = await signToken(present, kind, body)
    const broken = ['', token.slice(0, -1), `${token}a`, ` ${token}`, `${token}=`, `${token.slice(0, -1)}!`]
    broken.push(token.replace('inlet_site_', 'inlet_____x'), `${token.slice(0, -1)}ſ`)
    for (const text of broken.filter((text) => text !== token))
      expect([text, await readToken(present, kind, text)]).toEqual([text, null])
  })

  it('never throws, whatever the text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 120 }), async (text) => {
        expect((await readToken(present, kind, text))?.proven ?? false).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  it('carries any bytes, and has one spelling', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 16, maxLength: 16 }), async (bytes) => {
        const token = await signToken(present, kind, bytes)
        expect(await readToken(present, kind, token)).toEqual({ body: bytes, proven: true })
        const last = token.at(-1) ?? ''
        for (const char of 'abcdefghijklmnopqrstuvwxyz234567'.replace(last, ''))
          expect(await readToken(present, kind, token.slice(0, -1) + char)).toBeNull()
      }),
      { numRuns: 20 },
    )
  })
})

it('fits a mail address, and is read there in capitals', async () => {
  const token = await signToken(present, reply, body)
  expect(token).toMatch(/^[a-z2-7]{40}$/)
  expect(await readToken(present, reply, token.toUpperCase())).toEqual({ body, proven: true })
})

it('minds the case elsewhere', async () => {
  const token = await signToken(present, site, body)
  const end = token.slice(20)
  expect(end).not.toBe(end.toLowerCase())
  expect(await readToken(present, site, token.slice(0, 20) + end.toLowerCase())).toBeNull()
})

it('will not sign a body of another length', async () => {
  await expect(signToken(present, site, new Uint8Array(15))).rejects.toThrow(TypeError)
})

it('is the same for the same body: what tells two apart is in the body', async () => {
  expect(await signToken(present, site, body)).toBe(await signToken(present, site, body))
})

it('puts ids and times into bytes and gets them out again', () => {
  const at = new Date('2026-11-20T09:30:00.123Z')
  const joined = joinBytes(idsToBytes(id, id), timeToBytes(at))
  expect([joined.length, idAt(joined, 0), idAt(joined, 16), timeAt(joined.subarray(16), 16)]).toEqual([
    40,
    id,
    id,
    at,
  ])
})
