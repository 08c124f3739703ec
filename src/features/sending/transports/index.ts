import type { TransportName } from '#kernel/vocabulary'
import type { Transport } from './contract'
import { mailbox } from './mailbox'
import { outbox } from './outbox'
import { postmark } from './postmark'
import { smtp } from './smtp'

export const transports: readonly Transport[] = [mailbox, outbox, postmark, smtp]

export function findTransport(list: readonly Transport[], name: TransportName): Transport {
  const transport = list.find((candidate) => candidate.name === name)
  if (!transport) throw new TypeError(`No transport is called ${name}`)
  return transport
}
