import type { InboundChannel } from './contract'

export const telegram: InboundChannel = {
  name: 'telegram',
  wanted: 'a user name, with or without @, or the number of a user or chat',
  readSender: (from) => {
    // Chats of groups have negative numbers.
    const handle = /^(?:@?([a-z][a-z0-9_]{3,31})|(-?\d{1,20}))$/.exec(from.trim().toLowerCase())
    const name = handle?.[1] ?? handle?.[2]
    return name === undefined ? null : { handle: name }
  },
}
