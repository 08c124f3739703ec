// Slugs: an organization's public name in form URLs and in its mail address `<slug>@`. Pure.

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])$/
const MAX_DERIVED = 50

/** Names that mail or the web already gives a meaning to (RFC 2142 and our own routes). */
const reserved = new Set(
  'abuse hostmaster mailer-daemon no-reply noreply postmaster reply root security admin api app docs health lead support webmaster www'.split(
    ' ',
  ),
)

export function isSlug(text: string): boolean {
  return SLUG.test(text)
}

export function isReservedSlug(slug: string): boolean {
  return reserved.has(slug)
}

/** The slug that a name suggests; it may be taken. */
export function slugFrom(name: string): string {
  const slug = name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_DERIVED)
    .replace(/^-+|-+$/g, '')
  if (slug.length < 2) return 'organization'
  return reserved.has(slug) ? `${slug}-team` : slug
}

/** `random` is any identifier; 32 bits of it keep two namesakes apart. */
export function slugWithSuffix(slug: string, random: string): string {
  return `${slug}-${random.replaceAll('-', '').slice(-8)}`
}
