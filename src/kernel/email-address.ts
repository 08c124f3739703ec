// Addresses as we compare them: trimmed, lower case, ASCII domain. Pure.

/** RFC 5321 §4.5.3.1: 64 octets of local part, 254 in all. */
const MAX_ADDRESS = 254

/** `null` when it is no address that mail could be sent to. */
export function normalizeEmail(address: string): string | null {
  const trimmed = address.trim().toLowerCase()
  if (trimmed.length > MAX_ADDRESS) return null
  const at = trimmed.lastIndexOf('@')
  if (at < 1 || at > 64) return null
  const local = trimmed.slice(0, at)
  if (
    !/^[^\s<>()[\]\\,;:"@\p{Cc}\p{Cs}]+$/u.test(local) ||
    local.startsWith('.') ||
    local.endsWith('.') ||
    local.includes('..')
  )
    return null
  const domain = asciiDomain(trimmed.slice(at + 1))
  return domain === null ? null : `${local}@${domain}`
}

export function domainOf(email_norm: string): string {
  return email_norm.slice(email_norm.lastIndexOf('@') + 1)
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/

function asciiDomain(domain: string): string | null {
  // Nearly all are written as they are compared, and need no reading of a URL.
  if (HOST.test(domain) && !domain.includes('xn--')) return domain
  if (!/^[\p{L}\p{N}.-]+$/u.test(domain)) return null
  try {
    const host = new URL(`http://${domain}`).hostname
    return HOST.test(host) ? host : null
  } catch {
    return null
  }
}
