// What a person may do with a draft, and why not.
import type { DraftStatus, SendState } from '#kernel/vocabulary'

export interface DraftState {
  status: DraftStatus
  send: { state: SendState } | null
}

export const actions = ['edit', 'approve', 'reject', 'regenerate'] as const
export type DraftAction = (typeof actions)[number]

/** A reply that has not passed the sending gate can still be called back, whoever approved it. */
export function canTakeBack(draft: DraftState): boolean {
  return draft.status === 'approved' && (draft.send?.state === 'scheduled' || draft.send?.state === 'claimed')
}

/** `null` when the action is allowed, else the reason for a 409. */
export function refuse(action: DraftAction, draft: DraftState): string | null {
  switch (draft.status) {
    case 'pending':
      return action === 'reject' ? null : 'The draft is still being written.'
    case 'ready':
      return null
    case 'approved':
      if (action === 'approve') return 'The draft has been approved already.'
      if (canTakeBack(draft)) return null
      return draft.send?.state === 'sent'
        ? 'The reply has been sent.'
        : 'The reply has been approved and is on its way.'
    case 'rejected':
      return action === 'regenerate'
        ? null
        : 'The draft has been rejected. Regenerate it to answer after all.'
    case 'superseded':
      return 'A newer message or an answer by hand has made this draft out of date.'
  }
}

/** Why a reply was skipped that makes its draft pointless. */
const OUT_OF_DATE: readonly (string | null)[] = ['newer_message', 'answered_by_a_person']

/** What becomes of an approved draft whose reply did not leave; `null` where a person wanted it so. */
export function afterUnsent(send: {
  state: SendState
  skip_reason: string | null
  error: string | null
}): { status: 'superseded' } | { status: 'ready'; detail: string } | null {
  if (send.state === 'failed')
    return {
      status: 'ready',
      detail: `The reply could not be sent: ${send.error ?? 'the transport refused it'}`,
    }
  if (send.state !== 'skipped' || send.skip_reason === 'resolved_by_a_person') return null
  if (OUT_OF_DATE.includes(send.skip_reason)) return { status: 'superseded' }
  return {
    status: 'ready',
    detail: `The reply was held back when it was about to leave: ${send.skip_reason ?? 'unknown'}.`,
  }
}
