// What the product needs of a mail provider, and no verb more. One file per provider, one contract suite for all.
import type { Result } from '#kernel/failure'
import type { MailboxProviderName } from '#kernel/vocabulary'
import type { Config } from '#platform/config'
import type { Ctx } from '#platform/context'
import type { SentMessage } from '#platform/mailboxes'

export interface Tokens {
  access_token: string
  refresh_token: string
  expires_at: string
}

export interface Grant {
  access_token: string
  /** Absent when the provider thinks that we have one already. */
  refresh_token: string | null
  expires_at: string
  scopes: string[]
  account: { subject: string; email: string }
}

/** One call on behalf of the mailbox. `token_refused` (kind auth) asks the caller for a fresh token, once. */
export interface MailApi {
  ctx: Ctx
  access_token: string
}

export interface ChangedMessage {
  id: string
  thread_id: string
}

export interface ChangePage {
  messages: ChangedMessage[]
  /** Where the next call begins once these are committed. Opaque, compared by nobody but the provider. */
  cursor: string
  more: boolean
}

export interface RawMessage {
  raw: Uint8Array
  thread_id: string
  received_at: Date
  /** Drafts, spam and trash are none of ours. */
  relevant: boolean
  /** It lies in the Sent folder: the account wrote it. */
  sent: boolean
}

export interface MailProvider {
  name: MailboxProviderName
  /** Without these the provider is off. */
  settings: readonly (keyof Config)[]
  /** True when changes are pushed; polling goes on either way, only less often. */
  canPush(config: Config): boolean

  authorizationUrl(
    config: Config,
    request: { state: string; nonce: string; code_challenge: string; login_hint: string | null },
  ): string
  /** `params` is the whole query of the callback. Failure `grant_refused` when the code is no good. */
  exchange(
    ctx: Ctx,
    params: URLSearchParams,
    expected: { state: string; nonce: string; code_verifier: string },
  ): Promise<Result<Grant>>
  /** Scopes that the person left out; empty when all are there. */
  missingScopes(granted: string[]): string[]
  /** Failure kind `auth` means that the grant is dead; our own wrong secret is `permanent`. */
  refresh(ctx: Ctx, refresh_token: string): Promise<Result<Tokens>>
  revoke(ctx: Ctx, refresh_token: string): Promise<Result<null>>

  watch(api: MailApi): Promise<Result<{ cursor: string; expires_at: string }>>
  unwatch(api: MailApi): Promise<Result<null>>
  currentCursor(api: MailApi): Promise<Result<string>>
  /** Failure `cursor_expired` when the provider has forgotten what came since. */
  changesSince(api: MailApi, cursor: string): Promise<Result<ChangePage>>
  /** Everything sent and received since, for a gap, page by page; read from its end, answers come after what they answer. */
  searchSince(
    api: MailApi,
    since: Date,
    page: string | null,
  ): Promise<Result<{ messages: ChangedMessage[]; next_page: string | null }>>
  /** `null` when it is gone meanwhile. Failure `unfetchable` when this one will never be had, while others may. */
  fetchRaw(api: MailApi, id: string): Promise<Result<RawMessage | null>>

  /** Whether the newest mail of a thread is the account's own: then somebody has answered, by whatever program. */
  isAnswered(api: MailApi, thread_id: string): Promise<Result<boolean>>
  /** A thread that is gone meanwhile is begun anew. */
  createDraft(
    api: MailApi,
    draft: { raw: string; thread_id: string | null },
  ): Promise<Result<{ draft_id: string; thread_id: string | null }>>
  /** Works once per draft. Any failure but `rate_limited` and `permanent` may have had its effect. */
  sendDraft(api: MailApi, draft_id: string): Promise<Result<SentMessage>>
  deleteDraft(api: MailApi, draft_id: string): Promise<Result<null>>
  /** Is it still a draft? Gone means sent, or removed by hand: `findSent` tells which. */
  draftExists(api: MailApi, draft_id: string): Promise<Result<boolean>>
  findSent(
    api: MailApi,
    sent: { message_id: string; thread_id: string | null },
  ): Promise<Result<SentMessage | null>>
}
