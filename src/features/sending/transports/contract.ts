// A way for a send to leave the building. One file per transport, one contract suite for all.
import type { Failure, Result } from '#kernel/failure'
import type { TransportName } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import type { SentMessage } from '#platform/mailboxes'

/** What kind of mail a transport's terms allow; a campaign over one that forbids it is refused. */
export const mailPurposes = ['cold', 'opted_in', 'transactional'] as const
type MailPurpose = (typeof mailPurposes)[number]

export interface TransportSend {
  id: string
  org_id: string
  mailbox_id: string | null
  /** Made by an earlier attempt that is certain not to have left. */
  provider_draft_id: string | null
  /** Proves to transports that live in our database that the run still owns the send. */
  claim_token: string
}

export interface Prepared {
  provider_draft_id: string | null
  provider_thread_id: string | null
}

export type Delivery =
  | { outcome: 'accepted'; message: SentMessage | null }
  /** Certain not to have left. */
  | { outcome: 'refused'; failure: Failure }
  /** No answer, or one that proves nothing. Never tried again blindly. */
  | { outcome: 'ambiguous'; failure: Failure }

export type Reconciliation =
  | { outcome: 'sent'; message: SentMessage | null }
  | { outcome: 'not_sent' }
  | { outcome: 'inconclusive' }
  /** The provider could not be asked. */
  | { outcome: 'unavailable'; failure: Failure }

export interface Transport {
  name: TransportName
  carries: readonly MailPurpose[]
  /**
   * Before the gate: no mail can leave by it, and losing its result costs an orphan at most. Failure `answered_by_a_person`
   * when an automatic answer has come too late.
   */
  prepare(ctx: Ctx, send: TransportSend): Promise<Result<Prepared>>
  /** Behind the gate, once per claim. */
  deliver(ctx: Ctx, send: TransportSend): Promise<Delivery>
  /** What became of a delivery without an outcome, asked when no run of it can be alive any more. */
  reconcile(ctx: Ctx, send: TransportSend): Promise<Reconciliation>
  /** Removes what `prepare` made and the gate refused. */
  discard(ctx: Ctx, send: TransportSend, provider_draft_id: string): Promise<Result<null>>
}
