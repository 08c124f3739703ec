// Prices and promises in a text. An organization is bound by what its mail says, so only what it allowed itself may go out unseen.
import { speakableLines } from './own-words'

const NUMBER = String.raw`\d(?:[\d.,]{0,14}\d)?\s?k?`
const SYMBOL = String.raw`R\$|US\$|[$€£¥₹₽₩₺]`
const CODE = String.raw`(?:eur|usd|gbp|chf|brl|cad|aud|inr|jpy|sek|nok|dkk|pln|czk|mxn|zar)\b`
const UNIT_NAME = String.raw`(?:euros?|dollars?|pounds?|reais|francs?|bucks|cents?|quid|pesos?|rupees?|yen)\b`
const PER = String.raw`(?:month|year|user|seat|hour|day|week|person|unit|piece|night|session|licen[cs]e|mês|ano|monat|jahr|mes|mois)\b`
const AMOUNT = new RegExp(
  [
    `(?:${SYMBOL})\\s?${NUMBER}`,
    `${NUMBER}\\s?(?:${SYMBOL}|${CODE}|${UNIT_NAME})`,
    `\\b${CODE}\\s?${NUMBER}`,
    `${NUMBER}\\s?(?:%|percent\\b|per cent\\b|por cento\\b|prozent\\b|pour cent\\b)`,
    `${NUMBER}\\s?(?:/|per\\s|each\\s|a\\s|por\\s|pro\\s)\\s?${PER}`,
  ].join('|'),
  'giu',
)
const BARE_UNIT = /\b(?:euros?|dollars?|reais|bucks|rupees?)\b/i

const PROMISE =
  /\b(?:guarant\w*|promis(?:e|es|ed|ing)|warrant(?:y|ies|ed)|refund\w*|reimburs\w*|compensat\w*|money[- ]back|free of charge|for free|free (?:trials?|consultations?|samples?|shipping|delivery|quotes?|estimates?|services?|upgrades?|installation|months?|weeks?|years?|demos?|training|support|cop(?:y|ies)|version|gifts?|accounts?|sessions?|lessons?|calls?|access|plan|tier|returns?|repairs?)|(?:is|are|it's|that's|completely|totally|absolutely|entirely) free(?= of\b|[.,;!)\n]|$)|at no (?:extra |additional )?(?:cost|charge)|no charge|complimentary|discount\w*|half[- ]price|cheapest|best price|waiv(?:e|ed|er)|price match\w*|legally binding|we (?:hereby )?(?:commit|accept your offer|agree to)|(?:is|are|has been|have been) (?:booked|reserved|confirmed|approved|accepted)|your (?:booking|reservation|appointment|order) is|within (?:\w+ )?(?:\d+|one|two|three|four|five|six|seven|24|48) ?(?:minutes?|hours?|(?:business |working )?days?|weeks?)|by (?:today|tonight|tomorrow|monday|tuesday|wednesday|thursday|friday|saturday|sunday)|no later than|deadline|liab(?:le|ility)|we will (?:deliver|ship|install|finish|complete|pay|cover|replace)|we'll (?:deliver|ship|install|finish|complete|pay|cover|replace)|100 ?%)\b/iu
const PROMISE_ABROAD =
  /(?<!\p{L})(?:garant(?:ia|ie|imos|ieren|ía|izamos|issons)|reembols\w*|descontos?|descuentos?|rabatt\w*|remboursement\w*|remise|gratis|gratuit\w*|kostenlos\w*|gr[aá]tis|erstatt\w*|versprech\w*|prometemos|indeniza\w*|verbindlich)(?!\p{L})/iu

export interface Allowances {
  reply_instructions: string
  allowed_commitments: readonly string[]
}

/** The first price that the organization never named, or null. */
export function findForeignPrice(text: string, allowed: Allowances): string | null {
  const own = new Set(
    amountsIn([...speakableLines(allowed.reply_instructions), ...allowed.allowed_commitments].join('\n')),
  )
  let rest = text.normalize('NFKC')
  for (const match of rest.matchAll(AMOUNT)) if (!own.has(amountKey(match[0]))) return match[0].trim()
  rest = rest.replaceAll(AMOUNT, ' ')
  return BARE_UNIT.exec(rest)?.[0] ?? null
}

/** The first promise that the organization did not allow, or null. */
export function findForeignCommitment(text: string, allowed: Allowances): string | null {
  let rest = text.normalize('NFKC').toLowerCase()
  for (const phrase of allowed.allowed_commitments) {
    const plain = phrase.normalize('NFKC').trim().toLowerCase()
    if (plain !== '') rest = rest.replaceAll(plain, ' · ')
  }
  return (PROMISE.exec(rest) ?? PROMISE_ABROAD.exec(rest))?.[0] ?? null
}

function amountsIn(text: string): string[] {
  return [...text.normalize('NFKC').matchAll(AMOUNT)].map((match) => amountKey(match[0]))
}

const CURRENCIES: readonly [RegExp, string][] = [
  [/r\$|brl|reais/, 'brl'],
  [/\$|usd|dollar|bucks/, 'usd'],
  [/€|eur/, 'eur'],
  [/£|gbp|pound|quid/, 'gbp'],
  [/%|cent\b|cento|prozent/, 'percent'],
]

/** "€499", "499,00 EUR" and "499 euros" are one amount. */
function amountKey(amount: string): string {
  const lower = amount.toLowerCase()
  const number = /\d[\d.,]*/.exec(lower)?.[0].replace(/[.,]+$/, '') ?? ''
  const thousand = /\d\s?k\b/.test(lower) ? '000' : ''
  const digits = number.replace(/[.,]00?$/, '').replaceAll(/[.,]/g, '') + thousand
  const currency =
    CURRENCIES.find(([pattern]) => pattern.test(lower))?.[1] ?? lower.replaceAll(/[\d.,\s]/g, '')
  return `${digits} ${currency}`
}
