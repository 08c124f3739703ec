// What somebody wants, by the words they use. Deterministic, and modest about what it does not know.

export const intents = [
  'pricing',
  'meeting',
  'support',
  'availability',
  'complaint',
  'application',
  'general',
] as const
export type Intent = (typeof intents)[number]

const SIGNS: Record<Exclude<Intent, 'general'>, RegExp[]> = {
  complaint: [
    /\b(?:refund|money back|chargeback)\b/i,
    /\b(?:complain(?:t|ing)?|unacceptable|disappointed|disgusted|furious|terrible|worst|scam|rip[- ]?off|fed up|ridiculous)\b/i,
    /\b(?:cancel(?:lation)?|terminate) (?:my|our|the) (?:order|contract|subscription|account|membership|booking)\b/i,
  ],
  application: [
    /\b(?:my (?:cv|resume|résumé)|job (?:opening|application|opportunit\w+)|apply(?:ing)? for|internship|vacanc(?:y|ies)|hiring)\b/i,
  ],
  pricing: [
    /\b(?:price|prices|pricing|price ?list)\b/i,
    /\b(?:how much|costs?|rates?|fees?|budget|tariff)\b/i,
    /\b(?:quote|quotation|estimate|proposal|offer for)\b/i,
    /\b(?:plans?|subscription|per (?:seat|user|month)|packages?)\b/i,
  ],
  meeting: [
    /\b(?:demo|demonstration|walk-?through|trial)\b/i,
    /\b(?:meeting|appointment|schedule|calendar|consultation)\b/i,
    /\b(?:a call|phone call|video call|call me|call you|speak (?:to|with)|talk to|chat with|zoom|teams meeting|visit you|come by)\b/i,
  ],
  support: [
    /\b(?:not working|doesn'?t work|does not work|stopped working|won'?t (?:start|open|load|connect)|broken|crash\w*|fails?|failed|error|bug)\b/i,
    /\b(?:support|help (?:me|us)? ?with|troubleshoot\w*|issue|problem|fix|repair)\b/i,
    /\b(?:can(?:no|')t (?:log ?in|access|open|find|connect|install)|reset my password|locked out|manual|set ?up)\b/i,
  ],
  availability: [
    /\b(?:availab(?:le|ility)|in stock|out of stock|vacant|any (?:slots?|rooms?|spaces?|places?) (?:left|free))\b/i,
    /\b(?:opening (?:hours|times)|open(?:ed)? (?:on|at|until|today|tomorrow)|closing time|business hours)\b/i,
    /\b(?:lead time|delivery time|how (?:soon|long)|when can (?:you|we|i)|earliest|deliver(?:y)? to|ship(?:ping)? to)\b/i,
  ],
}
/** Where two match equally, what costs most when it is missed comes first. */
const ORDER: readonly Exclude<Intent, 'general'>[] = [
  'complaint',
  'application',
  'support',
  'pricing',
  'meeting',
  'availability',
]

const INTEREST =
  /\b(?:interested|looking for|would like|i'd like|we'd like|we need|i need|more (?:information|details|info)|tell me|learn more|know more|could you|can you|do you|enquir\w*|inquir\w*|question|wondering|hoping)\b|\?/i

export interface IntentJudgement {
  intent: Intent
  confidence: number
  /** Why a person has to look although the words are clear. */
  needs_human: string | null
}

export function judgeIntent(subject: string, text: string): IntentJudgement {
  const whole = `${subject}\n${text}`.normalize('NFKC').slice(0, 10_000)
  const words = countWords(text)
  if (words === 0) return { intent: 'general', confidence: 0.1, needs_human: 'The message has no text.' }
  const language = foreignLanguage(text)
  if (language !== null)
    return { intent: 'general', confidence: 0.4, needs_human: `The message seems to be in ${language}.` }
  const scores = ORDER.map((intent) => ({
    intent,
    hits: SIGNS[intent].filter((sign) => sign.test(whole)).length,
    firm: intent === 'complaint' || intent === 'application',
  }))
  const best = scores.reduce((a, b) => (b.hits > a.hits ? b : a))
  const firm = scores.find((score) => score.firm && score.hits > 0)
  if (firm?.intent === 'complaint')
    return {
      intent: 'complaint',
      confidence: 0.6,
      needs_human: 'It sounds like a complaint or a cancellation.',
    }
  if (firm?.intent === 'application')
    return { intent: 'application', confidence: 0.6, needs_human: 'It looks like a job application.' }
  const long = text.length > 3000 ? 0.2 : 0
  if (best.hits === 0) {
    const inquiry = INTEREST.test(whole) && words >= 4
    return { intent: 'general', confidence: Math.max(0.1, (inquiry ? 0.74 : 0.5) - long), needs_human: null }
  }
  return {
    intent: best.intent,
    confidence: Math.max(
      0.1,
      Math.min(0.9, 0.74 + 0.05 * best.hits) - (countWords(whole) < 3 ? 0.2 : 0) - long,
    ),
    needs_human: null,
  }
}

function countWords(text: string): number {
  return text.match(/[\p{L}\p{N}']+/gu)?.length ?? 0
}

const LANGUAGES: readonly [string, RegExp][] = [
  [
    'German',
    /(?<!\p{L})(?:und|ich|nicht|sie|wir|ist|eine?n?|für|mit|bitte|möchte|haben|können|guten|danke|über|ihre?n?)(?!\p{L})/giu,
  ],
  [
    'Portuguese',
    /(?<!\p{L})(?:olá|você|vocês|não|uma|para|com|obrigad[oa]|gostaria|por favor|são|preço|bom dia|quero|meu|minha|seu|sobre)(?!\p{L})/giu,
  ],
  [
    'Spanish',
    /(?<!\p{L})(?:hola|usted(?:es)?|una|para|con|gracias|quisiera|por favor|precio|buenos|días|quiero|el|los|las|sobre|necesito)(?!\p{L})/giu,
  ],
  [
    'French',
    /(?<!\p{L})(?:bonjour|vous|nous|je|une|pour|avec|merci|voudrais|est|les|des|votre|prix|s'il|sur|souhaite)(?!\p{L})/giu,
  ],
  [
    'Italian',
    /(?<!\p{L})(?:ciao|buongiorno|voi|sono|una|per|con|grazie|vorrei|il|gli|prezzo|vostro|della|che|sul)(?!\p{L})/giu,
  ],
  [
    'Dutch',
    /(?<!\p{L})(?:hallo|ik|jullie|het|een|voor|met|graag|bedankt|niet|zijn|prijs|van|wij|uw)(?!\p{L})/giu,
  ],
]
const ENGLISH =
  /(?<!\p{L})(?:the|and|you|your|i|we|is|are|to|of|for|in|a|please|thanks|would|can|do|have|with|about|my|our|it|that|how|what|when|hello|hi)(?!\p{L})/giu

/** Templates are English; another language is for a person. Weak evidence counts as English. */
function foreignLanguage(text: string): string | null {
  const sample = text.slice(0, 3000)
  const letters = sample.match(/\p{L}/gu)?.length ?? 0
  const latin = sample.match(/\p{Script=Latin}/gu)?.length ?? 0
  if (letters >= 8 && latin < letters / 2) return 'a language with another script'
  const english = sample.match(ENGLISH)?.length ?? 0
  const [name, hits] = LANGUAGES.map(
    ([language, words]) => [language, sample.match(words)?.length ?? 0] as const,
  ).reduce((a, b) => (b[1] > a[1] ? b : a))
  return hits >= 3 && hits > english ? name : null
}
