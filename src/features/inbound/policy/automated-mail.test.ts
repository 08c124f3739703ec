import { describe, expect, it } from 'vitest'
import { CONTEXT, writeMail, writeParts } from '#test/mail-fixture'
import { parseMessage } from '../service/parse-message'
import { classifyMail, type MailContext } from './automated-mail'

type Headers = Readonly<Record<string, string>>

async function classify(headers: Headers = {}, body?: string, context: Partial<MailContext> = {}) {
  return classifyMail(await parseMessage(writeMail(headers, body)), { ...CONTEXT, ...context })
}

describe('a person', () => {
  it('is a person, and may be answered automatically', async () => {
    const verdict = await classify()
    expect(verdict).toMatchObject({ classification: 'human', rule: null, no_auto_reply: [] })
    expect(verdict.verdicts.every((each) => each.passed)).toBe(true)
  })
  it.each<[string, Headers, string?]>([
    ['who declares it', { 'Auto-Submitted': 'no' }],
    ['with an empty Auto-Submitted', { 'Auto-Submitted': ' ' }],
    ['who writes about an office', { Subject: 'Out of office signage for our shop' }],
    ['who writes about absences', { Subject: 'Abwesenheitsplanung: Ihre Software' }],
    ['who answers an absence note', { Subject: 'Re: Automatic reply: Offer' }],
    [
      'who asks about a lost parcel',
      { Subject: 'Delivery problem' },
      'My parcel could not be delivered. Where is it?',
    ],
    ['whose name has "reply" in it', { From: 'Reply Consulting <info@reply-consulting.test>' }],
    ['called Notley', { From: 'norbert.reply@buyer.test' }],
    ['who says yes twice', { Subject: 'Re: Offer' }, 'Yes, please.'],
    ['with a precedence that means nothing', { Precedence: 'first-class' }],
    ['whose responder header says no', { 'X-Autoreply': 'no' }],
  ])('is recognised: %s', async (_, headers, body) => {
    const verdict = await classify(headers, body, { earlier_inbound_bodies: ['Yes, please.'] })
    expect(verdict.classification).toBe('human')
  })
})

describe('a machine', () => {
  it.each<[rule: string, Headers, string?]>([
    ['auto_submitted', { 'Auto-Submitted': 'auto-replied' }],
    ['auto_submitted', { 'Auto-Submitted': ' Auto-Generated (rejected)' }],
    ['auto_submitted', { 'Auto-Submitted': 'auto-notified; owner-email="ada@buyer.test"' }],
    ['auto_submitted', { 'Auto-Submitted': 'yes' }],
    ['machine_header', { 'X-Autoreply': 'yes' }],
    ['machine_header', { 'X-Autorespond': 'Away' }],
    ['machine_header', { 'X-POST-MessageClass': '9; Autoresponder' }],
    ['machine_header', { 'X-MS-Exchange-Generated-Message-Source': 'Mailbox Rules Agent' }],
    ['machine_header', { 'X-Loop': 'info@buyer.test' }],
    ['precedence', { Precedence: 'junk' }],
    ['precedence', { Precedence: 'auto_reply' }],
    ['precedence', { Precedence: 'Bulk' }],
    ['null_return_path', { 'Return-Path': '<>' }],
    ['feedback_id', { 'Feedback-ID': '1.eu-west-1.abc:AmazonSES' }],
    ['no_reply_sender', { From: 'no-reply@buyer.test' }],
    ['no_reply_sender', { From: 'Shop <donotreply+42@buyer.test>' }],
    ['no_reply_sender', { From: 'gmail-noreply@buyer.test' }],
    ['no_reply_sender', { From: 'notifications@buyer.test' }],
    ['no_reply_sender', { From: 'ne-pas-repondre@buyer.test' }],
    ['out_of_office_subject', { Subject: 'Automatic reply: Offer' }],
    ['out_of_office_subject', { Subject: 'Out of Office: Re: Offer' }],
    ['out_of_office_subject', { Subject: '[Auto-Reply] Offer'.replace('[Auto-Reply] ', 'Auto-Reply: ') }],
    ['out_of_office_subject', { Subject: 'Automatische Antwort: Angebot' }],
    ['out_of_office_subject', { Subject: 'Abwesenheitsnotiz' }],
    ['out_of_office_subject', { Subject: '=?utf-8?Q?R=C3=A9ponse_automatique_:_Offre?=' }],
    ['out_of_office_subject', { Subject: 'Respuesta automática: Oferta' }],
    ['out_of_office_subject', { Subject: 'Resposta automática: Oferta' }],
    ['out_of_office_subject', { Subject: 'Risposta automatica: Offerta' }],
    ['out_of_office_subject', { Subject: 'Automatisch antwoord: Offerte' }],
    ['out_of_office_subject', { Subject: 'Autosvar: Tilbud' }],
    ['out_of_office_subject', { Subject: 'Automatyczna odpowiedź: Oferta' }],
    ['out_of_office_subject', { Subject: 'Автоответ: Предложение' }],
    ['out_of_office_subject', { Subject: '自动回复: 报价' }],
  ])('is told by %s: %o', async (rule, headers, body) => {
    expect(await classify(headers, body)).toMatchObject({ classification: 'automated', rule })
  })
  it('repeats itself within a thread', async () => {
    const body = 'Thank you for your message. We have received it and will answer.'
    const verdict = await classify({}, body, { earlier_inbound_bodies: [`${body.toUpperCase()}\n\n`] })
    expect(verdict).toMatchObject({ classification: 'automated', rule: 'repeated_body' })
  })
  it('brings our own marker back', async () => {
    const verdict = await classify({ 'X-Inlet-Loop': 'inlet-7f3a' }, undefined, {
      our_loop_marker: 'inlet-7f3a',
    })
    expect(verdict).toMatchObject({ classification: 'automated', rule: 'loop_marker' })
  })
  it('says until when it is away', async () => {
    const verdict = await classify({ 'Auto-Submitted': 'auto-replied' }, 'I am back on 17 March.')
    expect(verdict.away_until).toBe('2025-03-17')
  })
  it('acknowledges reading', async () => {
    const raw = writeParts('report; report-type=disposition-notification', [
      'Content-Type: text/plain\n\nRead.',
    ])
    expect(classifyMail(await parseMessage(raw), CONTEXT)).toMatchObject({
      classification: 'automated',
      rule: 'read_receipt',
    })
  })
})

