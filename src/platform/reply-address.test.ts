import { describe, expect, it } from 'vitest'
import { readReplyAddress, replyAddress } from './reply-address'

const SEND = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
const key = (byte: number) => new Uint8Array(32).fill(byte)
const ctx = (settings: { domain?: string; shared?: string; keys?: [number, number?] }) => ({
  config: {
    ENCRYPTION_KEY: key(settings.keys?.[0] ?? 1),
    ENCRYPTION_KEY_PREVIOUS: settings.keys?.[1] === undefined ? undefined : key(settings.keys[1]),
    INBOUND_EMAIL_DOMAIN: settings.domain,
    POSTMARK_INBOUND_ADDRESS: settings.shared,
  },
})

describe('the address for answers', () => {
  it('names its send, within the length that a local part may have', async () => {
    const own = ctx({ domain: 'in.inlet.test', shared: 'box@inbound.test' })
    const address = (await replyAddress(own, SEND)) ?? ''
    expect(address).toMatch(/^reply\+[a-z2-7]{45}@in\.inlet\.test$/)
    expect(address.indexOf('@')).toBeLessThanOrEqual(64)
    expect(await readReplyAddress(own, address)).toEqual({ send_id: SEND, proven: true })
  })

  it('is read whatever a mail server does to its letters, and from what stands behind the plus alone', async () => {
    const own = ctx({ domain: 'in.inlet.test' })
    const address = (await replyAddress(own, SEND)) ?? ''
    for (const form of [address.toUpperCase(), address.slice(6, -14), address.slice(6, -14).toUpperCase()])
      expect(await readReplyAddress(own, form)).toEqual({ send_id: SEND, proven: true })
  })

  it("is Postmark's with a token where there is room for one, else Postmark's as it is, else none", async () => {
    const room = ctx({ shared: 'box@inbound.test' })
    const address = (await replyAddress(room, SEND)) ?? ''
    expect(address).toMatch(/^box\+[a-z2-7]{45}@inbound\.test$/)
    expect(await readReplyAddress(room, address)).toEqual({ send_id: SEND, proven: true })
    const hash = '00112233445566778899aabbccddeeff@inbound.postmarkapp.com'
    expect(await replyAddress(ctx({ shared: hash }), SEND)).toBe(hash)
    expect(await replyAddress(ctx({}), SEND)).toBeNull()
  })

  it('names nothing when it is altered or is another address', async () => {
    const own = ctx({ domain: 'in.inlet.test' })
    const address = (await replyAddress(own, SEND)) ?? ''
    const flipped = address.replace(/.(?=@)/, (last) => (last === 'a' ? 'b' : 'a'))
    const inside = `${address.slice(0, 20)}${address[20] === 'a' ? 'b' : 'a'}${address.slice(21)}`
    for (const other of [
      flipped,
      inside,
      'demo@in.inlet.test',
      'reply+@in.inlet.test',
      'reply@x',
      '',
      '@',
      '+',
    ])
      expect(await readReplyAddress(own, other)).toBeNull()
  })

  it('outlives a rotation of the key, and is unproven after the next', async () => {
    const address = (await replyAddress(ctx({ domain: 'in.inlet.test' }), SEND)) ?? ''
    expect(await readReplyAddress(ctx({ keys: [2, 1] }), address)).toEqual({ send_id: SEND, proven: true })
    expect(await readReplyAddress(ctx({ keys: [3, 2] }), address)).toEqual({ send_id: SEND, proven: false })
  })
})
