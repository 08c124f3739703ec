// A channel that a tenant's own systems post messages of. What differs between them is only who a sender is.
import type { Channel } from '#kernel/vocabulary'

/** By address where there is one, else by the name that the channel knows the person by. */
export type Sender =
  | { email: string; email_norm: string }
  /** `phone`: E.164, where the name is a number. */
  | { handle: string; phone?: string }

export interface InboundChannel {
  name: Exclude<Channel, 'form'>
  /** What `from` has to be, for whoever wrote something else. */
  wanted: string
  /** One person is always the same sender, however the channel spells it. `null`: no sender of this channel. */
  readSender(from: string): Sender | null
}
