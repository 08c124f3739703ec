// Addresses of a parsed mail, in the one form in which they are compared and stored.

import type { Address } from 'postal-mime'
import { getDomain } from 'tldts'
import type { MailAddress } from '../policy/mail-facts'
import { cleanLine } from './clean-text'

const MAX_ADDRESSES = 500
// RFC 5321 §4.5.3.1: 64 for the local part, 255 for the domain. Quoted local parts are left out: no lead writes from one.
const LOCAL = /^[^\s<>()[\]\\,;:@"\u0000-\u0020\u007f]{1,64}$/
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?){0,20}$/

function toAscii(domain: string): string | null {
  // oxlint-disable-next-line no-control-regex
  if (/^[\u0000-\u007f]*$/.test(domain)) return domain
  try {
    return new URL(`http://${domain}/`).hostname
  } catch {
    return null
  }
}

/** Lower case, trimmed, with an ASCII domain; null when it is no address. */
export function normalizeEmail(input: string): string | null {
  const email = input
    .slice(0, 1000)
    .trim()
    // Comments and source routes are obsolete, but were allowed inside an address (RFC 5322 §4.4).
    .replace(/\([^()]{0,200}\)/g, '')
    .replace(/^mailto:|^@[^:]{1,255}:/i, '')
    .toLowerCase()
  const at = email.lastIndexOf('@')
  if (at < 1 || email.length > 320) return null
  const local = email.slice(0, at)
  const domain = toAscii(email.slice(at + 1).replace(/\.$/, ''))
  if (domain === null || domain.length > 255 || !DOMAIN.test(domain) || !LOCAL.test(local)) return null
  return `${local}@${domain}`
}

/** A list with groups opened, invalid addresses dropped, repetitions dropped, at most 500. */
export function readAddresses(list: readonly Address[] | undefined): MailAddress[] {
  const found = new Map<string, MailAddress>()
  for (const entry of list ?? []) {
    for (const mailbox of entry.group ?? [entry]) {
      const email = normalizeEmail(mailbox.address ?? '')
      if (email !== null && !found.has(email)) found.set(email, { email, name: cleanLine(mailbox.name, 200) })
      if (found.size >= MAX_ADDRESSES) return [...found.values()]
    }
  }
  return [...found.values()]
}

function registrable(email: string): string {
  const host = email.slice(email.lastIndexOf('@') + 1)
  // Private suffixes count: two customers of one hoster are strangers to each other.
  return getDomain(host, { allowPrivateDomains: true }) ?? host
}

/** Whether an answer would leave the sender's own domain (facts/mailboxes.md §2.7). */
export function isReplyToForeign(from: MailAddress | null, replyTo: readonly MailAddress[]): boolean {
  if (from === null) return replyTo.length > 0
  const home = registrable(from.email)
  return replyTo.some((address) => registrable(address.email) !== home)
}
