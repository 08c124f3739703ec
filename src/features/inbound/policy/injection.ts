// Suspicion of prompt injection in a mail or its quoted thread. It decides nothing but that a person looks first, so it fails closed:
// what cannot be scanned to its end is suspected. The model has no tools and chooses no recipient; this is one wall of several.

import { decodeBlobs, findUnseen, readTags, readVariants } from './injection-normalize'
import { HIDDEN_IMPERATIVE, HIDDEN_MODEL_WORDS, PATTERNS } from './injection-patterns'

export interface InjectionVerdict {
  readonly suspected: boolean
  readonly reasons: string[]
}

/** Longer text goes to no model, and a person reads it anyway. */
const MAX_SCANNED = 120_000
const MAX_HIDDEN_SCANNED = 40_000

function matchPatterns(text: string): string[] {
  const variants = readVariants(text)
  return PATTERNS.filter(([, pattern]) => variants.some((variant) => pattern.test(variant))).map(
    ([reason]) => reason,
  )
}

function scanHidden(hidden: string): string[] {
  const reasons = matchPatterns(hidden).map((reason) => `hidden_${reason}`)
  const found = readVariants(hidden).some(
    (variant) => HIDDEN_IMPERATIVE.test(variant) || HIDDEN_MODEL_WORDS.test(variant),
  )
  return found ? [...reasons, 'hidden_instructions'] : reasons
}

export function suspectInjection(text: string, hidden_text: string): InjectionVerdict {
  const body = text.slice(0, MAX_SCANNED)
  const hidden = hidden_text.slice(0, MAX_HIDDEN_SCANNED)
  const reasons = new Set(matchPatterns(body))
  if (text.length > MAX_SCANNED || hidden_text.length > MAX_HIDDEN_SCANNED) reasons.add('too_long_to_scan')
  if (findUnseen(body) !== null) reasons.add('unseen_characters')
  const tags = readTags(body)
  if (tags !== '' && matchPatterns(tags).length > 0) reasons.add('encoded_instructions')
  for (const decoded of decodeBlobs(body)) {
    if (matchPatterns(decoded).length > 0 || HIDDEN_IMPERATIVE.test(decoded.toLowerCase()))
      reasons.add('encoded_instructions')
  }
  if (hidden.trim() !== '') for (const reason of scanHidden(hidden)) reasons.add(reason)
  return { suspected: reasons.size > 0, reasons: [...reasons] }
}
