// The heuristic's own words. They promise nothing, name no price and lead nowhere, so the output lint has nothing to find.
import type { Intent } from './intent'
import { lintReply, type LintFacts } from './output-lint'
import { speakableLines } from './own-words'

const OPENING: Record<Intent, string> = {
  pricing: 'Thank you for asking about our prices.',
  meeting: 'Thank you for your message. We would be glad to talk to you.',
  support: 'Thank you for telling us about this. I am sorry for the trouble.',
  availability: 'Thank you for asking about availability.',
  complaint: 'Thank you for telling us. I am sorry that this has not gone the way it should.',
  application: 'Thank you for your interest in working with us.',
  general: 'Thank you for getting in touch with us.',
}

const NEXT: Record<Intent, string> = {
  pricing:
    'A colleague is looking at what you need and will come back to you with figures that fit. To make them precise, it helps to know what you need, how much of it, and from when.',
  meeting:
    'Two or three times that suit you, with your time zone, are all we need: a colleague will pick one and write back to you. A line on what you would like to see helps us to prepare.',
  support:
    'A colleague is taking a look. It speeds things up if you tell us what you did, what happened instead, and the exact wording of any error you saw. A screenshot is welcome.',
  availability:
    'A colleague is checking this and will write back to you. If you have not mentioned it yet, the dates and the quantity you have in mind would help us.',
  complaint: 'A colleague is reading your message now and will write back to you personally.',
  application: 'A colleague who looks after applications is reading your message and will write back to you.',
  general:
    'A colleague is reading your message and will write back to you. If there is anything to add, such as what matters most to you, simply answer this e-mail.',
}

/** Which of the organization's own sentences belong to which intent. */
const FITTING: Record<Intent, RegExp | null> = {
  pricing:
    /\b(?:price|prices|pricing|costs?|fees?|plans?|rates?|packages?|subscription|quote)\b|[€$£]|\d\s?%/i,
  meeting: /\b(?:demo|meeting|meet|call|appointment|book|calendar|visit|consultation)\b/i,
  support: /\b(?:support|help ?desk|service|manual|troubleshoot\w*|hours)\b/i,
  availability:
    /\b(?:open|hours|available|availability|stock|deliver\w*|ship\w*|lead time|mon|monday|weekdays?|weekend)\b/i,
  complaint: null,
  application: null,
  general: /\b(?:we|our)\b/i,
}
const MAX_FACTS = 2

/** What every reply of ours may hold without it being the sender's text. */
export const STOCK_PHRASES: readonly string[] = [
  ...Object.values(OPENING),
  ...Object.values(NEXT),
  'Hello',
  'Kind regards',
]

export function composeReply(
  input: {
    organization: { name: string; from_name: string | null; reply_instructions: string }
    /** `null` where the name must not be repeated. */
    greet: string | null
    intent: Intent
  },
  lint: LintFacts,
): string {
  const fitting = FITTING[input.intent]
  const facts = speakableLines(input.organization.reply_instructions)
    .filter((line) => fitting?.test(line) === true && lintReply(line, lint).length === 0)
    .slice(0, MAX_FACTS)
  const name = firstName(input.greet)
  return [
    name === null ? 'Hello,' : `Hello ${name},`,
    [OPENING[input.intent], ...facts].join(' '),
    NEXT[input.intent],
    `Kind regards\n${oneLine(input.organization.from_name ?? input.organization.name)}`,
  ].join('\n\n')
}

/** A first name that is surely one; else nobody is greeted by it. */
export function firstName(name: string | null): string | null {
  const first =
    name
      ?.normalize('NFKC')
      .trim()
      .split(/[\s,]+/)[0] ?? ''
  return /^\p{Lu}[\p{L}\p{M}]{1,20}(?:[-'’]\p{Lu}?[\p{L}\p{M}]{1,20})?$/u.test(first) ? first : null
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
