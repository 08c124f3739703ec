import { expect, it } from 'vitest'
import { hashPassword, parsePhc, verifyPassword } from './password'

const key = (fill: number) => new Uint8Array(32).fill(fill)
const keys = { current: key(1), previous: undefined }
const password = 'correct horse battery'

it('accepts the password that was hashed and refuses every other', async () => {
  const stored = await hashPassword(keys, password)
  expect(await verifyPassword(keys, password, stored)).toEqual({ ok: true, needs_rehash: false })
  expect(await verifyPassword(keys, `${password}.`, stored)).toEqual({ ok: false, needs_rehash: false })
  expect(await verifyPassword(keys, '', stored)).toEqual({ ok: false, needs_rehash: false })
})

it('tells long passwords in other scripts apart to the last character', async () => {
  const stored = await hashPassword(keys, 'пароль-1234567-SECRET-TAIL')
  expect((await verifyPassword(keys, 'пароль-1234567-SECRETxxxxx', stored)).ok).toBe(false)
})

it('takes the composed and the decomposed form of a letter for the same', async () => {
  const stored = await hashPassword(keys, 'caf\u00e9-caf\u00e9-caf\u00e9')
  expect((await verifyPassword(keys, 'cafe\u0301-cafe\u0301-cafe\u0301', stored)).ok).toBe(true)
})

it('salts: the same password has another hash each time', async () => {
  expect(await hashPassword(keys, password)).not.toBe(await hashPassword(keys, password))
})

it('writes the parameters that were chosen', async () => {
  const { ln, r, p } = parsePhc(await hashPassword(keys, password)) ?? {}
  expect({ ln, r, p }).toEqual({ ln: 14, r: 8, p: 5 })
})

it('cannot be verified without the key that peppered it', async () => {
  const stored = await hashPassword(keys, password)
  expect((await verifyPassword({ current: key(2), previous: undefined }, password, stored)).ok).toBe(false)
})

it('asks for a new hash after the key was rotated', async () => {
  const stored = await hashPassword(keys, password)
  expect(await verifyPassword({ current: key(2), previous: key(1) }, password, stored)).toEqual({
    ok: true,
    needs_rehash: true,
  })
})

it('derives as long for an unknown user as for a wrong password', async () => {
  const stored = await hashPassword(keys, password)
  const time = async (hash: string | null) => {
    const started = performance.now()
    await verifyPassword(keys, 'wrong password', hash)
    return performance.now() - started
  }
  await time(stored)
  const [known, unknown] = [await time(stored), await time(null)]
  // A missing derivation would be a hundred times faster; anything closer is the machine's noise.
  expect(unknown).toBeGreaterThan(known / 5)
})

it.each([
  ['', 'no hash at all'],
  ['$scrypt$ln=14,r=8,p=5$abc$def', 'no key id'],
  [`$scrypt$ln=30,r=8,p=5,k=0011aabb$${'A'.repeat(22)}$${'A'.repeat(43)}`, 'a cost above the ceiling'],
  [`$scrypt$ln=14,r=99,p=5,k=0011aabb$${'A'.repeat(22)}$${'A'.repeat(43)}`, 'a block size above the ceiling'],
  [`$scrypt$ln=0,r=8,p=5,k=0011aabb$${'A'.repeat(22)}$${'A'.repeat(43)}`, 'no cost'],
  ['$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', 'another algorithm'],
])('refuses the stored text %j: %s', async (stored) => {
  expect(parsePhc(stored)).toBeNull()
  expect(await verifyPassword(keys, password, stored)).toEqual({ ok: false, needs_rehash: false })
})
