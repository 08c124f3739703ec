// What is told about a lead, and when its outcome is known at all. Pure.
import type { Failure } from '#kernel/failure'
import type {
  DraftCategory,
  DraftDecision,
  DraftStatus,
  LeadStatus,
  MailboxStatus,
  SendState,
} from '#kernel/vocabulary'

export interface LeadFacts {
  status: LeadStatus
  /** A message of ours is in the thread, by whatever way it left. */
  answered: boolean
  draft: {
    status: DraftStatus
    decision: DraftDecision | null
    category: DraftCategory | null
    reason: string | null
    gate: { rule: string; passed: boolean; detail: string }[]
    ai_failure: { code: string; message: string } | null
    reject_reason: string | null
  } | null
  /** The reply that left, else the newest. */
  send: {
    state: SendState
    automatic: boolean
    skip_reason: string | null
    last_error: { code: string; message: string } | null
  } | null
}

/** One sentence on what became of a lead; `null` while that is still open. */
export function describeOutcome({ status, answered, draft, send }: LeadFacts): string | null {
  switch (send?.state) {
    case 'scheduled':
    case 'claimed':
    case 'sending':
    case 'unknown':
      return null
    case 'sent':
      return send.automatic ? 'Answered automatically.' : 'Answered.'
    case 'review':
      return 'Nobody knows whether the answer left: a person has to decide.'
    case 'failed':
      return `Sending the answer failed: ${because(send.last_error?.code, 'unknown')}.`
    case 'skipped':
    case undefined:
      break
  }
  // A send that was skipped is told only when nothing newer came of it.
  if (answered) return 'Answered by a person.'
  if (draft?.status === 'pending') return null
  if (draft?.decision === 'no_reply') return `No reply: ${whyNone(draft)}.`
  switch (draft?.status) {
    case 'ready':
      return `The reply needs approval: ${whyReview(draft)}.`
    case 'rejected':
      return `No reply: a person rejected the draft${draft.reject_reason ? ` (${clip(draft.reject_reason, 200)})` : ''}.`
    case 'approved':
    case 'superseded':
    case undefined:
      break
  }
  if (send?.state === 'skipped') return `The answer was held back: ${because(send.skip_reason, 'unknown')}.`
  if (status === 'spam') return 'No reply: spam.'
  // Approved and its send not there yet: they are made together, so it is on its way.
  if (draft?.status === 'approved') return null
  return draft ? 'No automatic reply: the draft was set aside.' : 'No automatic reply: replies are off.'
}

type Draft = NonNullable<LeadFacts['draft']>

function whyNone(draft: Draft): string {
  const why = because(draft.reason ?? firstFailed(draft)?.detail, 'not needed')
  return draft.category === 'spam' || draft.category === 'unsafe' ? `${draft.category}, ${why}` : why
}

function whyReview(draft: Draft): string {
  if (draft.ai_failure) return `the AI could not write it (${draft.ai_failure.code})`
  const failed = firstFailed(draft)
  if (!failed) return 'the organization approves every reply'
  return because(failed.detail === '' ? failed.rule : `${failed.rule}: ${failed.detail}`, failed.rule)
}

function firstFailed(draft: Draft) {
  return draft.gate.find((verdict) => !verdict.passed)
}

/** Codes and model text become one short phrase without a full stop. */
function because(text: string | null | undefined, otherwise: string): string {
  return clip((text ?? '').replace(/[.\s]+$/, ''), 200) || otherwise
}

/** One line of at most `max` characters: no controls, no text direction overrides, no cut surrogate pair. */
export function clip(text: string, max: number): string {
  const line = text
    .replace(/\p{Cf}+/gu, '')
    .replace(/[\p{Cc}\p{Z}]+/gu, ' ')
    .trim()
  const characters = Array.from(line)
  return characters.length <= max
    ? line
    : `${characters
        .slice(0, max - 1)
        .join('')
        .trimEnd()}…`
}

/** What is to be told, in plain words. Whatever escaping its medium needs is the channel's business. */
export interface Notice {
  title: string
  lines: string[]
  link: { label: string; url: string }
}

const PREVIEW_CHARACTERS = 140

export function leadNotice(
  lead: {
    id: string
    organization: string
    source: string
    name: string | null
    /** Null on a channel without addresses. */
    email: string | null
    subject: string
    text: string
  },
  outcome: string,
  base_url: string,
): Notice {
  const names = [
    lead.name === null ? '' : clip(lead.name, 80),
    lead.email === null ? '' : clip(lead.email, 100),
  ]
  const [name = 'somebody', address] = names.filter((part) => part !== '')
  const who = address === undefined ? name : `${name} (${address})`
  const quoted = [clip(lead.subject, 100), clip(lead.text, PREVIEW_CHARACTERS)].filter((part) => part !== '')
  return {
    title: `New lead for ${clip(lead.organization, 80)}: ${who}`,
    lines: [...(quoted.length === 0 ? [] : [quoted.join(' – ')]), outcome],
    link: { label: 'Open the lead', url: `${trimSlash(base_url)}/leads/${lead.id}` },
  }
}

export function reconnectNotice(
  mailbox: { id: string; email: string; organization: string; status: MailboxStatus },
  base_url: string,
): Notice {
  return {
    title: `${clip(mailbox.organization, 80)} has lost a mailbox: ${clip(mailbox.email, 100)}`,
    lines: [lossOf(mailbox.status)],
    link: { label: 'Open the mailbox', url: `${trimSlash(base_url)}/mailboxes/${mailbox.id}` },
  }
}

function lossOf(status: MailboxStatus): string {
  switch (status) {
    case 'reconnect_required':
      return 'The provider has ended our access: no mail comes in and none goes out until a person reconnects it.'
    case 'needs_scopes':
      return 'It was connected without all the permissions that it needs: a person has to connect it again.'
    case 'connecting':
    case 'connected':
    case 'paused':
    case 'disconnected':
      return `Our access had ended; meanwhile the mailbox is ${status}.`
  }
}

function trimSlash(url: string): string {
  return url.replace(/\/$/, '')
}

export const MAX_NOTICE_ATTEMPTS = 8
/** How long a notice whose outcome is still open sleeps, unless an event wakes it earlier. */
export const WAIT_SECONDS = 60
const MAX_WAIT_SECONDS = 3600

export type NoticeVerdict =
  | { action: 'retry'; delay_seconds: number; burns_attempt: boolean }
  | { action: 'give_up' }

/** `attempts` counts this one. `spread` in [0,1) is the caller's randomness. */
export function judgeNotice(failure: Failure, attempts: number, spread: number): NoticeVerdict {
  switch (failure.kind) {
    case 'rate_limited':
      // Being throttled says nothing about the message.
      return {
        action: 'retry',
        delay_seconds: Math.min(failure.retry_after_seconds ?? WAIT_SECONDS, MAX_WAIT_SECONDS),
        burns_attempt: false,
      }
    case 'auth':
    case 'permanent':
      return { action: 'give_up' }
    case 'transient': {
      if (attempts >= MAX_NOTICE_ATTEMPTS) return { action: 'give_up' }
      // 30 s, 1 min, 2 min … together about an hour, ±20 %.
      const delay = Math.min(30 * 2 ** (attempts - 1), MAX_WAIT_SECONDS)
      return { action: 'retry', delay_seconds: Math.round(delay * (0.8 + 0.4 * spread)), burns_attempt: true }
    }
  }
}
