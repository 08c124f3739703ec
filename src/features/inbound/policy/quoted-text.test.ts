import { describe, expect, it } from 'vitest'
import { stripQuoted } from './quoted-text'

const REPLY = 'Yes, ten seats are enough for us.\n\nCould you start in March?'
const OLD = 'Hello Ada,\nwe have three plans.\n\nBob'
const QUOTED = OLD.split('\n')
  .map((line) => `> ${line}`.trimEnd())
  .join('\n')

const ATTRIBUTIONS: [name: string, line: string][] = [
  ['Gmail in English', 'On Tue, Mar 4, 2025 at 9:12 AM Bob Hill <bob@shop.test> wrote:'],
  ['Gmail, wrapped', 'On Tue, Mar 4, 2025 at 9:12 AM Bob Hill from the Sales Desk <\nbob@shop.test> wrote:'],
  ['Gmail, verb on its own line', 'On Tue, Mar 4, 2025 at 9:12 AM Bob Hill <bob@shop.test>\nwrote:'],
  ['Apple Mail', 'On Mar 4, 2025, at 09:12, Bob Hill <bob@shop.test> wrote:'],
  ['Apple Mail, 24 h, day first', 'On 4 Mar 2025, at 09:12, Bob Hill wrote:'],
  ['Thunderbird', 'On 04/03/2025 09:12, Bob Hill wrote:'],
  ['Thunderbird in German', 'Am 04.03.25 um 09:12 schrieb Bob Hill:'],
  ['Yahoo', ' On Tuesday, March 4, 2025 at 09:12:33 AM GMT+1, Bob Hill <bob@shop.test> wrote:'],
  ['Zoho', '---- On Tue, 04 Mar 2025 09:12:33 +0100 Bob Hill <bob@shop.test> wrote ---'],
  ['Proton', 'On Tuesday, March 4th, 2025 at 09:12, Bob Hill <bob@shop.test> wrote:'],
  ['Lotus Notes', 'Bob Hill <bob@shop.test> wrote on 03/04/2025 09:12:33 AM:'],
  ['Horde', 'Quoting Bob Hill <bob@shop.test>:'],
  ['Evolution', 'On Tue, 2025-03-04 at 09:12 +0000, Bob Hill wrote:'],
  ['Emacs', 'Bob Hill <bob@shop.test> writes:'],
  ['Yandex', '04.03.2025, 09:12, "Bob Hill" <bob@shop.test>:'],
  ['Gmail in Russian', 'вт, 4 мар. 2025 г. в 09:12, Bob Hill <bob@shop.test>:'],
  ['Mail.ru', 'Вторник, 4 марта 2025, 9:12 +03:00 от Bob Hill <bob@shop.test>:'],
  ['Russian with user', '4 марта 2025 г., 9:12 пользователь Bob Hill <bob@shop.test> написал:'],
  ['Ukrainian', 'вт, 4 бер. 2025 р. о 09:12 Bob Hill <bob@shop.test> пише:'],
  ['old Gmail', '2025-03-04 9:12 GMT+01:00 Bob Hill <bob@shop.test>:'],
  ['French', 'Le mar. 4 mars 2025 à 09:12, Bob Hill <bob@shop.test> a écrit :'],
  ['French, wrapped', 'Le mardi 4 mars 2025 à 09:12:33 UTC+1, Bob Hill <bob@shop.test> a\nécrit :'],
  ['Spanish', 'El mar, 4 mar 2025 a las 9:12, Bob Hill (<bob@shop.test>) escribió:'],
  ['Portuguese', 'Em ter., 4 de mar. de 2025 às 09:12, Bob Hill <bob@shop.test> escreveu:'],
  ['Portuguese, day first', 'Bob Hill <bob@shop.test> escreveu (terça, 4/03/2025 à(s) 09:12):'],
  ['Italian', 'Il giorno mar 4 mar 2025 alle ore 09:12 Bob Hill <bob@shop.test> ha scritto:'],
  ['German', 'Am Di., 4. März 2025 um 09:12 Uhr schrieb Bob Hill <bob@shop.test>:'],
  ['German, name first', 'Bob Hill <bob@shop.test> schrieb am Di., 4. März 2025, 09:12:'],
  [
    'German, wrapped',
    'Am Dienstag, 4. März 2025 um 09:12 schrieb Bob Hill, Vertrieb der Shop\nGmbH & Co. KG <bob@shop.test>:',
  ],
  ['Dutch', 'Op di 4 mrt 2025 om 09:12 schreef Bob Hill <bob@shop.test>:'],
  ['Dutch, Apple', 'Op 4 mrt 2025, om 09:12 heeft Bob Hill <bob@shop.test> het volgende geschreven:'],
  ['Danish', 'Den tirs. 4. mar. 2025 kl. 09.12 skrev Bob Hill <bob@shop.test>:'],
  ['Norwegian', 'tir. 4. mar. 2025 kl. 09:12 skrev Bob Hill <bob@shop.test>:'],
  ['Swedish', 'Den tis 4 mars 2025 kl 09:12 skrev Bob Hill <bob@shop.test>:'],
  ['Finnish', 'ti 4. maalisk. 2025 klo 9.12 Bob Hill (bob@shop.test) kirjoitti:'],
  ['Polish', 'wt., 4 mar 2025 o 09:12 Bob Hill <bob@shop.test> napisał(a):'],
  ['Polish, W dniu', 'W dniu 04.03.2025 o 09:12, Bob Hill pisze:'],
  ['Czech', 'út 4. 3. 2025 v 9:12 odesílatel Bob Hill <bob@shop.test> napsal:'],
  ['Slovak', 'ut 4. 3. 2025 o 9:12 Bob Hill <bob@shop.test> napísal(a):'],
  ['Hungarian', 'Bob Hill <bob@shop.test> ezt írta (időpont: 2025. márc. 4., K, 9:12):'],
  ['Romanian', 'În mar., 4 mar. 2025 la 09:12, Bob Hill <bob@shop.test> a scris:'],
  ['Turkish', 'Bob Hill <bob@shop.test>, 4 Mar 2025 Sal, 09:12 tarihinde şunu yazdı:'],
  ['Greek', 'Στις Τρί 4 Μαρ 2025 στις 9:12 π.μ., ο χρήστης Bob Hill <bob@shop.test> έγραψε:'],
  ['Hebrew', 'בתאריך יום ג׳, 4 במרץ 2025 ב-9:12 מאת Bob Hill <bob@shop.test>:'],
  ['Vietnamese', 'Vào Th 3, 4 thg 3, 2025 vào lúc 09:12 Bob Hill <bob@shop.test> đã viết:'],
  ['Indonesian', 'Pada tanggal Sel, 4 Mar 2025 pukul 09.12 Bob Hill <bob@shop.test> menulis:'],
  ['Chinese, simplified', 'Bob Hill <bob@shop.test> 于2025年3月4日周二 09:12写道：'],
  ['Chinese, traditional', 'Bob Hill <bob@shop.test> 於 2025年3月4日 週二 上午9:12寫道：'],
  ['Chinese, Apple', '在 2025年3月4日，09:12，Bob Hill <bob@shop.test> 写道：'],
  ['Japanese, Gmail', '2025年3月4日(火) 9:12 Bob Hill <bob@shop.test>:'],
  ['Japanese, Apple', '2025/03/04 9:12、Bob Hill <bob@shop.test>のメール:'],
  ['Korean, Gmail', '2025년 3월 4일 (화) 오전 9:12, Bob Hill <bob@shop.test>님이 작성:'],
  ['Bulgarian', 'На вт, 4.03.2025 г. в 9:12 Bob Hill <bob@shop.test> написа:'],
  ['Croatian', 'uto, 4. ožu 2025. u 09:12 Bob Hill <bob@shop.test> napisao je:'],
  ['Slovenian', 'V V tor., 4. mar. 2025 ob 09:12 je oseba Bob Hill <bob@shop.test> napisala:'],
  ['Catalan', 'Missatge de Bob Hill <bob@shop.test> del dia dt., 4 de març 2025 a les 9:12:'],
]

