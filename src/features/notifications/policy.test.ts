import { describe, expect, it } from 'vitest'
import {
  clip,
  describeOutcome,
  judgeNotice,
  type LeadFacts,
  leadNotice,
  MAX_NOTICE_ATTEMPTS,
  reconnectNotice,
} from './policy'

const draft: NonNullable<LeadFacts['draft']> = {
  status: 'ready',
  decision: 'needs_review',
  category: 'inquiry',
  reason: 'asks for a price',
  gate: [],
  ai_failure: null,
  reject_reason: null,
}
const send: NonNullable<LeadFacts['send']> = {
  state: 'sent',
  automatic: true,
  skip_reason: null,
  last_error: null,
}
const lead: LeadFacts = { status: 'received', answered: false, draft: null, send: null }

describe('the outcome of a lead', () => {
  it('stays open while a draft is being written or a send is on its way', () => {
    expect(describeOutcome({ ...lead, draft: { ...draft, status: 'pending' } })).toBeNull()
    expect(describeOutcome({ ...lead, draft: { ...draft, status: 'approved' } })).toBeNull()
    for (const state of ['scheduled', 'claimed', 'sending', 'unknown'] as const)
      expect(describeOutcome({ ...lead, draft, send: { ...send, state } })).toBeNull()
  })

  it('is never told as answered before the provider accepted the mail', () => {
    for (const state of [
      'scheduled',
      'claimed',
      'sending',
      'unknown',
      'failed',
      'review',
      'skipped',
    ] as const)
      expect(describeOutcome({ ...lead, send: { ...send, state } }) ?? '').not.toMatch(/^Answered/)
  })

  it('tells an automatic answer from one that a person approved or wrote elsewhere', () => {
    expect(describeOutcome({ ...lead, send })).toBe('Answered automatically.')
    expect(describeOutcome({ ...lead, send: { ...send, automatic: false } })).toBe('Answered.')
    expect(describeOutcome({ ...lead, answered: true, draft: { ...draft, status: 'superseded' } })).toBe(
      'Answered by a person.',
    )
  })

  it('names the first rule that kept a draft from leaving by itself', () => {
    const gate = [
      { rule: 'mode', passed: true, detail: '' },
      { rule: 'dmarc', passed: false, detail: 'The sender is not authenticated.' },
      { rule: 'confidence', passed: false, detail: '0.4' },
    ]
    expect(describeOutcome({ ...lead, draft: { ...draft, gate } })).toBe(
      'The reply needs approval: dmarc: The sender is not authenticated.',
    )
    expect(describeOutcome({ ...lead, draft })).toBe(
      'The reply needs approval: the organization approves every reply.',
    )
    expect(
      describeOutcome({ ...lead, draft: { ...draft, gate, ai_failure: { code: 'timeout', message: '' } } }),
    ).toBe('The reply needs approval: the AI could not write it (timeout).')
  })

  it('says why nobody answers', () => {
    const none = { ...draft, decision: 'no_reply' as const }
    expect(describeOutcome({ ...lead, draft: { ...none, category: 'spam', reason: 'sells links.' } })).toBe(
      'No reply: spam, sells links.',
    )
    expect(describeOutcome({ ...lead, draft: { ...none, reason: null } })).toBe('No reply: not needed.')
    const gate = [{ rule: 'reply_mode_auto', passed: false, detail: 'Replies are switched off.' }]
    expect(describeOutcome({ ...lead, draft: { ...none, reason: null, gate } })).toBe(
      'No reply: Replies are switched off.',
    )
    expect(
      describeOutcome({ ...lead, draft: { ...draft, status: 'rejected', reject_reason: 'wrong tone' } }),
    ).toBe('No reply: a person rejected the draft (wrong tone).')
    expect(
      describeOutcome({
        ...lead,
        draft: { ...draft, status: 'approved' },
        send: { ...send, state: 'skipped', skip_reason: 'suppressed' },
      }),
    ).toBe('The answer was held back: suppressed.')
    expect(describeOutcome({ ...lead, status: 'spam' })).toBe('No reply: spam.')
    expect(describeOutcome(lead)).toBe('No automatic reply: replies are off.')
  })

  it('says that sending failed, or that nobody knows', () => {
    const last_error = { code: 'mailbox_gone', message: 'x' }
    expect(describeOutcome({ ...lead, send: { ...send, state: 'failed', last_error } })).toBe(
      'Sending the answer failed: mailbox_gone.',
    )
    expect(describeOutcome({ ...lead, send: { ...send, state: 'review' } })).toBe(
      'Nobody knows whether the answer left: a person has to decide.',
    )
  })
})

