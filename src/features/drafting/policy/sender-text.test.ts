import { expect, it } from 'vitest'
import { intents } from './intent'
import { composeReply, STOCK_PHRASES } from './reply-text'
import { findSenderText } from './sender-text'

const sender = {
  name: 'Casino Winner',
  subject: 'You won the golden jackpot',
  text: 'Visit promo77 now, thank you for your time. Could you tell me about prices for boats?',
}
const own = ['We build wooden boats for families.', 'Acme', ...STOCK_PHRASES]

it.each([
  ['Hello Winner, thank you for your message.', 'winner'],
  ['Thank you for asking about the golden jackpot.', 'the golden jackpot'],
  ['The code is PROMO77.', 'promo77'],
  ['You asked about prices for boats.', 'about prices for'],
])('finds the words of the sender in %j', (reply, echo) => {
  expect(findSenderText(reply, sender, own)).toBe(echo)
})

it.each(intents)('finds nothing of the sender in the template for %s, whatever they wrote', (intent) => {
  const reply = composeReply(
    {
      organization: { name: 'Acme', from_name: null, reply_instructions: own[0] ?? '' },
      greet: null,
      intent,
    },
    {
      reply_instructions: own[0] ?? '',
      allowed_commitments: [],
      allowed_link_hosts: [],
      own_names: [],
      known_emails: [],
      secrets: [],
    },
  )
  expect(findSenderText(reply, { ...sender, text: reply, subject: reply }, own)).toBeNull()
})
