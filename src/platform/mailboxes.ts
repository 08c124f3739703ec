// The typed port to the Mailbox Durable Objects and the only caller of itty-durable's proxy.
// Its arguments travel in a request header: ids and short ASCII strings only. Expected outcomes come back as values.
import { proxyDurable } from 'itty-durable'
import type { Result } from '#kernel/failure'

/** What the object answers about itself; the row in Postgres is the copy that people see. */
export interface MailboxState {
  connected: boolean
  cursor: string | null
  watch_expires_at: string | null
  push: 'on' | 'off'
  cooldown_until: string | null
  alarm_at: string | null
}

export interface SyncReport {
  /** Messages that were new to us. */
  ingested: number
  /** Messages that were there already. */
  known: number
  dead: number
  /** True when the provider had forgotten the cursor and the time since was searched. */
  recovered_gap: boolean
}

export interface CreatedDraft {
  provider_draft_id: string
  provider_thread_id: string | null
}

export interface SentMessage {
  provider_message_id: string
  provider_thread_id: string | null
  /** The Message-ID that it really left with; Gmail may replace ours. */
  message_id: string | null
}

/** Every `as_of` is an ISO instant: the tick that the call follows from. */
export interface MailboxPort {
  /** Takes over the sealed tokens of the OAuth callback, starts the watch and the first sync. */
  connect(
    org_id: string,
    mailbox_id: string,
    provider: string,
    email: string,
    sealed_tokens: string,
  ): Promise<Result<SyncReport>>
  /** A hint that something changed: answers at once, the sync follows by alarm. */
  poke(): Promise<Result<null>>
  sync(as_of: string): Promise<Result<SyncReport>>
  renewWatch(as_of: string): Promise<Result<{ watch_expires_at: string | null }>>
  /** Failure `answered_by_a_person`: an automatic answer that is no longer wanted. */
  createDraft(send_id: string): Promise<Result<CreatedDraft>>
  sendDraft(provider_draft_id: string): Promise<Result<SentMessage>>
  deleteDraft(provider_draft_id: string): Promise<Result<null>>
  /** What became of a draft whose sending got no answer. */
  findSent(
    send_id: string,
    provider_draft_id: string,
  ): Promise<Result<{ outcome: 'sent' | 'not_sent' | 'inconclusive'; message?: SentMessage }>>
  status(): Promise<Result<MailboxState>>
  disconnect(): Promise<Result<null>>
}

export type Mailboxes = (mailbox_id: string) => MailboxPort

export function openMailboxes(namespace: DurableObjectNamespace): Mailboxes {
  return (mailbox_id) => {
    const call = async <T>(method: keyof MailboxPort, ...args: string[]): Promise<Result<T>> => {
      // One per call: a stub whose object was reset stays broken. The proxy answers to every property, `then` too: awaited,
      // it would hang, so it never leaves this function.
      const proxy: Record<string, (...args: string[]) => Promise<unknown>> = proxyDurable(namespace, {
        name: 'mailbox',
        parse: true,
      }).get(mailbox_id)
      try {
        return (await proxy[method]?.(...args)) as Result<T>
      } catch (error) {
        // Overloaded or reset: nothing is known about the effect, so the caller may only do what is safe twice.
        const message =
          error instanceof Error && 'overloaded' in error
            ? 'The mailbox is overloaded.'
            : 'The mailbox did not answer.'
        return { ok: false, failure: { kind: 'transient', code: 'mailbox_unreachable', message } }
      }
    }
    return {
      connect: (...args) => call('connect', ...args),
      poke: () => call('poke'),
      sync: (as_of) => call('sync', as_of),
      renewWatch: (as_of) => call('renewWatch', as_of),
      createDraft: (send_id) => call('createDraft', send_id),
      sendDraft: (provider_draft_id) => call('sendDraft', provider_draft_id),
      deleteDraft: (provider_draft_id) => call('deleteDraft', provider_draft_id),
      findSent: (send_id, provider_draft_id) => call('findSent', send_id, provider_draft_id),
      status: () => call('status'),
      disconnect: () => call('disconnect'),
    }
  }
}
