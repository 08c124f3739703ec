// Which organization and which send a routed mail is for, as far as its addresses and headers tell.
import { domainOf, normalizeEmail } from '#kernel/email-address'
import { isReservedSlug, isSlug } from '#kernel/slug'

/** The database goes through them in this order (SQL: org_by_mail). */
export interface MailRoute {
  /** Set by a person alone. */
  org_id?: string
  send_id?: string
  slugs?: string[]
  reference_ids?: string[]
  sender?: string
  /** When it came: what was written to its sender long before is not what it answers. */
  at?: string
}

export interface RouteSettings {
  INBOUND_EMAIL_DOMAIN?: string | undefined
  POSTMARK_INBOUND_ADDRESS?: string | undefined
}

export interface Recipients {
  /** The addresses that the mail was handed to us for. */
  envelope: string[]
  /** Those in its headers, which anybody may have written: only at our own domain do they name somebody of ours. */
  headers: string[]
  /** What stood behind the plus, where the envelope's address is not known. */
  hash?: string | undefined
}

const MAX_NAMED = 20

/** What may be the token of a reply address, most telling first. */
export function tokensOf({ envelope, headers, hash }: Recipients): string[] {
  const tagged = [...envelope, ...headers].flatMap((address) => {
    const local = address.slice(0, Math.max(0, address.lastIndexOf('@')))
    return local.includes('+') ? [local.slice(local.lastIndexOf('+') + 1)] : []
  })
  return distinct([...(hash === undefined ? [] : [hash]), ...tagged])
}

export function slugsOf({ envelope, headers, hash }: Recipients, settings: RouteSettings): string[] {
  const shared = normalizeEmail(settings.POSTMARK_INBOUND_ADDRESS ?? '')
  const ours = new Set(
    [settings.INBOUND_EMAIL_DOMAIN?.toLowerCase(), shared === null ? undefined : domainOf(shared)].filter(
      (domain) => domain !== undefined,
    ),
  )
  // Postmark's own addresses stand for nobody; what is behind their plus may. Of any other one the plus is its owner's own affair.
  const isPostmarks = (address: string) =>
    domainOf(address) === POSTMARK_DOMAIN || (shared !== null && untagged(address) === shared)
  const read = (addresses: readonly string[]) =>
    addresses.flatMap((given) => normalizeEmail(given) ?? []).slice(0, MAX_NAMED)
  const asked = read(envelope)
  const named = [...asked, ...read(headers).filter((address) => ours.has(domainOf(address)))]
  const candidates = [
    ...named.flatMap((address) => (isPostmarks(address) ? tagOf(address) : localOf(address))),
    ...(asked.every(isPostmarks) ? [hash?.toLowerCase() ?? ''] : []),
  ]
  return distinct(candidates.filter((slug) => isSlug(slug) && !isReservedSlug(slug)))
}

const POSTMARK_DOMAIN = 'inbound.postmarkapp.com'

function localOf(address: string): string {
  return address.slice(0, address.lastIndexOf('@')).split('+')[0] ?? ''
}

function tagOf(address: string): string {
  return address.slice(0, address.lastIndexOf('@')).split('+')[1] ?? ''
}

function untagged(address: string): string {
  return `${localOf(address)}@${domainOf(address)}`
}

function distinct(values: string[]): string[] {
  return [...new Set(values)].slice(0, MAX_NAMED)
}

/** An answer, by its headers or by what every program writes before the subject. */
export function looksLikeAnswer(mail: {
  in_reply_to: string | null
  references: readonly string[]
  subject: string
}): boolean {
  return (
    mail.in_reply_to !== null ||
    mail.references.length > 0 ||
    /^\s*(?:re|aw|antw|sv|vs|odp|ynt|rif|res|回复|回覆)(?:\[\d{1,3}\])?\s*[:：]/i.test(mail.subject)
  )
}

/** Where everybody may have an address: two people there are strangers to each other. */
const SHARED_DOMAINS = new Set(
  (
    'gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com icloud.com me.com mac.com aol.com ' +
    'proton.me protonmail.com pm.me gmx.de gmx.net gmx.com gmx.at web.de t-online.de freenet.de mail.com mail.ru yandex.ru yandex.com ' +
    'qq.com 163.com 126.com sina.com naver.com daum.net orange.fr wanadoo.fr free.fr sfr.fr laposte.net libero.it virgilio.it ' +
    'wp.pl o2.pl onet.pl seznam.cz comcast.net verizon.net att.net sbcglobal.net btinternet.com zoho.com fastmail.com hey.com'
  ).split(' '),
)
const SHARED_BY_COUNTRY = /^(?:yahoo|hotmail|live|outlook)\.[a-z]{2,3}(?:\.[a-z]{2})?$/

export function isSharedDomain(domain: string): boolean {
  return SHARED_DOMAINS.has(domain) || SHARED_BY_COUNTRY.test(domain)
}
