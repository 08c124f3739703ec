// Sealed secrets, hashes and constant-time comparison.
import { AppError } from '#kernel/errors'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface Keys {
  current: Uint8Array
  previous: Uint8Array | undefined
}

/**
 * AES-256-GCM, `v1.<key id>.<iv>.<ciphertext>` in base64url. `context` is the additional data: a sealed text opens only for
 * the row that it was sealed for.
 */
export async function seal(keys: Keys, plain: string, context: string): Promise<string> {
  const { id, key } = await importKey(keys.current)
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: encoder.encode(context) },
    key,
    encoder.encode(plain),
  )
  return `v1.${id}.${toBase64Url(iv)}.${toBase64Url(new Uint8Array(sealed))}`
}

/** A secret that no key of ours opens. The caller keeps it as it is: the right key may come back. */
export class SealedWithAnotherKey extends Error {
  constructor() {
    super('sealed with a key that is not configured')
    this.name = 'SealedWithAnotherKey'
  }
}

/** Throws `SealedWithAnotherKey` for an unknown key, a truncated text or another context. */
export async function open(keys: Keys, sealed: string, context: string): Promise<string> {
  const [version, id, iv, ciphertext] = sealed.split('.')
  if (version !== 'v1' || !id || !iv || !ciphertext) throw new SealedWithAnotherKey()
  for (const bytes of [keys.current, keys.previous]) {
    if (!bytes) continue
    const candidate = await importKey(bytes)
    if (candidate.id !== id) continue
    try {
      const plain = await crypto.subtle.decrypt(
        { name: 'AES-GCM', iv: fromBase64Url(iv), additionalData: encoder.encode(context) },
        candidate.key,
        fromBase64Url(ciphertext),
      )
      return decoder.decode(plain)
    } catch {
      throw new SealedWithAnotherKey()
    }
  }
  throw new SealedWithAnotherKey()
}

/** True when the text was sealed with the previous key and should be sealed anew. */
export async function isSealedWithPrevious(keys: Keys, sealed: string): Promise<boolean> {
  return keys.previous !== undefined && sealed.split('.')[1] === (await importKey(keys.previous)).id
}

interface ImportedKey {
  id: string
  key: CryptoKey
}
// The key and not its promise, which would belong to the request that made it.
const imported = new WeakMap<Uint8Array, ImportedKey>()

async function importKey(bytes: Uint8Array): Promise<ImportedKey> {
  const known = imported.get(bytes)
  if (known) return known
  const key: ImportedKey = {
    id: (await sha256Hex(`inlet key id ${toBase64Url(bytes)}`)).slice(0, 8),
    key: await crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']),
  }
  imported.set(bytes, key)
  return key
}

export async function sha256Hex(text: string | Uint8Array): Promise<string> {
  const bytes = typeof text === 'string' ? encoder.encode(text) : text
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)))
}

export async function hmacSha256(secret: string, text: string): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey(
    'raw',
    encoder.encode(secret),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  )
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)))
}

/** Constant time whatever the lengths: both sides are hashed first. */
export async function equalSecrets(a: string, b: string): Promise<boolean> {
  const [x, y] = await Promise.all([
    crypto.subtle.digest('SHA-256', encoder.encode(a)),
    crypto.subtle.digest('SHA-256', encoder.encode(b)),
  ])
  return crypto.subtle.timingSafeEqual(x, y)
}

/** 256 random bits, base64url. */
export function randomToken(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(32)))
}

/** A UUID that is the same for the same text (version 8: our own derivation, by SHA-256). */
export async function derivedUuid(text: string): Promise<string> {
  const hex = (await sha256Hex(text)).slice(0, 32).split('')
  hex[12] = '8'
  hex[16] = '89ab'[Number.parseInt(hex[16] ?? '0', 16) & 3] ?? '8'
  const id = hex.join('')
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += HEX[byte] ?? ''
  return hex
}

export function toBase64Url(bytes: Uint8Array): string {
  let binary = ''
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** A whole number of groups of four. */
const SLICE = 1024 * 1024

/** Throws `invalid` for text that is no base64url. */
export function fromBase64Url(text: string): Uint8Array {
  try {
    const bytes = new Uint8Array(Math.ceil((text.length * 3) / 4))
    let at = 0
    // In slices: of a mail of many megabytes no second copy is made.
    for (let from = 0; from < text.length; from += SLICE) {
      const slice = text.slice(from, from + SLICE)
      const binary = atob(slice.replaceAll('-', '+').replaceAll('_', '/'))
      for (let i = 0; i < binary.length; i++) bytes[at++] = binary.charCodeAt(i)
    }
    return bytes.subarray(0, at)
  } catch {
    throw new AppError('invalid', 'The value is not base64url.')
  }
}
