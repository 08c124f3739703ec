import type { InboundChannel } from './contract'
import { readPhone } from '../policy/phone-number'

export const whatsapp: InboundChannel = {
  name: 'whatsapp',
  wanted: 'a phone number in international form',
  readSender: (from) => {
    // Meta's own API writes numbers without the plus, always with the country's code.
    const phone = readPhone(from, { bare_is_international: true })
    return phone === null ? null : { handle: phone, phone }
  },
}