describe('an attribution line', () => {
  it.each(ATTRIBUTIONS)('ends the text when the quote is marked: %s', (_, line) => {
    expect(stripQuoted(`${REPLY}\n\n${line}\n\n${QUOTED}`)).toBe(REPLY)
  })
  it.each(ATTRIBUTIONS)('ends the text when the quote is bare: %s', (_, line) => {
    expect(stripQuoted(`${REPLY}\n\n${line}\n\n${OLD}\n`)).toBe(REPLY)
  })
  it('is not needed before a marked quote', () => {
    expect(stripQuoted(`${REPLY}\n\n${QUOTED}`)).toBe(REPLY)
  })
  it('goes when only the quote follows the name', () => {
    expect(stripQuoted(`${REPLY}\n\nBob Hill wrote:\n\n${QUOTED}`)).toBe(REPLY)
  })
  it('is found behind the text of the same line', () => {
    expect(stripQuoted('Fine with me. On Mar 4, 2025, at 9:12 AM, Bob Hill wrote:\n\nold text')).toBe(
      'Fine with me.',
    )
  })
})

describe('ordinary sentences', () => {
  it.each([
    'On the surface this is simple.\nOn Monday we can meet.\nOn 4 March 2025 we signed the offer, as I wrote.',
    'As my colleague wrote: we need ten seats.\nThe rest is up to you.',
    'I spoke with Ann (ann@buyer.test) on 4 March 2025. She said we could order.',
    'Please call:\nFrom: 9:00\nTo: 17:00',
    'Le 4 mars 2025 nous convient.\nMerci de confirmer.',
    'Am Montag, 3. März 2025 um 10:00 haben wir Zeit.\nBitte melden.',
    'Our needs:\n- ten seats\n- single sign-on\n- Support',
    'Thank you for the offer.\n\nWe would like to order 10 seats. Our budget is 5,000 EUR. Could you call us on +49 30 1234567?',
    'Result: a > b\n2 > 1',
  ])('stay whole: %s', (text) => {
    expect(stripQuoted(text)).toBe(text)
  })
})

