// The default: no key, no network, the same answer for the same mail. It knows what it does not know.
import { succeed } from '#kernel/failure'
import { judgeIntent } from '../policy/intent'
import { composeReply } from '../policy/reply-text'
import { judgeUnwanted } from '../policy/unwanted'
import type { DraftInput, DraftOutput, DraftProvider } from './contract'

export const heuristic: DraftProvider = {
  name: 'heuristic',
  isConfigured: () => true,
  model: () => null,
  draft: async (_ctx, input) => succeed(write(input)),
}

function write(input: DraftInput): DraftOutput {
  const unwanted = judgeUnwanted(input.subject, input.text)
  if (unwanted !== null)
    return {
      reply_text: '',
      confidence: 0.9,
      needs_human: unwanted.kind === 'unsafe',
      reason:
        unwanted.kind === 'spam'
          ? `Looks like advertising: ${unwanted.reasons.join(', ')}.`
          : `A person has to read this: it speaks of ${unwanted.reasons.join(', ')}.`,
      intent: unwanted.kind,
      category: unwanted.kind,
      price_guidance: null,
    }
  const { intent, confidence, needs_human } = judgeIntent(input.subject, input.text)
  const { organization } = input
  return {
    reply_text: composeReply(
      // A form's name is whatever somebody typed: see the gate's rule for form leads.
      { organization, greet: input.channel === 'form' ? null : input.from_name, intent },
      {
        ...organization,
        own_names: [organization.name, organization.from_name ?? ''],
        known_emails: [],
        secrets: [],
      },
    ),
    confidence,
    needs_human: needs_human !== null,
    reason: needs_human ?? `Recognised as ${intent} by its words.`,
    intent,
    category: intent === 'application' ? 'other' : 'inquiry',
    price_guidance: null,
  }
}
