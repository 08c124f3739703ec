import { describe, expect, it } from 'vitest'
import { decide, type GateFacts } from './gate'

const received_at = new Date('2026-11-20T09:00:00Z')
const good: GateFacts = {
  now: new Date('2026-11-20T09:05:00Z'),
  reply_mode: 'auto',
  undo_seconds: 60,
  mailbox: { status: 'connected', auto_send: true, daily_cap: 1000 },
  message: { channel: 'email', classification: 'human', no_auto_reply: [], dmarc: 'pass', received_at },
  recipient: { email: 'ada@example.com', contact_email: 'ada@example.com', is_ours: false },
  counts: { thread: 0, sender_24h: 0, domain_24h: 0, mailbox_24h: 0, any_to_address_24h: 0 },
  answer: { confidence: 0.9, needs_human: false, category: 'inquiry', reason: 'Clear.' },
  unwanted: null,
  injection: { suspected: false, reasons: [] },
  lint: [],
  sender_text: null,
  last_human_activity_at: null,
}
const failed = (facts: GateFacts) => decide(facts).gate.flatMap(({ rule, passed }) => (passed ? [] : [rule]))

it('sends by itself when every rule passes, and keeps every verdict', () => {
  const { gate, decision } = decide(good)
  expect(decision).toBe('auto_send')
  expect(gate.map(({ rule, passed }) => [rule, passed])).toEqual(
    [
      'reply_mode_auto',
      'mailbox_auto_send',
      'not_automated',
      'message_allows_auto_reply',
      'message_is_recent',
      'dmarc_pass',
      'single_recipient_is_sender',
      'thread_cap',
      'sender_cap',
      'domain_cap',
      'mailbox_cap',
      'confidence',
      'needs_human',
      'not_spam',
      'not_unsafe',
      'no_injection',
      'output_lint',
      'no_human_activity',
      'undo_window',
    ].map((rule) => [rule, true]),
  )
  expect(gate.every(({ detail }) => detail.length > 10)).toBe(true)
})

const form = { ...good, message: { ...good.message, channel: 'form' as const, dmarc: null } }

it('asks of a form that it reaches an address once and repeats nothing, instead of DMARC', () => {
  expect(decide(form).decision).toBe('auto_send')
  expect(decide(form).gate.map(({ rule }) => rule)).toEqual(
    expect.arrayContaining(['one_form_reply_per_address_24h', 'form_reply_repeats_nothing']),
  )
  expect(decide(form).gate.map(({ rule }) => rule)).not.toContain('dmarc_pass')
})

describe('leaves it to a person for one failed rule alone', () => {
  it.each<[string, GateFacts]>([
    ['reply_mode_auto', { ...good, reply_mode: 'draft' }],
    ['reply_mode_auto', { ...good, reply_mode: 'off' }],
    ['mailbox_auto_send', { ...good, mailbox: { status: 'connected', auto_send: false, daily_cap: 1000 } }],
    [
      'mailbox_auto_send',
      { ...good, mailbox: { status: 'reconnect_required', auto_send: true, daily_cap: 1000 } },
    ],
    ['not_automated', { ...good, message: { ...good.message, classification: 'automated' } }],
    [
      'message_allows_auto_reply',
      {
        ...good,
        message: {
          ...good.message,
          no_auto_reply: [{ rule: 'same_body', passed: false, detail: 'A loop.' }],
        },
      },
    ],
    ['message_is_recent', { ...good, now: new Date('2026-11-23T10:00:00Z') }],
    ['dmarc_pass', { ...good, message: { ...good.message, dmarc: 'fail' } }],
    ['dmarc_pass', { ...good, message: { ...good.message, dmarc: 'none' } }],
    ['dmarc_pass', { ...good, message: { ...good.message, dmarc: null } }],
    ['dmarc_pass', { ...good, message: { ...good.message, channel: 'whatsapp', dmarc: 'pass' } }],
    ['single_recipient_is_sender', { ...good, recipient: { ...good.recipient, email: null } }],
    ['single_recipient_is_sender', { ...good, recipient: { ...good.recipient, is_ours: true } }],
    [
      'single_recipient_is_sender',
      { ...good, recipient: { ...good.recipient, contact_email: 'eve@example.com' } },
    ],
    ['single_recipient_is_sender', { ...good, recipient: { ...good.recipient, contact_email: null } }],
    ['thread_cap', { ...good, counts: { ...good.counts, thread: 3 } }],
    ['sender_cap', { ...good, counts: { ...good.counts, sender_24h: 1 } }],
    ['domain_cap', { ...good, counts: { ...good.counts, domain_24h: 500 } }],
    ['mailbox_cap', { ...good, counts: { ...good.counts, mailbox_24h: 1000 } }],
    ['one_form_reply_per_address_24h', { ...form, counts: { ...good.counts, any_to_address_24h: 1 } }],
    ['form_reply_repeats_nothing', { ...form, sender_text: 'golden jackpot' }],
    ['confidence', { ...good, answer: { ...good.answer, confidence: 0.69 } }],
    ['needs_human', { ...good, answer: { ...good.answer, needs_human: true } }],
    ['not_spam', { ...good, unwanted: { kind: 'spam', reasons: ['crypto'] } }],
    ['not_unsafe', { ...good, unwanted: { kind: 'unsafe', reasons: ['a threat'] } }],
    ['no_injection', { ...good, injection: { suspected: true, reasons: ['override'] } }],
    ['output_lint', { ...good, lint: [{ rule: 'price', detail: 'A price.' }] }],
    ['no_human_activity', { ...good, last_human_activity_at: received_at }],
    ['no_human_activity', { ...good, last_human_activity_at: new Date('2026-11-20T09:05:00Z') }],
  ])('%s', (rule, facts) => {
    expect({ failed: failed(facts), decision: decide(facts).decision }).toEqual({
      failed: [rule],
      decision: 'needs_review',
    })
  })
})

it('is not held up by what a person did before the message came', () => {
  expect(decide({ ...good, last_human_activity_at: new Date('2026-11-20T08:59:00Z') }).decision).toBe(
    'auto_send',
  )
})

it('passes where no mailbox is connected: the local outbox takes the reply', () => {
  expect(decide({ ...good, mailbox: null }).decision).toBe('auto_send')
})

it.each(['spam', 'unsafe'] as const)('answers %s with nothing', (category) => {
  const facts = { ...good, answer: { ...good.answer, category } }
  expect({ decision: decide(facts).decision, failed: failed(facts) }).toEqual({
    decision: 'no_reply',
    failed: [`not_${category}`],
  })
})

it('keeps no half of a character in a verdict', () => {
  const facts = { ...good, answer: { ...good.answer, needs_human: true, reason: `${'a'.repeat(977)}😀` } }
  expect(decide(facts).gate.every(({ detail }) => detail.isWellFormed())).toBe(true)
})
