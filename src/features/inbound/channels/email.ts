import { normalizeEmail } from '#kernel/email-address'
import type { InboundChannel } from './contract'

export const email: InboundChannel = {
  name: 'email',
  wanted: 'an e-mail address',
  readSender: (from) => {
    const given = (/<([^<>]{3,254})>\s*$/.exec(from)?.[1] ?? from).trim()
    const email_norm = normalizeEmail(given)
    return email_norm === null ? null : { email: given, email_norm }
  },
}
