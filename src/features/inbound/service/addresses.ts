// Addresses of a parsed mail, in the one form in which they are compared and stored.

import { normalizeEmail } from '#kernel/email-address'
import type { Address } from 'postal-mime'
import { getDomain } from 'tldts'
import type { MailAddress } from '../policy/mail-facts'
import { cleanLine } from './clean-text'

const MAX_ADDRESSES = 500
/** What stands in a header, undone of comments and source routes, which are obsolete but were allowed in an address (RFC 5322 §4.4). */
export function readEmail(input: string): string | null {
  return normalizeEmail(
    input
      .slice(0, 1000)
      .trim()
      .replace(/\([^()]{0,200}\)/g, '')
      .replace(/^mailto:|^@[^:]{1,255}:/i, ''),
  )
}

/** A list with groups opened, invalid addresses dropped, repetitions dropped, at most 500. */
export function readAddresses(list: readonly Address[] | undefined): MailAddress[] {
  const found = new Map<string, MailAddress>()
  for (const entry of list ?? []) {
    for (const mailbox of entry.group ?? [entry]) {
      const email = readEmail(mailbox.address ?? '')
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

/** Whether an answer would leave the sender's own domain. */
export function isReplyToForeign(from: MailAddress | null, replyTo: readonly MailAddress[]): boolean {
  if (from === null) return replyTo.length > 0
  const home = registrable(from.email)
  return replyTo.some((address) => registrable(address.email) !== home)
}
