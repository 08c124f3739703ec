// What the shim itself has to know about the emulator's mailboxes: history ids, threads, delivery.
import type { HostedEmulator, Row } from '../host.ts'
import type { EmulatorState, PersistedMap } from '../state.ts'
import { composeMail, type Delivery } from './mail.ts'
import type { Push } from './push.ts'
import type { TokenBook } from './tokens.ts'

export interface MessageResource {
  id: string
  threadId: string
  labelIds?: string[]
  historyId: string
}

export interface MailboxParts {
  hosted: HostedEmulator
  tokens: TokenBook
  push: Push
  state: EmulatorState
}

export class Mailboxes {
  readonly #parts: MailboxParts
  /** History below it is gone, as after a week or so at Gmail. */
  readonly #floors: PersistedMap<string>

  constructor(parts: MailboxParts) {
    this.#parts = parts
    this.#floors = parts.state.map<string>('shim.history_floors')
  }

  emails(): string[] {
    return this.#rows('google.users').map((user) => String(user['email']))
  }

  has(email: string): boolean {
    return this.#collection('google.users').findOneBy('email', email) !== undefined
  }

  messages(email: string): Row[] {
    return this.#collection('google.messages').findBy('user_email', email)
  }

  hasThread(email: string, threadId: string): boolean {
    return this.#collection('google.messages')
      .findBy('thread_id', threadId)
      .some((message) => message['user_email'] === email)
  }

  /** Gmail never says 0, and after history expired the current id is one that works. */
  atLeastFloor(email: string, historyId: string): string {
    const floor = this.#floorOf(email)
    return BigInt(historyId || '0') > floor ? historyId : floor.toString()
  }

  isExpired(email: string, startHistoryId: string): boolean {
    return !/^\d+$/.test(startHistoryId) || BigInt(startHistoryId) < this.#floorOf(email)
  }

  expireHistory(email: string): void {
    this.#floors.set(email, (BigInt(this.currentHistoryId(email)) + 1n).toString())
  }

  currentHistoryId(email: string): string {
    const messages = this.messages(email).map((message) => BigInt(String(message['history_id'])))
    const events = this.#collection('google.history').findBy('user_email', email)
    const ids = [...messages, ...events.map((event) => BigInt(String(event['gmail_id'])))]
    const newest = ids.reduce((latest, id) => (id > latest ? id : latest), 0n)
    return this.atLeastFloor(email, newest.toString())
  }

  /** A request to the emulator in the name of that account, whatever tokens it has issued. */
  async as(email: string, url: URL, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${this.#parts.tokens.aliasFor(email)}`)
    return await this.#parts.hosted.app.fetch(new Request(url, { ...init, headers }))
  }

  /** Mail from outside arrives. */
  async deliver(delivery: Delivery & { labels?: string[] }): Promise<MessageResource> {
    const email = delivery.to.toLowerCase()
    if (!this.has(email)) throw new Error(`there is no emulated mailbox ${delivery.to}`)
    const raw = await composeMail({ ...delivery, to: email })
    return await this.#import(email, raw, delivery.labels ?? ['INBOX', 'UNREAD'])
  }

  /** What one emulated account sends to another arrives there, as at Google. */
  async forward(sender: string, messageId: string): Promise<void> {
    const message = this.#collection('google.messages').findOneBy('gmail_id', messageId)
    if (!message) return
    const recipients = [message['to'], message['cc'], message['bcc']].join(',').toLowerCase()
    const raw = Buffer.from(String(message['raw']), 'base64url').toString('latin1')
    for (const email of this.emails()) {
      if (email === sender || !recipients.split(/[\s<>,;"]+/).includes(email)) continue
      const seen = await composeMail({ to: email, raw: withoutBcc(raw), auth: 'pass' })
      await this.#import(email, seen, ['INBOX', 'UNREAD'])
    }
  }

  async #import(email: string, raw: Buffer, labelIds: string[]): Promise<MessageResource> {
    const response = await this.as(email, new URL('http://emulator/gmail/v1/users/me/messages/import'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      // Gmail dates what it receives itself; the Date header is only what the sender claims.
      body: JSON.stringify({ raw: raw.toString('base64url'), labelIds, internalDate: String(Date.now()) }),
    })
    if (response.status !== 200) throw new Error(`the emulator refused the message: ${await response.text()}`)
    const message = (await response.json()) as MessageResource
    this.#parts.push.notify(email, message.labelIds ?? [], message.historyId)
    return {
      id: message.id,
      threadId: message.threadId,
      labelIds: message.labelIds ?? [],
      historyId: message.historyId,
    }
  }

  #floorOf(email: string): bigint {
    return BigInt(this.#floors.get(email) ?? '1')
  }

  #collection(name: string) {
    const collection = this.#parts.hosted.store.collections.get(name)
    if (!collection) throw new Error(`emulate has no collection ${name}`)
    return collection
  }

  #rows(name: string): Row[] {
    return this.#collection(name).all()
  }
}

const withoutBcc = (raw: string) => {
  const end = raw.search(/\r?\n\r?\n/)
  const head = end < 0 ? raw : raw.slice(0, end)
  return head.replace(/^bcc:.*(?:\r?\n[ \t].*)*\r?\n?/gim, '') + (end < 0 ? '' : raw.slice(end))
}
