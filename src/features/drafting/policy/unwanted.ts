// Mail that deserves no automatic answer: advertising, and what a person has to see with their own eyes.

const SPAM_THRESHOLD = 3

/** Each kind counts once, however often its words appear. */
const SPAM: readonly { name: string; weight: number; pattern: RegExp }[] = [
  {
    name: 'link building',
    weight: 3,
    pattern:
      /\b(?:back ?links?|guest post(?:s|ing)?|link (?:exchange|insertion|building|placement)|sponsored (?:post|article)s?|do-?follow|domain authority|write for (?:us|you)r? (?:blog|site))\b/i,
  },
  {
    name: 'search ranking',
    weight: 3,
    pattern:
      /\b(?:(?:rank|ranking|page)\s(?:#?1|one|first|higher|top)\b.{0,30}\bgoogle|first page of google|seo (?:services?|package|expert|agency|audit|company)|(?:improve|boost|increase) your (?:seo|rankings?|website traffic|organic traffic))\b/i,
  },
  {
    name: 'crypto',
    weight: 2,
    pattern:
      /\b(?:crypto(?:currency)?|bitcoin|btc|ethereum|usdt|nft|airdrop|token presale|defi|forex|binary options?)\b/i,
  },
  {
    name: 'quick money',
    weight: 2,
    pattern:
      /\b(?:guaranteed (?:returns?|profits?)|double your (?:money|investment)|passive income|make money (?:online|fast)|earn \$?\d[\d,.]* (?:a|per) (?:day|week)|invest(?:ment)? (?:opportunity|platform)|get rich|roi of \d+)\b/i,
  },
  {
    name: 'gambling',
    weight: 2,
    pattern:
      /\b(?:online casino|casino (?:bonus|games?)|free spins|slot machines?|sports? betting|betting (?:site|tips)|poker (?:site|bonus)|jackpot)\b/i,
  },
  {
    name: 'gambling bonus',
    weight: 2,
    pattern: /\b(?:deposit bonus|welcome bonus|no deposit|free spins|odds boost)\b/i,
  },
  {
    name: 'pharmacy',
    weight: 3,
    pattern:
      /\b(?:viagra|cialis|levitra|online pharmacy|weight loss pills?|enlargement|cbd gummies|tramadol)\b/i,
  },
  {
    name: 'adult',
    weight: 3,
    pattern: /\b(?:porn|xxx|escorts?|hot singles|sexy? (?:girls?|chat|dating)|onlyfans)\b/i,
  },
  {
    name: 'advance fee',
    weight: 3,
    pattern:
      /\b(?:next of kin|dear beneficiary|inheritance (?:fund|claim)|unclaimed (?:funds?|inheritance)|million (?:us )?dollars|you (?:have )?won|lottery winner|diplomatic courier|western union)\b/i,
  },
  {
    name: 'bought audience',
    weight: 3,
    pattern:
      /\b(?:buy (?:followers|likes|views|traffic|reviews)|(?:email|b2b|leads?|contact) (?:list|database)s? (?:for sale|of|with|including)|targeted (?:leads|traffic|email list)|verified (?:leads|contacts|email list))\b/i,
  },
  {
    name: 'an agency that introduces itself',
    weight: 2,
    pattern:
      /\b(?:we|i) (?:are|am) (?:a |an )?(?:leading|offshore|full[- ]service|web|software|digital|mobile)[\w ,/-]{0,60}(?:agency|company|firm|team)\b/i,
  },
  {
    name: 'an offer that nobody asked for',
    weight: 2,
    pattern:
      /\b(?:(?:redesign|revamp) (?:of )?your (?:website|site)|we (?:offer|provide) (?:web|app|seo|digital|lead generation|virtual assistant)[\w ]{0,30}services?|(?:came across|found|visited) your (?:website|site) and (?:noticed|found|saw)|outsourc(?:e your|ing partner))\b/i,
  },
  {
    name: 'pressure',
    weight: 1,
    pattern:
      /\b(?:act now|limited time|100% (?:free|guaranteed|legit)|risk[- ]free|click (?:here|below|the link)|don'?t miss|unsubscribe|opt[- ]out|this is (?:not|no) spam)\b/i,
  },
  {
    name: 'short link',
    weight: 1,
    pattern: /\b(?:bit\.ly|tinyurl\.com|t\.me|wa\.me|cutt\.ly|is\.gd|goo\.gl|rb\.gy|shorturl\.at)\//i,
  },
]

const UNSAFE: readonly { name: string; pattern: RegExp }[] = [
  {
    name: 'a threat',
    pattern:
      /\b(?:(?:i|we)(?:'ll| will| am going to|'m going to| are going to)\s(?:kill|hurt|shoot|stab|beat|burn|bomb|find|destroy|come (?:for|after))\s(?:you|your|him|her|them|everyone)|(?:bomb|death) threat|you(?:'ll| will) (?:die|regret|pay for this)|i know where you live|blow up (?:the|your))\b/i,
  },
  {
    name: 'a person in danger',
    pattern:
      /\b(?:kill(?:ing)? myself|suicid(?:e|al)|end(?:ing)? my (?:own )?life|hurt(?:ing)? myself|self[- ]harm|want to die|don'?t want to live|no reason to live)\b/i,
  },
  {
    name: 'a legal matter',
    pattern:
      /\b(?:(?:my|our) (?:lawyer|attorney|solicitor|legal (?:team|counsel))|(?:sue|suing) you|legal (?:action|proceedings)|law ?suit|cease and desist|court (?:order|summons|date)|subpoena|take you to court|small claims|data protection authority|supervisory authority|gdpr (?:complaint|request|violation)|right to (?:erasure|be forgotten)|subject access request|copyright infring\w*)\b/i,
  },
  {
    name: 'phishing',
    pattern:
      /\b(?:(?:verify|confirm|validate|update) your (?:account|password|identity|mailbox|e-?mail account|bank|billing|payment)|(?:your )?(?:account|mailbox|password) (?:has been|will be|is about to be) (?:suspended|locked|limited|deactivated|closed|expired?)|unusual (?:sign-?in|login) (?:activity|attempt)|(?:mailbox|inbox|storage) is (?:almost )?full|review the attached invoice|docusign document (?:is )?(?:ready|pending)|gift ?cards?\b.{0,60}\b(?:codes?|urgent|purchase|buy))\b/i,
  },
  {
    name: 'credentials or payment data',
    pattern:
      /\b(?:(?:send|give|tell|share|provide|forward|reply with)(?: me| us)? (?:your|the|all|any)[\w ]{0,20}\b(?:passwords?|credentials|api keys?|pin|bank (?:details|account)|card (?:number|details)|(?:2fa|verification|security|one[- ]time) codes?)|(?:change|update|new)[\w ]{0,20}\bbank (?:details|account)|wire transfer|my (?:password|card number|ssn|social security number) is)\b/i,
  },
]
const CARD = /(?<![\d])(?:\d[ -]?){15}\d(?![\d])/
const LINK = /\bhttps?:\/\/|\bwww\./gi

export interface Unwanted {
  kind: 'spam' | 'unsafe'
  /** What it was recognised by, for people. */
  reasons: string[]
}

/** `null` for mail like any other. Unsafe comes first: a threat that also advertises is a threat. */
export function judgeUnwanted(subject: string, text: string): Unwanted | null {
  const whole = `${subject}\n${text}`.normalize('NFKC').slice(0, 20_000)
  const unsafe = UNSAFE.filter(({ pattern }) => pattern.test(whole)).map(({ name }) => name)
  if (CARD.test(whole) && passesLuhn((CARD.exec(whole)?.[0] ?? '').replaceAll(/\D/g, '')))
    unsafe.push('credentials or payment data')
  if (unsafe.length > 0) return { kind: 'unsafe', reasons: [...new Set(unsafe)] }
  const hits = SPAM.filter(({ pattern }) => pattern.test(whole))
  const links = whole.match(LINK)?.length ?? 0
  const score = hits.reduce((sum, { weight }) => sum + weight, 0) + (links >= 6 ? 2 : links >= 3 ? 1 : 0)
  if (score < SPAM_THRESHOLD || hits.length === 0) return null
  return { kind: 'spam', reasons: [...hits.map(({ name }) => name), ...(links >= 3 ? ['many links'] : [])] }
}

function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    sum += i % 2 === 0 ? digit : digit * 2 > 9 ? digit * 2 - 9 : digit * 2
  }
  return sum % 10 === 0
}