describe('the words of a notice', () => {
  it('clips what a stranger wrote to one short line without controls or direction overrides', () => {
    expect(clip('a\u202Eb\r\n\tc\u0000 \u200Bd', 100)).toBe('ab c d')
    expect(clip('🦊'.repeat(5), 4)).toBe('🦊🦊🦊…')
  })

  it('names organization, person and outcome, with a short preview and a link', () => {
    const words = {
      id: '7',
      organization: 'Demo',
      source: 'email',
      name: 'Ada',
      email: 'ada@buyer.test',
      subject: 'Pricing?',
      text: `10 seats?\n${'x'.repeat(500)}`,
    }
    expect(leadNotice(words, 'Answered.', 'https://inlet.test/')).toEqual({
      title: 'New lead for Demo: Ada (ada@buyer.test)',
      lines: [`Pricing? – 10 seats? ${'x'.repeat(129)}…`, 'Answered.'],
      link: { label: 'Open the lead', url: 'https://inlet.test/leads/7' },
    })
    expect(
      leadNotice({ ...words, name: null, subject: '', text: ' ' }, 'Answered.', 'https://inlet.test'),
    ).toEqual({
      title: 'New lead for Demo: ada@buyer.test',
      lines: ['Answered.'],
      link: { label: 'Open the lead', url: 'https://inlet.test/leads/7' },
    })
  })

  it('says of a lost mailbox whether it is still lost', () => {
    const mailbox = { id: '7', email: 'sales@demo.test', organization: 'Demo' }
    expect(reconnectNotice({ ...mailbox, status: 'reconnect_required' }, 'https://inlet.test').lines).toEqual(
      ['The provider has ended our access: no mail comes in and none goes out until a person reconnects it.'],
    )
    expect(reconnectNotice({ ...mailbox, status: 'connected' }, 'https://inlet.test').lines).toEqual([
      'Our access had ended; meanwhile the mailbox is connected.',
    ])
    expect(reconnectNotice({ ...mailbox, status: 'needs_scopes' }, 'https://inlet.test').lines).toEqual([
      'It was connected without all the permissions that it needs: a person has to connect it again.',
    ])
  })
})

describe('a refused notice', () => {
  const transient = { kind: 'transient' as const, code: 'timeout', message: '' }

  it('is tried again with growing pauses, and given up after the last attempt', () => {
    expect(Array.from({ length: MAX_NOTICE_ATTEMPTS }, (_, i) => judgeNotice(transient, i + 1, 0.5))).toEqual(
      [
        ...[30, 60, 120, 240, 480, 960, 1920].map((delay_seconds) => ({
          action: 'retry',
          delay_seconds,
          burns_attempt: true,
        })),
        { action: 'give_up' },
      ],
    )
  })

  it('waits as long as a throttling channel asks, and burns no attempt for it', () => {
    const throttled = { kind: 'rate_limited' as const, code: 'x', message: '', retry_after_seconds: 7 }
    expect(judgeNotice(throttled, 99, 0)).toEqual({ action: 'retry', delay_seconds: 7, burns_attempt: false })
  })

  it('is given up at once when it can never succeed', () => {
    expect(judgeNotice({ kind: 'permanent', code: 'no_service', message: '' }, 1, 0)).toEqual({
      action: 'give_up',
    })
  })
})
