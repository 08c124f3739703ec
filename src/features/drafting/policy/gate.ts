// May this reply leave without a person? Every rule is judged and kept, so that the answer explains itself.
import type {
  Channel,
  DraftCategory,
  DraftDecision,
  MailboxStatus,
  MailClassification,
  ReplyMode,
} from '#kernel/vocabulary'

/** Contract §4; the mailbox's own daily cap is a setting of it. */
const caps = { thread: 3, sender: 1, domain: 500, form_address: 1 } as const
export const MIN_CONFIDENCE = 0.7
/** Old mail turns up when somebody moves it back to the inbox, or after a long gap. */
const MAX_AGE_HOURS = 72
const MAX_DETAIL = 1000

export interface GateVerdict {
  rule: string
  passed: boolean
  detail: string
}

export interface GateFacts {
  now: Date
  reply_mode: ReplyMode
  undo_seconds: number
  /** The mailbox that it would leave from; `null` while none is connected. */
  mailbox: { status: MailboxStatus; auto_send: boolean; daily_cap: number } | null
  message: {
    channel: Channel
    classification: MailClassification
    no_auto_reply: readonly GateVerdict[]
    dmarc: 'pass' | 'fail' | 'none' | null
    received_at: Date
  }
  recipient: {
    /** Where the reply would go, normalized; `null` when it is no address. */
    email: string | null
    contact_email: string | null
    is_ours: boolean
  }
  /** Automatic replies that left or wait to leave. */
  counts: {
    thread: number
    sender_24h: number
    domain_24h: number
    mailbox_24h: number
    any_to_address_24h: number
  }
  answer: { confidence: number; needs_human: boolean; category: DraftCategory; reason: string }
  /** A second, deterministic look at the message, whatever the AI said. */
  unwanted: { kind: 'spam' | 'unsafe'; reasons: string[] } | null
  injection: { suspected: boolean; reasons: readonly string[] }
  lint: readonly { rule: string; detail: string }[]
  /** What of the sender's words the reply repeats, for form leads. */
  sender_text: string | null
  last_human_activity_at: Date | null
}

export interface GateResult {
  gate: GateVerdict[]
  decision: DraftDecision
}

export function decide(facts: GateFacts): GateResult {
  const gate = rules.flatMap((rule) => rule(facts))
  return { gate, decision: decisionOf(facts, gate) }
}

function decisionOf(facts: GateFacts, gate: readonly GateVerdict[]): DraftDecision {
  if (facts.answer.category === 'spam' || facts.answer.category === 'unsafe') return 'no_reply'
  return gate.every((verdict) => verdict.passed) ? 'auto_send' : 'needs_review'
}

/** Replies were switched off before anybody wrote one. */
export const repliesOff: GateResult = {
  gate: [verdict('reply_mode_auto', false, 'Replies are switched off.')],
  decision: 'no_reply',
}

/** What several runs have died over is read by a person, and by no rule of ours again. */
export function afterGivingUp(detail: string): GateResult {
  return { gate: [verdict('needs_human', false, detail)], decision: 'needs_review' }
}

type Rule = (facts: GateFacts) => GateVerdict | GateVerdict[]

function verdict(rule: string, passed: boolean, detail: string): GateVerdict {
  // Half a character at a cut would make the whole list unstorable.
  return { rule, passed, detail: detail.slice(0, MAX_DETAIL).toWellFormed() }
}

function capped(rule: string, used: number, cap: number, what: string): GateVerdict {
  return verdict(rule, used < cap, `${used} of ${cap} ${what}.`)
}

