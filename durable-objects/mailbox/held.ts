import type { Recovery } from '#features/mailboxes'
import type { MailboxStatus } from '#kernel/vocabulary'

/** Everything that outlives the object's memory: one small value, written only when it has changed. */
export interface Held {
  org_id: string
  mailbox_id: string
  provider: string
  email: string
  sealed_tokens: string
  cursor: string
  recovery: Recovery | null
  push: 'on' | 'off'
  watch_expires_at: string | null
  /** The provider said 429: nobody calls before. */
  throttled_until: string | null
  /** Syncs failed: the next one not before. */
  sync_after: string | null
  sync_failures: number
  renew_after: string | null
  renew_failures: number
  last_synced_at: string | null
  /** Connected, and people have not been told yet: watch and first sync may have failed. */
  fresh: boolean
  /** The grant is dead or a permission is missing: no call until somebody connects again. */
  lost: MailboxStatus | null
}

export const nothing: Held = {
  org_id: '',
  mailbox_id: '',
  provider: '',
  email: '',
  sealed_tokens: '',
  cursor: '',
  recovery: null,
  push: 'off',
  watch_expires_at: null,
  throttled_until: null,
  sync_after: null,
  sync_failures: 0,
  renew_after: null,
  renew_failures: 0,
  last_synced_at: null,
  fresh: false,
  lost: null,
}

export function isConnected(held: Held): boolean {
  return held.sealed_tokens !== '' && held.lost === null
}

export function refOf(held: Held): { org_id: string; mailbox_id: string } {
  return { org_id: held.org_id, mailbox_id: held.mailbox_id }
}
