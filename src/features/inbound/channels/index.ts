import type { InboundChannel } from './contract'
import { email } from './email'
import { generic } from './generic'
import { instagram } from './instagram'
import { sms } from './sms'
import { telegram } from './telegram'
import { webchat } from './webchat'
import { whatsapp } from './whatsapp'

export const inboundChannels: readonly InboundChannel[] = [
  email,
  whatsapp,
  sms,
  instagram,
  telegram,
  webchat,
  generic,
]