const rules: readonly Rule[] = [
  ({ reply_mode }) => verdict('reply_mode_auto', reply_mode === 'auto', `The reply mode is ${reply_mode}.`),
  ({ mailbox }) => {
    if (mailbox === null)
      return verdict('mailbox_auto_send', true, 'No mailbox is connected; the reply goes to the outbox.')
    if (mailbox.status !== 'connected')
      return verdict(
        'mailbox_auto_send',
        false,
        `The mailbox that received the message is ${mailbox.status}.`,
      )
    return verdict(
      'mailbox_auto_send',
      mailbox.auto_send,
      mailbox.auto_send
        ? 'The mailbox may send by itself.'
        : 'Automatic sending is switched off for the mailbox.',
    )
  },
  ({ message }) =>
    verdict(
      'not_automated',
      message.classification === 'human',
      `The message was classified as ${message.classification}.`,
    ),
  ({ message }) => {
    const against = message.no_auto_reply.filter((given) => !given.passed)
    return verdict(
      'message_allows_auto_reply',
      against.length === 0,
      against.length === 0
        ? 'Nothing in the message forbids an automatic answer.'
        : against.map((given) => `${given.rule}: ${given.detail}`).join(' '),
    )
  },
  ({ message, now }) => {
    const hours = Math.floor((now.getTime() - message.received_at.getTime()) / 3_600_000)
    return verdict(
      'message_is_recent',
      hours <= MAX_AGE_HOURS,
      hours <= MAX_AGE_HOURS
        ? `The message came in the last ${MAX_AGE_HOURS} hours.`
        : `The message came ${hours} hours ago: an automatic answer would surprise.`,
    )
  },
  identity,
  ({ recipient }) => {
    const { email, contact_email } = recipient
    if (email === null)
      return verdict('single_recipient_is_sender', false, 'The sender gave no address that can be answered.')
    if (recipient.is_ours)
      return verdict('single_recipient_is_sender', false, 'The sender is an address of this organization.')
    return verdict(
      'single_recipient_is_sender',
      contact_email === email,
      contact_email === email
        ? 'The only recipient is the sender of the message.'
        : 'The contact of the conversation is not the sender of the message.',
    )
  },
  ({ counts }) => capped('thread_cap', counts.thread, caps.thread, 'automatic replies in this thread'),
  ({ counts }) =>
    capped('sender_cap', counts.sender_24h, caps.sender, 'automatic replies to this sender in 24 hours'),
  ({ counts }) =>
    capped('domain_cap', counts.domain_24h, caps.domain, 'automatic replies to this domain in 24 hours'),
  ({ counts, mailbox }) =>
    mailbox === null
      ? verdict('mailbox_cap', true, 'No mailbox is connected.')
      : capped(
          'mailbox_cap',
          counts.mailbox_24h,
          mailbox.daily_cap,
          'automatic replies from this mailbox in 24 hours',
        ),
  ({ answer }) =>
    verdict(
      'confidence',
      answer.confidence >= MIN_CONFIDENCE,
      `The confidence is ${answer.confidence.toFixed(2)}; ${MIN_CONFIDENCE} is needed.`,
    ),
  ({ answer }) =>
    verdict(
      'needs_human',
      !answer.needs_human,
      answer.needs_human ? `A person has to look: ${answer.reason}` : 'No person is needed.',
    ),
  ({ answer, unwanted }) => unwantedRule('not_spam', 'spam', answer.category, unwanted),
  ({ answer, unwanted }) => unwantedRule('not_unsafe', 'unsafe', answer.category, unwanted),
  ({ injection }) =>
    verdict(
      'no_injection',
      !injection.suspected,
      injection.suspected
        ? `The message seems to instruct a machine: ${injection.reasons.join('; ')}.`
        : 'Nothing in the message or its thread instructs a machine.',
    ),
  ({ lint }) =>
    verdict(
      'output_lint',
      lint.length === 0,
      lint.length === 0
        ? 'No foreign links, addresses, prices, promises or placeholders.'
        : lint.map((problem) => problem.detail).join(' '),
    ),
  ({ message, last_human_activity_at }) => {
    const acted = last_human_activity_at !== null && last_human_activity_at >= message.received_at
    return verdict(
      'no_human_activity',
      !acted,
      acted
        ? 'A person has acted in the conversation since the message came.'
        : 'Nobody has acted in the conversation since the message came.',
    )
  },
  ({ undo_seconds }) =>
    verdict(
      'undo_window',
      true,
      undo_seconds === 0
        ? 'No undo window is set: it leaves at once.'
        : `It leaves ${undo_seconds} s after the decision unless somebody stops it.`,
    ),
]

/** Mail proves its sender by DMARC. A form proves nothing, so it may reach an address once, with none of its writer's words. */
function identity({ message, counts, sender_text }: GateFacts): GateVerdict[] {
  if (message.channel === 'form')
    return [
      capped(
        'one_form_reply_per_address_24h',
        counts.any_to_address_24h,
        caps.form_address,
        'automatic mails to this address in 24 hours',
      ),
      verdict(
        'form_reply_repeats_nothing',
        sender_text === null,
        sender_text === null
          ? 'The reply holds nothing of what the form was filled with.'
          : 'The reply repeats words of the form.',
      ),
    ]
  const passed = message.channel === 'email' && message.dmarc === 'pass'
  return [
    verdict(
      'dmarc_pass',
      passed,
      message.channel === 'email'
        ? `DMARC is ${message.dmarc ?? 'not known'} for the sender.`
        : `A message by ${message.channel} does not prove that the address is the sender's.`,
    ),
  ]
}

function unwantedRule(
  rule: string,
  kind: 'spam' | 'unsafe',
  category: DraftCategory,
  unwanted: GateFacts['unwanted'],
): GateVerdict {
  if (unwanted?.kind === kind)
    return verdict(rule, false, `It looks ${kind}: ${unwanted.reasons.join(', ')}.`)
  return verdict(
    rule,
    category !== kind,
    category === kind ? `The AI judged it ${kind}.` : `It does not look ${kind}.`,
  )
}
