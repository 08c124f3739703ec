import { cleanLine } from '../service/clean-text'
import type { InboundChannel } from './contract'

export const generic: InboundChannel = {
  name: 'generic',
  wanted: 'a line of text that names the sender',
  readSender: (from) => {
    const handle = cleanLine(from, 320)
    return handle === '' ? null : { handle }
  },
}
