// Pub/Sub push as Google sends it: signed, repeated until it is acknowledged, and only a hint that something is new.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stats } from '../faults.ts'
import type { EmulatorState, PersistedMap } from '../state.ts'
import type { SigningKey } from './keys.ts'

export interface Watch {
  topicName: string
  labelIds: string[]
  exclude: boolean
  expiration: number
}

export interface PushSettings {
  /** Where the Worker takes them, with its secret. */
  url: string
  issuer: string
  audience: string
  serviceAccount: string
}

const WEEK_MS = 7 * 86_400_000
const RETRY_MS = [250, 1000, 3000, 10_000]

export class Push {
  readonly #settings: PushSettings
  readonly #key: SigningKey
  readonly #stats: Stats
  readonly #watches: PersistedMap<Watch>
  readonly #busy = new Set<string>()
  readonly #again = new Map<string, string>()
  #on = true
  readonly #closed = new AbortController()

  constructor(settings: PushSettings, key: SigningKey, stats: Stats, state: EmulatorState) {
    this.#settings = settings
    this.#key = key
    this.#stats = stats
    this.#watches = state.map<Watch>('shim.watches')
  }

  switch(on: boolean): void {
    this.#on = on
  }

  close(): void {
    this.#closed.abort()
  }

  /** False when the mailbox is watched on another topic: Gmail allows one a project. */
  watch(email: string, topicName: string, labelIds: string[], exclude: boolean): number | false {
    const known = this.#watchOf(email)
    if (known && known.topicName !== topicName) return false
    const expiration = Date.now() + WEEK_MS
    this.#watches.set(email, { topicName, labelIds, exclude, expiration })
    return expiration
  }

  stop(email: string): void {
    this.#watches.delete(email)
  }

  watches(): [string, Watch][] {
    return this.#watches.entries()
  }

  /** Something changed in the mailbox, in a message with these labels. */
  notify(email: string, labelIds: string[], historyId: string): void {
    const watch = this.#watchOf(email)
    if (!this.#on || !watch) return
    const listed = watch.labelIds.length === 0 || watch.labelIds.some((label) => labelIds.includes(label))
    if (watch.labelIds.length > 0 && listed === watch.exclude) return
    this.#enqueue(email, historyId)
  }

  /** One at a time for each mailbox, and what comes meanwhile is one more: Gmail sends about one a second. */
  #enqueue(email: string, historyId: string): void {
    if (this.#busy.has(email)) {
      this.#again.set(email, historyId)
      return
    }
    this.#busy.add(email)
    void this.#deliver(email, historyId).finally(() => {
      this.#busy.delete(email)
      const next = this.#again.get(email)
      this.#again.delete(email)
      if (next !== undefined) this.#enqueue(email, next)
    })
  }

  #watchOf(email: string): Watch | undefined {
    const watch = this.#watches.get(email)
    return watch && watch.expiration > Date.now() ? watch : undefined
  }

  async #deliver(email: string, historyId: string): Promise<void> {
    const { url, serviceAccount } = this.#settings
    const messageId = BigInt(`0x${randomBytes(7).toString('hex')}`).toString()
    const publishTime = new Date().toISOString()
    const data = Buffer.from(JSON.stringify({ emailAddress: email, historyId })).toString('base64url')
    const body = JSON.stringify({
      message: { data, messageId, message_id: messageId, publishTime, publish_time: publishTime },
      subscription: `projects/inlet-local/subscriptions/${serviceAccount.split('@')[0]}`,
    })
    for (const wait of [0, ...RETRY_MS]) {
      try {
        if (wait > 0) await delay(wait, undefined, { signal: this.#closed.signal })
        this.#stats.count('pushes', 'sent')
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${await this.#token()}` },
          body,
          signal: AbortSignal.any([AbortSignal.timeout(10_000), this.#closed.signal]),
        })
        await response.arrayBuffer()
        if (response.ok) {
          this.#stats.count('pushes', 'acknowledged')
          return
        }
        this.#stats.count('pushes', `refused ${response.status}`)
      } catch {
        if (this.#closed.signal.aborted) return
        this.#stats.count('pushes', 'unanswered')
      }
    }
    this.#stats.count('pushes', 'given up')
  }

  async #token(): Promise<string> {
    const { issuer, audience, serviceAccount } = this.#settings
    const iat = Math.floor(Date.now() / 1000)
    const claims = {
      iss: issuer,
      aud: audience,
      azp: serviceAccount,
      sub: serviceAccount,
      email: serviceAccount,
    }
    return await this.#key.sign({ ...claims, email_verified: true, iat, exp: iat + 3600 })
  }
}
