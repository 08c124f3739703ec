import type { InboundChannel } from './contract'

export const instagram: InboundChannel = {
  name: 'instagram',
  wanted: 'a user name, with or without @, or the id that Instagram gives the person',
  readSender: (from) => {
    const handle = /^@?([a-z0-9_.]{1,30})$/.exec(from.trim().toLowerCase())?.[1]
    return handle === undefined ? null : { handle }
  },
}
