// Everything in a text that leads somewhere: links, bare hosts, addresses, telephone numbers, and the usual disguises of them.
import { LinkifyIt } from 'linkify-it'
import { parse } from 'tldts'

const linkify = new LinkifyIt({ fuzzyLink: true, fuzzyEmail: true, fuzzyIP: true, urlAuth: true })

// linkify-it misses `evil.test/x`, whose top-level domain it does not know.
const BARE_HOST =
  /(?<![\p{L}\p{N}@._-])(?:[\p{L}\p{N}][\p{L}\p{N}-]{0,62}\.){1,8}\p{L}[\p{L}\p{N}-]{1,62}(?=([/?#]|:\d)?)/gu
/** Reserved or outside the DNS, so on no list; somebody resolves them all the same. */
const PRIVATE_NAME = /\.(?:test|example|invalid|localhost|local|internal|lan|onion|i2p|eth|crypto|bit)$/i
const ANY_URL = /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s<>"]{1,2000}/gi
const ADDRESS = /[\p{L}\p{N}._%+'-]{1,64}@[\p{L}\p{N}.-]{1,253}/gu
const IPV4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g
const PHONE = /(?<![\p{L}\p{N}])\+?\(?\d[\d\s()./-]{5,24}\d(?![\p{L}\p{N}])/gu
const DATE = /^\d{4}-\d{1,2}-\d{1,2}$|^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$/

const DISGUISES = [
  /\bhxxps?\b/i,
  /[\p{L}\p{N}-]\s?[[({]\s?(?:dot|\.)\s?[\])}]\s?\p{L}{2}/iu,
  /[\p{L}\p{N}-]{2}\s(?:dot|punto|ponto|punkt)\s(?:com|net|org|io|co|info|biz|xyz|ru|cn|top|site|online|shop|app|dev|link|me)\b/iu,
  /[\p{L}\p{N}]\s?[[({]\s?(?:at|@)\s?[\])}]\s?\p{L}/iu,
  /\b(?:javascript|vbscript|data|tel|sms|file|ftp|ipfs|magnet|bitcoin|whatsapp|tg|intent):[^\s]/i,
  /\b(?:t|wa|bit)\s?\.\s?(?:me|ly)\b/i,
]

export interface Destinations {
  hosts: string[]
  emails: string[]
  /** Digits only. */
  phones: string[]
  disguised: string[]
}

export function findDestinations(text: string): Destinations {
  const plain = text.normalize('NFKC').replaceAll(/[。｡．]/g, '.')
  const hosts = new Set<string>()
  for (const match of linkify.match(plain) ?? []) {
    if (match.schema === 'mailto:') continue
    const host = hostOf(match.url)
    if (host !== null) hosts.add(host)
  }
  for (const match of plain.matchAll(ANY_URL)) {
    const url = match[0].replace(/[.,;:!?'")\]]+$/, '')
    hosts.add(hostOf(url) ?? url.slice(0, 60))
  }
  for (const match of plain.matchAll(BARE_HOST)) {
    const known = parse(match[0])
    if (
      match[1] !== undefined ||
      known.isIcann === true ||
      known.isPrivate === true ||
      PRIVATE_NAME.test(match[0])
    )
      hosts.add(asHost(match[0]))
  }
  for (const match of plain.matchAll(IPV4)) hosts.add(match[0])
  return {
    hosts: [...hosts],
    emails: [
      ...new Set([...plain.matchAll(ADDRESS)].map((match) => match[0].toLowerCase().replace(/[.'-]+$/, ''))),
    ],
    phones: [...plain.matchAll(PHONE)]
      .filter((match) => !DATE.test(match[0].trim()) && !IPV4_ONLY.test(match[0].trim()))
      .map((match) => match[0].replaceAll(/\D/g, ''))
      .filter((digits) => digits.length >= 7),
    disguised: DISGUISES.flatMap((pattern) => pattern.exec(plain)?.[0] ?? []),
  }
}

const IPV4_ONLY = /^\d{1,3}(?:\.\d{1,3}){3}$/

/** A host is allowed when it is one of the given ones or below one. */
export function isAllowedHost(host: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const base = asHost(entry.trim().replace(/^\*?\./, ''))
    return base !== '' && (host === base || host.endsWith(`.${base}`))
  })
}

export function samePhone(a: string, b: string): boolean {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a]
  // The same number with and without the country's prefix.
  return short.length >= 7 && long.endsWith(short.replace(/^0+/, ''))
}

function hostOf(url: string): string | null {
  try {
    return new URL(url).hostname.replace(/\.$/, '')
  } catch {
    return null
  }
}

function asHost(text: string): string {
  try {
    return new URL(`http://${text}`).hostname.replace(/\.$/, '')
  } catch {
    return text.toLowerCase()
  }
}
