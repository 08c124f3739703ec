import { describe, expect, it } from 'vitest'
import { stripQuoted } from './quoted-text'

const REPLY = 'Yes, ten seats are enough for us.\n\nCould you start in March?'

describe('a block of headers', () => {
  it.each([
    [
      'English',
      'From: Bob Hill <bob@shop.test>\nSent: Tuesday, March 4, 2025 9:12 AM\nTo: Ada <ada@buyer.test>\nSubject: RE: Offer',
    ],
    [
      'English, bold',
      '*From:* Bob Hill [mailto:bob@shop.test]\n*Sent:* Tuesday, March 4, 2025 9:12 AM\n*To:* Ada\n*Subject:* Offer',
    ],
    [
      'Outlook on the web',
      '________________________________\nFrom: Bob Hill\nSent: 04 March 2025 09:12\nTo: Ada\nSubject: Offer',
    ],
    [
      'indented, blank lines between',
      '   From: Bob\n\n   Date: 4 March 2025\n\n   To: Ada\n\n   Subject: Offer',
    ],
    [
      'a long list of recipients',
      'From: Bob <bob@shop.test>\nDate: 4 March 2025\nTo: Ada <ada@buyer.test>,\n Eve <eve@buyer.test>,\n Joe <joe@buyer.test>\nSubject: Offer',
    ],
    [
      'German',
      'Von: Bob Hill <bob@shop.test>\nGesendet: Dienstag, 4. März 2025 09:12\nAn: Ada\nBetreff: AW: Angebot',
    ],
    [
      'German, GMX',
      'Gesendet: Dienstag, 04. März 2025 um 09:12 Uhr\nVon: "Bob Hill" <bob@shop.test>\nAn: ada@buyer.test\nBetreff: Re: Angebot',
    ],
    ['French', 'De : Bob Hill <bob@shop.test>\nEnvoyé : mardi 4 mars 2025 09:12\nÀ : Ada\nObjet : Offre'],
    [
      'Spanish',
      'De: Bob Hill <bob@shop.test>\nEnviado el: martes, 4 de marzo de 2025 9:12\nPara: Ada\nAsunto: Oferta',
    ],
    [
      'Portuguese',
      'De: Bob Hill <bob@shop.test>\nEnviada em: terça-feira, 4 de março de 2025 09:12\nPara: Ada\nAssunto: Oferta',
    ],
    [
      'Italian',
      'Da: Bob Hill <bob@shop.test>\nInviato: martedì 4 marzo 2025 09:12\nA: Ada\nOggetto: Offerta',
    ],
    [
      'Dutch',
      'Van: Bob Hill <bob@shop.test>\nVerzonden: dinsdag 4 maart 2025 09:12\nAan: Ada\nOnderwerp: Offerte',
    ],
    ['Polish', 'Od: Bob Hill <bob@shop.test>\nWysłano: wtorek, 4 marca 2025 09:12\nDo: Ada\nTemat: Oferta'],
    ['Swedish', 'Från: Bob Hill <bob@shop.test>\nSkickat: den 4 mars 2025 09:12\nTill: Ada\nÄmne: Offert'],
    ['Danish', 'Fra: Bob Hill <bob@shop.test>\nSendt: 4. marts 2025 09:12\nTil: Ada\nEmne: Tilbud'],
    ['Norwegian', 'Fra: Bob Hill\nDato: tirsdag 4. mars 2025 kl. 09:12\nTil: Ada\nEmne: Tilbud'],
    [
      'Finnish',
      'Lähettäjä: Bob Hill <bob@shop.test>\nLähetetty: tiistai 4. maaliskuuta 2025 9.12\nVastaanottaja: Ada\nAihe: Tarjous',
    ],
    [
      'Czech',
      'Od: Bob Hill <bob@shop.test>\nOdesláno: úterý 4. března 2025 9:12\nKomu: Ada\nPředmět: Nabídka',
    ],
    [
      'Russian',
      'От: Bob Hill <bob@shop.test>\nОтправлено: 4 марта 2025 г. 9:12\nКому: Ada\nТема: Предложение',
    ],
    [
      'Turkish',
      'Kimden: Bob Hill <bob@shop.test>\nGönderildi: 4 Mart 2025 Salı 09:12\nKime: Ada\nKonu: Teklif',
    ],
    ['Vietnamese', 'Từ: Bob Hill <bob@shop.test>\nNgày: 4 tháng 3, 2025\nĐến: Ada\nChủ đề: Báo giá'],
    ['Chinese', '发件人: Bob Hill <bob@shop.test>\n发送时间: 2025年3月4日 9:12\n收件人: Ada\n主题: 报价'],
    ['Japanese', '差出人: Bob Hill <bob@shop.test>\n送信日時: 2025年3月4日 9:12\n宛先: Ada\n件名: 見積'],
    [
      'Korean',
      '보낸 사람: Bob Hill <bob@shop.test>\n보낸 날짜: 2025년 3월 4일 화요일 오전 9:12\n받는 사람: Ada\n제목: 견적',
    ],
  ])('ends the text: %s', (_, block) => {
    expect(stripQuoted(`${REPLY}\n\n${block}\n\nHello Ada,\nwe have three plans.`)).toBe(REPLY)
  })
  it('stays where nothing was written above it, as in a forwarded lead or the mail of a form', () => {
    const form = 'From: Ada <ada@buyer.test>\nDate: 4 March 2025\nSubject: Inquiry\n\nTen seats, please.'
    expect(stripQuoted(form)).toBe(form)
  })
})

