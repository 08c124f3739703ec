import type { InboundChannel } from './contract'
import { readPhone } from '../policy/phone-number'

export const sms: InboundChannel = {
  name: 'sms',
  wanted: 'a phone number in international form, with its plus',
  readSender: (from) => {
    // Without one it may be a short code or a number of any country.
    const phone = readPhone(from, { bare_is_international: false })
    return phone === null ? null : { handle: phone, phone }
  },
}
