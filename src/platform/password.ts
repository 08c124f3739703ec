// Passwords: scrypt (N=2^14, r=8, p=5: an OWASP set that fits an isolate's memory) over a peppered password, as a PHC string.
// The pepper comes from ENCRYPTION_KEY, so a copy of the database alone cannot be attacked by guessing.
import { scrypt } from 'node:crypto'
import { fromBase64Url, type Keys, toBase64Url, toHex } from './crypto'

interface Parameters {
  ln: number
  r: number
  p: number
}

interface Stored extends Parameters {
  pepper_id: string
  salt: Uint8Array
  hash: Uint8Array
}

const WANTED: Parameters = { ln: 14, r: 8, p: 5 }
/** Stored parameters above these are refused before anything is derived: a row must not be able to stall the isolate. */
const CEILING: Parameters = { ln: 15, r: 8, p: 8 }
const PHC = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}),k=([0-9a-f]{8})\$([\w-]{22})\$([\w-]{43})$/

export async function hashPassword(keys: Keys, password: string): Promise<string> {
  const pepper = await importPepper(keys.current)
  const salt = crypto.getRandomValues(new Uint8Array(16))
  const hash = await derive(pepper, password, { ...WANTED, salt })
  const { ln, r, p } = WANTED
  return `$scrypt$ln=${ln},r=${r},p=${p},k=${pepper.id}$${toBase64Url(salt)}$${toBase64Url(hash)}`
}

/**
 * `stored: null` (no such user, or one without a password) takes the same time as a wrong password.
 * `needs_rehash`: right, but hashed with older parameters or the previous key.
 */
export async function verifyPassword(
  keys: Keys,
  password: string,
  stored: string | null,
): Promise<{ ok: boolean; needs_rehash: boolean }> {
  const current = await importPepper(keys.current)
  const parsed = stored === null ? null : parsePhc(stored)
  const pepper = parsed && (await findPepper(keys, parsed.pepper_id))
  if (!parsed || !pepper) {
    await derive(current, password, { ...WANTED, salt: new Uint8Array(16) })
    return { ok: false, needs_rehash: false }
  }
  const ok = equalBytes(await derive(pepper, password, parsed), parsed.hash)
  return { ok, needs_rehash: ok && (pepper.id !== current.id || isWeaker(parsed)) }
}

/** `null` when it is no hash of ours, or one that would cost more than we ever ask for. */
export function parsePhc(text: string): Stored | null {
  const [, ln, r, p, pepper_id, salt, hash] = PHC.exec(text) ?? []
  if (!ln || !r || !p || !pepper_id || !salt || !hash) return null
  const parameters = { ln: Number(ln), r: Number(r), p: Number(p) }
  if (parameters.ln < 1 || parameters.r < 1 || parameters.p < 1) return null
  if (parameters.ln > CEILING.ln || parameters.r > CEILING.r || parameters.p > CEILING.p) return null
  return { ...parameters, pepper_id, salt: fromBase64Url(salt), hash: fromBase64Url(hash) }
}

function isWeaker({ ln, r, p }: Parameters): boolean {
  return ln !== WANTED.ln || r !== WANTED.r || p !== WANTED.p
}

interface Pepper {
  id: string
  key: CryptoKey
}
const peppers = new WeakMap<Uint8Array, Promise<Pepper>>()
const encoder = new TextEncoder()

function importPepper(bytes: Uint8Array): Promise<Pepper> {
  let pending = peppers.get(bytes)
  if (!pending) {
    pending = (async () => {
      const master = await importHmac(bytes)
      const pepper = await crypto.subtle.sign('HMAC', master, encoder.encode('inlet password pepper 1'))
      const id = await crypto.subtle.sign('HMAC', master, encoder.encode('inlet password pepper id 1'))
      return { id: toHex(new Uint8Array(id)).slice(0, 8), key: await importHmac(new Uint8Array(pepper)) }
    })()
    peppers.set(bytes, pending)
  }
  return pending
}

async function findPepper(keys: Keys, id: string): Promise<Pepper | null> {
  for (const bytes of [keys.current, keys.previous]) {
    const pepper = bytes && (await importPepper(bytes))
    if (pepper?.id === id) return pepper
  }
  return null
}

function importHmac(bytes: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
}

async function derive(
  pepper: Pepper,
  password: string,
  { ln, r, p, salt }: Parameters & { salt: Uint8Array },
): Promise<Uint8Array> {
  // NFKC, so that a password typed on another keyboard or system is the same password.
  const peppered = await crypto.subtle.sign('HMAC', pepper.key, encoder.encode(password.normalize('NFKC')))
  return new Promise((resolve, reject) => {
    // 2^15 with r=8 needs more than the 32 MiB at which Node stops by default.
    const options = { N: 2 ** ln, r, p, maxmem: 160 * 2 ** ln * r }
    scrypt(new Uint8Array(peppered), salt, 32, options, (error, key) =>
      error ? reject(error) : resolve(new Uint8Array(key)),
    )
  })
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}
