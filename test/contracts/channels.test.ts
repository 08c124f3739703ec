// What every channel holds to, and what its senders are called.
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { channels } from '#kernel/vocabulary'
import { inboundChannels } from '../../src/features/inbound/channels'
import type { InboundChannel, Sender } from '../../src/features/inbound/channels/contract'

const handle = (name: string): Sender => ({ handle: name })
const phone = (number: string): Sender => ({ handle: number, phone: number })
const mail = (email: string, email_norm = email): Sender => ({ email, email_norm })

/** Each line: spellings of one sender, and who that is; null: nobody. */
const senders: Record<InboundChannel['name'], [string[], Sender | null][]> = {
  email: [
    [['ada@buyer.test', ' ada@buyer.test '], mail('ada@buyer.test')],
    [['Ada@Buyer.test', 'Ada Byron <Ada@Buyer.test>'], mail('Ada@Buyer.test', 'ada@buyer.test')],
    [['ada@bücher.example'], mail('ada@bücher.example', 'ada@xn--bcher-kva.example')],
    [['ada', '@buyer.test', 'ada@buyer', 'a b@buyer.test', 'ada@buyer.test, bob@buyer.test'], null],
  ],
  whatsapp: [
    [
      [
        '+442079460000',
        '442079460000',
        '00442079460000',
        '+44 (0)2079460000'.replace('(0)', ''),
        'whatsapp:+442079460000',
      ],
      phone('+442079460000'),
    ],
    [['0207946', '+0123456789', '+44', '+4420794600001234', 'Ada', '+44207946x000'], null],
  ],
  sms: [
    [
      ['+442079460000', '+44 (20) 7946-0000', 'sms:+442079460000', 'tel:+44-20-7946-0000'],
      phone('+442079460000'),
    ],
    [['442079460000', '12345', 'AMAZON', '+'], null],
  ],
  instagram: [
    [['@Ada.Byron', 'ada.byron', ' ADA.BYRON '], handle('ada.byron')],
    [['17841400008460056'], handle('17841400008460056')],
    [['ada byron', '@', '@@ada', 'a'.repeat(31), 'ada/../x'], null],
  ],
  telegram: [
    [['@AdaByron', 'adabyron'], handle('adabyron')],
    [['7123456789'], handle('7123456789')],
    [['-1001234567890'], handle('-1001234567890')],
    [['ada', '9ada', '@', 'ada-byron', '123456789012345678901'], null],
  ],
  webchat: [
    [['v_8Fh2'], handle('v_8Fh2')],
    [['V_8fh2'], handle('V_8fh2')],
    [['two words', 'é', 'x'.repeat(201)], null],
  ],
  generic: [
    [['Ada  Byron', 'Ada Byron'], handle('Ada Byron')],
    [['front desk №3'], handle('front desk №3')],
    [['\u0000 \t'], null],
  ],
}

it('has one plug-in for every channel but the form, under its own name', () => {
  expect(inboundChannels.map(({ name }) => name).toSorted()).toEqual(
    channels.filter((name) => name !== 'form').toSorted(),
  )
})

describe.each(inboundChannels.map((channel) => [channel.name, channel] as const))(
  'the channel %s',
  (name, channel) => {
    it.each(senders[name].flatMap(([spellings, sender]) => spellings.map((from) => [from, sender] as const)))(
      'reads %j',
      (from, sender) => {
        expect(channel.readSender(from)).toEqual(sender)
      },
    )

    it('says in words what it wants', () => {
      expect(channel.wanted).toMatch(/^(?:an?|the) /)
    })

    it('never throws, and calls the same sender the same when it reads its own spelling again', () => {
      const known = senders[name].flatMap(([spellings]) => spellings)
      fc.assert(
        fc.property(
          fc.oneof(fc.string({ unit: 'binary', maxLength: 320 }), fc.constantFrom(...known)),
          (from) => {
            const sender = channel.readSender(from)
            if (sender === null) return
            const called = 'email' in sender ? sender.email_norm : sender.handle
            expect(called).not.toBe('')
            expect(called).not.toMatch(/\p{Cc}/u)
            const again = channel.readSender(called)
            expect(again === null ? null : 'email' in again ? again.email_norm : again.handle).toBe(called)
          },
        ),
      )
    })
  },
)
