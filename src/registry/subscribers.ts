import { answeredByHand, draftRequested, replyEnded } from '#features/drafting'
import { noticeSubscribers } from '#features/notifications'
import type { Subscriber } from '#kernel/event'

/** Which job follows from which event. */
export const subscribers: readonly Subscriber[] = [
  ...noticeSubscribers,
  draftRequested,
  replyEnded,
  answeredByHand,
]
