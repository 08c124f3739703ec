// Tokens that prove themselves: whoever holds the key knows that we made one, also while the database is down.
// <prefix><key id ‖ body ‖ truncated HMAC-SHA256>, with a key of its own for each purpose (HKDF of ENCRYPTION_KEY). Nothing in
// a token is secret from its holder, and it has no end of its own: put a time into the body where one is needed.
import type { Config } from './config'
import { fromBase64Url, toBase64Url, toHex } from './crypto'

/** One kind of token. `purpose` separates the keys, so that no token is taken for one of another kind. */
export interface TokenKind {
  purpose: string
  /** `base32` for local parts of mail addresses: lower case, read whatever the case, since some servers fold it. */
  alphabet: 'base64url' | 'base32'
  /** How long every body of this kind is. */
  body_bytes: number
  mac_bytes: number
  /** By which secret scanners know it. */
  prefix?: string
}

type Keys = Pick<Config, 'ENCRYPTION_KEY' | 'ENCRYPTION_KEY_PREVIOUS'>

export async function signToken(keys: Keys, kind: TokenKind, body: Uint8Array): Promise<string> {
  if (body.length !== kind.body_bytes) throw new TypeError(`A ${kind.purpose} has ${kind.body_bytes} bytes`)
  const key = await deriveKey(keys.ENCRYPTION_KEY, kind.purpose)
  const signed = joinBytes(key.id, body)
  return (kind.prefix ?? '') + encode(kind, joinBytes(signed, await macOf(key, kind, signed)))
}

/**
 * `null`: no token of this kind, or forged under a key of ours. `proven: false`: by a key that we do not have (any more), so
 * forged or from before a rotation. Then only what the database keeps can judge it: of a site token its hash.
 */
export async function readToken(
  keys: Keys,
  kind: TokenKind,
  token: string,
): Promise<{ body: Uint8Array; proven: boolean } | null> {
  const bytes = decode(kind, token)
  if (bytes === null) return null
  const signed = bytes.subarray(0, KEY_ID_BYTES + kind.body_bytes)
  const body = signed.subarray(KEY_ID_BYTES)
  for (const secret of [keys.ENCRYPTION_KEY, keys.ENCRYPTION_KEY_PREVIOUS]) {
    if (secret === undefined) continue
    const key = await deriveKey(secret, kind.purpose)
    if (!isEqual(key.id, signed.subarray(0, KEY_ID_BYTES))) continue
    const genuine = isEqual(await macOf(key, kind, signed), bytes.subarray(signed.length))
    if (genuine) return { body, proven: true }
    return null
  }
  return { body, proven: false }
}

const ID_BYTES = 16

/** 16 bytes for each. */
export function idsToBytes(...ids: string[]): Uint8Array {
  const hex = ids.join('').replaceAll('-', '')
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** The id whose 16 bytes begin there. */
export function idAt(body: Uint8Array, offset: number): string {
  const hex = toHex(body.subarray(offset, offset + ID_BYTES))
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** 8 bytes: milliseconds since 1970. */
export function timeToBytes(at: Date): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(at.getTime()))
  return bytes
}

export function timeAt(body: Uint8Array, offset: number): Date {
  return new Date(Number(new DataView(body.buffer, body.byteOffset + offset, 8).getBigUint64(0)))
}

export function joinBytes(...parts: Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

const KEY_ID_BYTES = 2

interface DerivedKey {
  /** Tells keys apart; a stranger learns nothing from it. */
  id: Uint8Array
  key: CryptoKey
}
// The key and not its promise, which would belong to the request that made it.
const derived = new WeakMap<Uint8Array, Map<string, DerivedKey>>()

async function deriveKey(secret: Uint8Array, purpose: string): Promise<DerivedKey> {
  const ofSecret = derived.get(secret) ?? new Map<string, DerivedKey>()
  derived.set(secret, ofSecret)
  const known = ofSecret.get(purpose)
  if (known) return known
  const { subtle } = crypto
  const info = new TextEncoder().encode(`inlet token ${purpose}`)
  const key = await subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info },
    await subtle.importKey('raw', secret, 'HKDF', false, ['deriveKey']),
    { name: 'HMAC', hash: 'SHA-256', length: 256 },
    false,
    ['sign'],
  )
  const id = new Uint8Array(await subtle.sign('HMAC', key, new TextEncoder().encode('key id')))
  const made = { id: id.slice(0, KEY_ID_BYTES), key }
  ofSecret.set(purpose, made)
  return made
}

async function macOf({ key }: DerivedKey, kind: TokenKind, signed: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, signed)).subarray(0, kind.mac_bytes)
}

/** In the same time wherever they differ. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'

function encode({ alphabet }: TokenKind, bytes: Uint8Array): string {
  if (alphabet === 'base64url') return toBase64Url(bytes)
  let [text, bits, pending] = ['', 0, 0]
  for (const byte of bytes) {
    pending = (pending << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32.charAt((pending >> (bits - 5)) & 31)
    pending &= (1 << bits) - 1
  }
  return bits > 0 ? text + BASE32.charAt((pending << (5 - bits)) & 31) : text
}

/** `null` for whatever `encode` would not have written: one token has one spelling. */
function decode(kind: TokenKind, token: string): Uint8Array | null {
  const prefix = kind.prefix ?? ''
  const length = KEY_ID_BYTES + kind.body_bytes + kind.mac_bytes
  const bits = kind.alphabet === 'base32' ? 5 : 6
  if (token.length !== prefix.length + Math.ceil((length * 8) / bits) || !token.startsWith(prefix))
    return null
  const text = token.slice(prefix.length)
  const folded = kind.alphabet === 'base32' ? text.toLowerCase() : text
  if (!(kind.alphabet === 'base32' ? /^[a-z2-7]*$/ : /^[\w-]*$/).test(folded)) return null
  const bytes = kind.alphabet === 'base32' ? fromBase32(folded, length) : fromBase64Url(folded)
  const spare = (length * 8) % bits !== 0
  return spare && encode(kind, bytes) !== folded ? null : bytes
}

function fromBase32(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let [at, bits, pending] = [0, 0, 0]
  for (const char of text) {
    pending = ((pending << 5) | BASE32.indexOf(char)) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = (pending >> bits) & 255
  }
  return bytes
}