describe('a list', () => {
  it.each<[rule: string, Headers]>([
    ['list_header', { 'List-Id': '<news.shop.test>' }],
    ['list_header', { 'List-Unsubscribe': '<https://shop.test/u>' }],
    ['list_header', { 'List-Post': '<mailto:dev@lists.test>' }],
    ['precedence', { Precedence: 'list' }],
    ['precedence', { Precedence: 'bulk', 'List-Unsubscribe': '<https://shop.test/u>' }],
  ])('is told by %s: %o', async (rule, headers) => {
    expect(await classify(headers)).toMatchObject({ classification: 'list', rule })
  })
  it('is a way in for leads when it is our own group address, but gets no automatic answer', async () => {
    const verdict = await classify({ 'List-Id': 'Sales <sales.inlet.test>', Precedence: 'list' })
    expect(verdict.classification).toBe('human')
    expect(verdict.no_auto_reply.map((each) => each.rule)).toEqual(['own_list'])
  })
})

describe('our own mail', () => {
  it.each(['sales@inlet.test', 'Bob <BOB@inlet.test>', 'sales+web@inlet.test'])(
    'is ours: %s',
    async (from) => {
      expect(await classify({ From: from })).toMatchObject({ classification: 'own', rule: 'own_mail' })
    },
  )
  it('is ours before it is automatic', async () => {
    expect(
      (await classify({ From: 'sales@inlet.test', 'Auto-Submitted': 'auto-replied' })).classification,
    ).toBe('own')
  })
})

describe('a person who must not be answered automatically', () => {
  it.each<[rule: string, Headers]>([
    ['x_auto_response_suppress', { 'X-Auto-Response-Suppress': 'DR, OOF, AutoReply' }],
    ['missing_from', { From: '' }],
    ['malformed_message_id', { 'Message-ID': '<a@b> <c@d>' }],
    ['missing_message_id', { 'Message-ID': '' }],
    ['not_addressed_to_us', { To: 'undisclosed-recipients:;' }],
    ['not_addressed_to_us', { To: 'other@buyer.test' }],
    ['several_recipients', { Cc: 'eve@buyer.test' }],
    ['foreign_reply_to', { 'Reply-To': 'eve@attacker.test' }],
    ['own_reply_to', { 'Reply-To': 'bob@inlet.test' }],
  ])('is still a lead: %s', async (rule, headers) => {
    const verdict = await classify(headers)
    expect(verdict.classification).toBe('human')
    expect(verdict.no_auto_reply.map((each) => each.rule)).toContain(rule)
  })
  it.each<[string, Headers]>([
    ['Reply-To on the same registrable domain', { 'Reply-To': 'office@mail.buyer.test' }],
    ['a suppression of nothing', { 'X-Auto-Response-Suppress': 'None' }],
    ['a tagged address of ours', { To: 'sales+form@inlet.test' }],
  ])('is not one with %s', async (_, headers) => {
    expect((await classify(headers)).no_auto_reply).toEqual([])
  })
  it('reads like an automatic answer', async () => {
    const verdict = await classify({}, 'I am currently out of the office with limited access to e-mail.')
    expect(verdict.no_auto_reply.map((each) => each.rule)).toEqual(['out_of_office_body'])
  })
})
