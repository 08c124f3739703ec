import { describe, expect, it } from 'vitest'
import { CONTEXT, writeMail, writeParts } from '#test/mail-fixture'
import { parseMessage } from '../service/parse-message'
import { classifyMail } from './automated-mail'
import { readAwayUntil } from './away-until'
import { readBounce } from './bounce-status'

const NOTICE = 'Content-Type: text/plain\n\nYour message could not be delivered.'
const ORIGINAL =
  'Content-Type: message/rfc822\n\nFrom: sales@inlet.test\nTo: ada@buyer.test\nMessage-ID: <sent-1@inlet.test>\nSubject: Offer\n\nHello'

function writeStatus(fields: string): string {
  return `Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; Ada@Buyer.test\n${fields}`
}

async function classify(raw: Uint8Array) {
  return classifyMail(await parseMessage(raw), CONTEXT)
}

describe('a delivery report', () => {
  it('is a bounce with the address, the code and the mail it is about, although it calls itself a reply', async () => {
    const raw = writeParts(
      'report; report-type=delivery-status',
      [
        NOTICE,
        writeStatus('Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such\n user here'),
        ORIGINAL,
      ],
      {
        From: 'Mail Delivery System <MAILER-DAEMON@mx.test>',
        'Return-Path': '<>',
        'Auto-Submitted': 'auto-replied',
      },
    )
    expect(await classify(raw)).toMatchObject({
      classification: 'bounce',
      rule: 'delivery_report',
      bounce: {
        hard: true,
        reason: 'unknown_user',
        recipient: 'ada@buyer.test',
        status: '5.1.1',
        original_message_id: '<sent-1@inlet.test>',
        diagnostic: 'smtp; 550 5.1.1 no such user here',
      },
    })
  })
  it('does not mistake the returned mail for words of the sender', async () => {
    const mail = await parseMessage(writeParts('report; report-type=delivery-status', [NOTICE, ORIGINAL]))
    expect(mail.text).not.toContain('Hello')
  })
  it('of a delay is soft', async () => {
    const raw = writeParts('report; report-type=delivery-status', [
      NOTICE,
      writeStatus('Action: delayed\nStatus: 4.4.1'),
    ])
    expect((await classify(raw)).bounce).toMatchObject({ hard: false, reason: 'delayed' })
  })
  it('of a success is no bounce', async () => {
    const raw = writeParts('report; report-type=delivery-status', [
      NOTICE,
      writeStatus('Action: delivered\nStatus: 2.0.0'),
    ])
    expect(await classify(raw)).toMatchObject({ classification: 'automated', rule: 'delivery_receipt' })
  })
})

describe('a bounce in no standard form', () => {
  it.each<[string, Readonly<Record<string, string>>, string]>([
    [
      'daemon_sender',
      { From: 'MAILER-DAEMON@mx.test', Subject: 'failure notice' },
      '<ada@buyer.test>:\nno such user',
    ],
    [
      'daemon_sender',
      { From: 'mailer-daemon', Subject: 'There was an error' },
      'ada@buyer.test: unknown user',
    ],
    [
      'failed_recipients',
      { From: 'System <system@mx.test>', 'X-Failed-Recipients': 'ada@buyer.test' },
      'unknown user',
    ],
    [
      'postmaster_failure',
      { From: 'postmaster@mx.test', Subject: 'Undeliverable: Offer' },
      'ada@buyer.test: user not found',
    ],
    [
      'null_sender_failure',
      { From: 'System <system@mx.test>', 'Return-Path': '<>', Subject: 'Unzustellbar: Angebot' },
      'ada@buyer.test: unknown user',
    ],
    [
      'failure_subject',
      { From: 'gateway@mx.test', Subject: 'Undelivered mail' },
      'Could not be delivered to ada@buyer.test: 550 5.1.1 user unknown',
    ],
  ])('is told by %s', async (rule, headers, body) => {
    const verdict = await classify(writeMail(headers, body))
    expect(verdict).toMatchObject({ classification: 'bounce', rule })
    expect(verdict.bounce).toMatchObject({ hard: true, reason: 'unknown_user', recipient: 'ada@buyer.test' })
  })
  it('finds the original Message-ID in the text', async () => {
    const body =
      'Delivery failed:\n<ada@buyer.test>: mailbox full\n\n--- Below this line is a copy of the message.\n\nReceived: by mx\nMessage-ID: <sent-2@inlet.test>\n'
    expect((await classify(writeMail({ From: 'MAILER-DAEMON@mx.test' }, body))).bounce).toMatchObject({
      hard: false,
      reason: 'mailbox_full',
      original_message_id: '<sent-2@inlet.test>',
    })
  })
})

describe('the meaning of a bounce', () => {
  it.each<[status: string | null, diagnostic: string, hard: boolean, reason: string]>([
    ['5.1.1', '550 user unknown', true, 'unknown_user'],
    ['5.1.10', 'RecipientNotFound', true, 'unknown_user'],
    ['5.1.2', 'bad destination system', true, 'unknown_host'],
    ['5.4.4', 'unable to route', true, 'unknown_host'],
    ['5.1.6', 'moved', true, 'moved'],
    ['5.0.0', '550 No such user', true, 'unknown_user'],
    [null, 'Host or domain name not found', true, 'unknown_host'],
    ['5.2.2', 'mailbox full', false, 'mailbox_full'],
    ['5.2.1', 'account disabled', false, 'disabled'],
    ['5.7.1', 'message refused', false, 'policy'],
    ['5.7.26', 'unauthenticated sender', false, 'policy'],
    ['5.1.8', 'sender domain not found', false, 'policy'],
    ['5.1.1', 'procmail: could not create', false, 'local_error'],
    ['5.0.0', 'blocked by Spamhaus', false, 'spam'],
    ['4.2.2', 'over quota', false, 'mailbox_full'],
    ['4.4.7', 'expired', false, 'delayed'],
    [null, 'something odd', false, 'other'],
  ])('%s %s', (status, diagnostic, hard, reason) => {
    const report = { final_recipient: null, status, action: 'failed', original_message_id: null, diagnostic }
    expect(readBounce(report, '')).toMatchObject({ hard, reason })
  })
})

describe('the end of an absence', () => {
  it.each([
    ['I will be out until March 17, 2025.', '2025-03-17'],
    ['I am away from 10 March to 17 March.', '2025-03-17'],
    ['Back in the office on Monday, 17 March 2025', '2025-03-17'],
    ['returning on the 17th of March', '2025-03-17'],
    ['Ich bin bis zum 17.03.2025 nicht im Büro.', '2025-03-17'],
    ['Ich bin ab dem 17. März wieder da.', '2025-03-17'],
    ["Je suis absent jusqu'au 17 mars 2025.", '2025-03-17'],
    ['Estoy fuera hasta el 17 de marzo de 2025.', '2025-03-17'],
    ['Sono assente fino al 17 marzo.', '2025-03-17'],
    ['Ik ben afwezig tot en met 17 maart 2025.', '2025-03-17'],
    ['Away until 2025-03-17', '2025-03-17'],
    ['Out until 3/17/2025', '2025-03-17'],
    ['Out until 3 January', '2026-01-03'],
    ['Out until 3/4/2025', null],
    ['Out until 17 March 2019', null],
    ['We talked until late', null],
  ])('%s', (text, day) => {
    expect(readAwayUntil(text, '2025-03-04T08:12:00.000Z')).toBe(day)
  })
})
