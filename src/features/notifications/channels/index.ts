import type { NoticeChannel } from './contract'
import { slack } from './slack'

export const noticeChannels: readonly NoticeChannel[] = [slack]

/** Every name that the database knows has its channel; a test holds it. */
export function channelOf(name: NoticeChannel['name']): NoticeChannel {
  const channel = noticeChannels.find((candidate) => candidate.name === name)
  if (!channel) throw new TypeError(`No notification channel is called ${name}`)
  return channel
}
