import { answeredByHand, draftRequested, replyEnded } from '#features/drafting'
import { noticeSubscribers } from '#features/notifications'
import { ingestDied, leadMailSubscribers } from '#features/sending'
import type { Subscriber } from '#kernel/event'

/** Which job follows from which event. */
export const subscribers: readonly Subscriber[] = [
  ...noticeSubscribers,
  draftRequested,
  replyEnded,
  answeredByHand,
  ...leadMailSubscribers,
  ingestDied,
]
