import { describe, expect, it } from 'vitest'
import { type MailReport, readPostmarkReport } from './postmark-reports'

const NOW = new Date('2026-11-20T10:00:00.000Z')
const SEND = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a11'
const ORG = '0190a5e2-7c3b-7b8e-9c3e-0f6f2f6c1a12'
const Metadata = { send_id: SEND, org_id: ORG }

const bounce = (given: Record<string, unknown> = {}) => ({
  RecordType: 'Bounce',
  ID: 2 ** 62,
  Type: 'HardBounce',
  TypeCode: 1,
  MessageID: '883953f4-6105-42a2-a16a-77a8eac79483',
  Description: 'The server was unable to deliver your message (ex: unknown user, mailbox not found).',
  Details: 'smtp;550 5.1.1 <Ada@Buyer.test> does not exist',
  Email: 'Ada@Buyer.test',
  BouncedAt: '2026-11-20T09:28:50.3963933-04:00',
  Inactive: true,
  Metadata,
  ...given,
})

function reportOf(body: Record<string, unknown>): MailReport {
  const read = readPostmarkReport(body, NOW)
  if (read.outcome !== 'report') throw new Error(read.outcome)
  return read.report
}

describe('a bounce', () => {
  it('is read with the time that it names, and without what a server wrote', () => {
    expect(reportOf(bounce({ ID: 42 }))).toEqual({
      dedupe_key: 'bounce:42',
      kind: 'bounce',
      send_id: SEND,
      provider_message_id: '883953f4-6105-42a2-a16a-77a8eac79483',
      recipient: 'ada@buyer.test',
      occurred_at: new Date('2026-11-20T13:28:50.396Z'),
      detail: {
        effect: 'bounced',
        org_id: ORG,
        type: 'HardBounce',
        bounce: {
          hard: true,
          status: '5.1.1',
          detail: 'The server was unable to deliver your message (ex: unknown user, mailbox not found).',
        },
      },
    })
  })

  it.each([
    ['hard', 1, true, 'bounced', true],
    ['hard, and Postmark tries on', 1, false, 'bounced', false],
    ['a malformed address', 100_000, true, 'bounced', true],
    ['switched off by hand', 100_002, true, 'bounced', true],
    ['transient', 2, false, 'bounced', false],
    ['soft, and Postmark stops', 4096, true, 'bounced', false],
    ['blocked for our reputation', 100_006, true, 'bounced', false],
    ['taken for spam by a server', 512, true, 'bounced', false],
    ['refused by DMARC', 100_009, true, 'bounced', false],
    ['a virus', 8192, false, 'bounced', false],
    ['of a type that is new', 77_777, true, 'bounced', false],
    ['an absence note', 64, false, 'none', undefined],
    ['a change of address', 128, false, 'none', undefined],
    ['a challenge', 16_384, false, 'none', undefined],
    ['an unsubscription', 16, false, 'unsubscribed', undefined],
    ['a complaint', 100_001, true, 'complained', undefined],
  ] as const)('%s means what it means', (_name, TypeCode, Inactive, effect, hard) => {
    const { detail } = reportOf(bounce({ ID: 42, TypeCode, Inactive }))
    expect({ effect: detail.effect, hard: detail.bounce?.hard }).toEqual({ effect, hard })
  })

  it('without a time or an address is one of now', () => {
    const { ID, MessageID } = { ID: 555555555, MessageID: '5555555-5555555-5555-5555555' }
    expect(
      reportOf({ RecordType: 'Bounce', ID, MessageID, Type: 'Unsubscribe', TypeCode: 16, Tag: '' }),
    ).toMatchObject({
      dedupe_key: 'bounce:555555555',
      provider_message_id: MessageID,
      recipient: null,
      occurred_at: NOW,
      detail: { effect: 'unsubscribed' },
    })
  })
})

it('takes a complaint for the same by whichever record it comes', () => {
  const spam = bounce({ RecordType: 'SpamComplaint', ID: 42, TypeCode: 512 })
  const other = bounce({ ID: 42, TypeCode: 100_001 })
  expect([reportOf(spam).dedupe_key, reportOf(other).dedupe_key]).toEqual(['complaint:42', 'complaint:42'])
  expect(reportOf(spam).detail.effect).toBe('complained')
})

const change = (given: Record<string, unknown> = {}) => ({
  RecordType: 'SubscriptionChange',
  MessageID: 'a4909a96-73d7-4c49-b148-a54522d3f7ac',
  MessageStream: 'outbound',
  ChangedAt: '2026-11-20T09:00:00Z',
  Recipient: 'John@Example.com',
  Origin: 'Recipient',
  SuppressSending: true,
  SuppressionReason: 'ManualSuppression',
  ...given,
})

it.each([
  [{}, 'unsubscribed'],
  [{ SuppressionReason: 'SpamComplaint' }, 'complained'],
  [{ SuppressionReason: 'HardBounce' }, 'none'],
  [{ SuppressionReason: null, SuppressSending: false }, 'reactivated'],
] as const)('reads a change of subscription with %j', (given, effect) => {
  const report = reportOf(change(given))
  expect({ key: report.dedupe_key, effect: report.detail.effect, recipient: report.recipient }).toEqual({
    key: `john@example.com:outbound:2026-11-20T09:00:00.000Z:${'SuppressSending' in given ? 'false' : 'true'}`,
    effect,
    recipient: 'john@example.com',
  })
})

const delivery = {
  RecordType: 'Delivery',
  MessageID: '883953f4-6105-42a2-a16a-77a8eac79483',
  Recipient: 'Ada@Buyer.test',
  DeliveredAt: '2026-11-20T09:00:00.0000000Z',
}

it('knows a delivery by its mail and its recipient', () => {
  expect(reportOf({ ...delivery, Metadata: { send_id: 'x', org_id: 7 } })).toMatchObject({
    dedupe_key: '883953f4-6105-42a2-a16a-77a8eac79483:ada@buyer.test',
    send_id: null,
    detail: { effect: 'delivered', org_id: null },
  })
})

it.each([
  { RecordType: 'Open', MessageID: 'm' },
  { RecordType: 'Click', MessageID: 'm' },
  { RecordType: 'Inbound' },
  { RecordType: '__proto__' },
  { ...delivery, MessageID: '00000000-0000-0000-0000-000000000000' },
  bounce({ MessageID: '00000000-0000-0000-0000-000000000000', Metadata: {} }),
])('has nothing to do with %j', (body) => {
  expect(readPostmarkReport(body, NOW)).toEqual({ outcome: 'ignored' })
})

it.each([
  [{ RecordType: 'Delivery' }, 'MessageID'],
  [{ ...delivery, DeliveredAt: 'yesterday' }, 'DeliveredAt'],
  [{ ...delivery, DeliveredAt: '0000-01-01T00:00:00Z' }, 'DeliveredAt'],
  [bounce({ ID: {} }), 'ID'],
  [bounce({ ID: undefined }), 'ID'],
  [change({ Recipient: '' }), 'Recipient'],
  [change({ SuppressSending: 'yes' }), 'SuppressSending'],
] as const)('cannot read %j, and says where', (body, path) => {
  expect(readPostmarkReport(body, NOW)).toEqual({ outcome: 'unreadable', path })
})