describe('where the answer stands', () => {
  it('keeps an answer below the quote', () => {
    expect(stripQuoted(`On 4 Mar 2025, at 09:12, Bob Hill wrote:\n\n${QUOTED}\n\n${REPLY}`)).toBe(REPLY)
  })
  it('keeps answers between the lines with what they answer', () => {
    const text =
      'Hi Bob,\n\nOn 4 Mar 2025, Bob Hill <bob@shop.test> wrote:\n> How many seats?\nTen.\n> When?\n\nIn March.\n\n> Bob'
    expect(stripQuoted(text)).toBe('Hi Bob,\n\n> How many seats?\nTen.\n> When?\n\nIn March.')
  })
  it('keeps text on both sides of a quote', () => {
    expect(stripQuoted('Above.\n\nOn 4 Mar 2025, Bob Hill wrote:\n\n> old\n\nBelow it.')).toBe(
      'Above.\n\n\n\nBelow it.',
    )
  })
  it('keeps a passage that was quoted by hand', () => {
    expect(stripQuoted('> three plans\n\nWhich one has SSO?')).toBe('> three plans\n\nWhich one has SSO?')
  })
  it('drops the unmarked tail of a quote that was wrapped again', () => {
    const wrapped = `> ${'long words '.repeat(6)}and then\ncomes the rest\n> more`
    expect(stripQuoted(`${REPLY}\n\nOn 4 Mar 2025, Bob wrote:\n${wrapped}`)).toBe(REPLY)
  })
  it('takes a mark that closes a link for what it is', () => {
    const text = 'See <https://shop.test/a-very-long-path\n> for the plans. Fine?'
    expect(stripQuoted(text)).toBe(text)
  })
  it('says nothing when the person added nothing to the quote', () => {
    expect(stripQuoted('On 4 Mar 2025, Bob Hill <bob@shop.test> wrote:\n\n> old text')).toBe('')
  })
})
