// What may leave without a person having read it. Errs on the side of a person: a false alarm costs a click, a miss costs trust.
import { type Allowances, findForeignCommitment, findForeignPrice } from './commitments'
import { findDestinations, isAllowedHost, samePhone } from './links'

const MAX_REPLY_CHARS = 5000

export interface LintFacts extends Allowances {
  allowed_link_hosts: readonly string[]
  /** An organization may be called `booking.example` or `Half Price Books`; that is no link and no promise. */
  own_names: readonly string[]
  /** Addresses of the organization; its instructions' own are known by themselves. */
  known_emails: readonly string[]
  /** The delimiter of the call: a reply that holds it leaked the prompt. */
  secrets: readonly string[]
}

export interface LintProblem {
  rule: string
  detail: string
}

// Line breaks and tabs are text; every other control or format character, and letters without a shape, are not.
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}]|\u{34f}|\u{115f}|\u{1160}|\u{17b4}|\u{17b5}|\u{3164}|\u{ffa0}/u
const MARKUP =
  /<\/?[a-z!][^>\n]{0,200}>|```|\*\*[^*\n]{1,200}\*\*|^#{1,6}\s|\]\(|&(?:nbsp|lt|gt|amp|#\d{1,6});/imu
const PLACEHOLDERS = [
  /\[[^\]\n]{0,80}\p{L}[^\]\n]{0,80}\]/u,
  /\$?\{[^}\n]{1,80}\}/u,
  /%[A-Z][A-Z_]{2,30}%/,
  /_{4,}/,
  /\b(?:lorem ipsum|dolor sit amet|TODO|TBD|FIXME|XXX+|INSERT [A-Z]{2,}|your name here|company name here)\b/,
  /\blorem ipsum\b/i,
]
const PROMPT_LEAKS = [
  /\b(?:as an? (?:ai|artificial intelligence|language model|assistant model)|i am an? (?:ai|language model)|i'm an? (?:ai|language model))\b/i,
  /\b(?:system prompt|my instructions|my prompt|untrusted (?:data|message|text|block)|developer message|reply_text|needs_human|price_guidance)\b/i,
  /\b(?:ignore|disregard) (?:all |any )?(?:previous|prior|above) instructions\b/i,
]

export function lintReply(reply: string, facts: LintFacts): LintProblem[] {
  const text = reply.replaceAll('\r\n', '\n')
  if (text.trim() === '') return [{ rule: 'empty', detail: 'The reply is empty.' }]
  const problems: LintProblem[] = []
  const add = (rule: string, detail: string) => problems.push({ rule, detail })
  if (text.length > MAX_REPLY_CHARS)
    add('too_long', `The reply has ${text.length} characters; ${MAX_REPLY_CHARS} may go out unseen.`)
  const shown = text.slice(0, MAX_REPLY_CHARS)
  if (UNSEEN.test(shown)) add('not_plain_text', 'The reply holds invisible characters.')
  if (MARKUP.test(shown)) add('not_plain_text', 'The reply holds markup.')

  for (const pattern of PLACEHOLDERS) {
    const found = pattern.exec(shown)?.[0]
    if (found !== undefined) {
      add('placeholder', `The reply holds a placeholder: ${short(found)}`)
      break
    }
  }

  const said = withoutNames(shown, facts.own_names)
  const found = findDestinations(said)
  const foreign = found.hosts.filter((host) => !isAllowedHost(host, facts.allowed_link_hosts))
  if (foreign.length > 0)
    add(
      'foreign_link',
      `The reply leads to hosts that are not allowed: ${foreign.slice(0, 5).map(short).join(', ')}`,
    )
  if (found.disguised.length > 0)
    add(
      'foreign_link',
      `The reply holds a disguised link or address: ${found.disguised.slice(0, 3).map(short).join(', ')}`,
    )
  const own = findDestinations(facts.reply_instructions)
  const known = new Set([...facts.known_emails.map((email) => email.toLowerCase()), ...own.emails])
  const strangers = found.emails.filter((email) => !known.has(email))
  if (strangers.length > 0) add('unknown_email', 'The reply names an e-mail address that is not known.')
  if (found.phones.some((phone) => !own.phones.some((mine) => samePhone(mine, phone))))
    add('unknown_phone', 'The reply names a telephone number that is not known.')

  const price = findForeignPrice(said, facts)
  if (price !== null) add('price', `The reply names a price that the organization did not: ${short(price)}`)
  const commitment = findForeignCommitment(said, facts)
  if (commitment !== null) add('commitment', `The reply promises what is not allowed: ${short(commitment)}`)

  if (
    facts.secrets.some((secret) => secret !== '' && shown.includes(secret)) ||
    PROMPT_LEAKS.some((pattern) => pattern.test(shown))
  )
    add('prompt_leak', 'The reply speaks of its own instructions.')
  return problems
}

function withoutNames(text: string, names: readonly string[]): string {
  return names.reduce(
    (rest, name) => (name.trim().length < 3 ? rest : rest.replaceAll(name.trim(), ' ')),
    text,
  )
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60).toWellFormed()}…` : text
}
