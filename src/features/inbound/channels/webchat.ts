import type { InboundChannel } from './contract'

export const webchat: InboundChannel = {
  name: 'webchat',
  wanted: "the visitor's id, of 1 to 200 visible ASCII characters",
  readSender: (from) => {
    // Opaque: in another case it is somebody else.
    const handle = from.trim()
    return /^[!-~]{1,200}$/.test(handle) ? { handle } : null
  },
}