describe('a separator', () => {
  it.each([
    '-----Original Message-----',
    '----- Original Message -----',
    '‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐',
    '-------- Original message --------',
    '-----Ursprüngliche Nachricht-----',
    '-----Message d’origine-----',
    '-----Mensaje original-----',
    '-----Messaggio originale-----',
    '-----Oorspronkelijk bericht-----',
    '-----Исходное сообщение-----',
    '------------------ 原始邮件 ------------------',
    '---------- Forwarded message ---------',
    '---------- Weitergeleitete Nachricht ----------',
    'Begin forwarded message:',
    '>>> Bob Hill <bob@shop.test> 03/04/25 9:12 AM >>>',
    '##- Please type your reply above this line -##',
    '[Quoted text hidden]',
    '--------&nbsp;Original Message&nbsp;--------',
    'Début du message transféré :',
    '> Message du 04/03/25 09:12'.slice(2),
  ])('ends the text: %s', (line) => {
    expect(stripQuoted(`${REPLY}\n\n${line}\n\nHello Ada,\nwe have three plans.`)).toBe(REPLY)
  })
  it('stays with what it forwards when the person wrote nothing above', () => {
    const text = '---------- Forwarded message ---------\nFrom: Ada <ada@buyer.test>\n\nTen seats?'
    expect(stripQuoted(text)).toBe(text)
  })
})

describe('a signature', () => {
  it.each([
    ['after the standard dash', '-- \nAda Byron\nBuyer Ltd\n+44 20 7946 0000'],
    ['after a trimmed dash', '--\nAda Byron'],
    ['under a rule', '____________\nAda Byron\nBuyer Ltd | www.buyer.test'],
    ['with a closing', 'Best regards,\nAda Byron\nBuyer Ltd'],
    ['with a German closing', 'Mit freundlichen Grüßen\n\nAda Byron\nTel. +49 30 1234567'],
    ['with a French closing', 'Bien cordialement,\n\nAda Byron'],
    ['as a name behind a dash', '-Ada'],
    [
      'of a list',
      '_______________________________________________\nusers mailing list\nusers@lists.test\nhttp://lists.test/users',
    ],
    ['of a list, under a name', '-Ada\n\n_______________\nusers mailing list\nusers@lists.test'],
    ['of a phone', 'Sent from my iPhone'],
    [
      'of a phone, followed by an unmarked quote',
      'Sent from my Fairphone 4\n\nHello Ada,\nwe have three plans.',
    ],
    ['of an app', 'Get Outlook for iOS<https://aka.ms/o0ukef>'],
    ['of Proton', 'Sent with Proton Mail secure email.'],
    ['in German', 'Von meinem iPhone gesendet'],
    ['in French', 'Envoyé de mon iPhone'],
    ['in Spanish', 'Enviado desde mi iPhone'],
    ['in Portuguese', 'Enviado do meu iPhone'],
    ['in Italian', 'Inviato da iPhone'],
    ['in Dutch', 'Verstuurd vanaf mijn iPhone'],
    ['in Swedish', 'Skickat från min iPhone'],
    ['in Norwegian', 'Sendt fra min iPhone'],
    ['in Danish', 'Sendt fra min Samsung-telefon'],
    ['in Finnish', 'Lähetetty iPhonesta'],
    ['in Polish', 'Wysłane z iPhone’a'],
    ['in Czech', 'Odesláno z iPhonu'],
    ['in Russian', 'Отправлено с iPhone'],
    ['in Turkish', 'iPhone’umdan gönderildi'],
    ['in Japanese', 'iPhoneから送信'],
    ['in Chinese', '发自我的iPhone'],
    [
      'of a company',
      'This e-mail and any attachments are confidential and intended solely for the addressee.',
    ],
  ])('goes: %s', (_, tail) => {
    expect(stripQuoted(`${REPLY}\n\n${tail}\n`)).toBe(REPLY)
  })
  it.each([
    [
      'a rule between two parts of a letter',
      'First part.\n\n----------\n\nSecond part, which is long enough to be a sentence of its own.\nIt goes on.\nAnd on.',
    ],
    ['a list', 'We need:\n-Seats\n-Support\n-Training'],
    [
      'a sentence about a phone',
      'The invoice was sent from my accountant last week, with his telephone number. Did you get it?',
    ],
    [
      'thanks in the middle',
      'Thank you\n\nWe would like to order ten seats of the middle plan, please.\nWhen could you start? We hope for March.\nOur office moves in May.',
    ],
    ['a signature alone', '-- \nAda Byron'],
    ['a phone alone', 'Sent from my iPhone'],
    ['a smile above a signature', '🎉\n\n—\nAda Byron\nBuyer Ltd'],
  ])('does not take away: %s', (_, text) => {
    expect(stripQuoted(text)).toBe(text)
  })
})

describe('hostile bodies', () => {
  it.each([
    ['one megabyte of quotes', '> '.repeat(500_000)],
    ['nested quotes', Array.from({ length: 3000 }, (_, i) => `${'>'.repeat(i % 300)} x`).join('\n')],
    ['half an attribution a hundred thousand times', 'On Tue, Mar 4, 2025 at 9:12\n'.repeat(40_000)],
    ['open brackets', 'On 4 Mar 2025 <'.repeat(70_000)],
    ['headers without end', 'From: a@b.test\n'.repeat(70_000)],
    ['rules', 'text\n-----\n'.repeat(100_000)],
    ['alternating quotes', 'a\n> b\n'.repeat(170_000)],
    ['spaces', ' '.repeat(1_000_000)],
    ['one line', 'a'.repeat(1_000_000)],
    ['dashes', '-'.repeat(1_000_000)],
    ['closings', 'Best regards,\n\n'.repeat(60_000)],
  ])('take linear time: %s', (_, text) => {
    const started = performance.now()
    stripQuoted(text)
    expect(performance.now() - started).toBeLessThan(1500)
  })
})
