import { expect, it } from 'vitest'
import { draftStatuses, sendStates } from '#kernel/vocabulary'
import { actions, afterUnsent, canTakeBack, refuse } from './transitions'

it('allows each action in the states where it makes sense', () => {
  const allowed = draftStatuses.map((status) => [
    status,
    actions.filter((action) => refuse(action, { status, send: null }) === null),
  ])
  expect(Object.fromEntries(allowed)).toEqual({
    pending: ['reject'],
    ready: ['edit', 'approve', 'reject', 'regenerate'],
    approved: [],
    rejected: ['regenerate'],
    superseded: [],
  })
})

it('calls a reply back only while it waits, and never approves twice', () => {
  for (const state of sendStates) {
    const draft = { status: 'approved' as const, send: { state } }
    const waits = state === 'scheduled' || state === 'claimed'
    expect(canTakeBack(draft)).toBe(waits)
    expect(actions.filter((action) => refuse(action, draft) === null)).toEqual(
      waits ? ['edit', 'reject', 'regenerate'] : [],
    )
  }
})

it('tells why a draft that is out of date cannot be approved', () => {
  expect(refuse('approve', { status: 'superseded', send: null })).toBe(
    'A newer message or an answer by hand has made this draft out of date.',
  )
})

it('gives a reply that did not leave back to a person, unless it is pointless or a person wanted it so', () => {
  const after = (state: (typeof sendStates)[number], skip_reason: string | null) =>
    afterUnsent({ state, skip_reason, error: null })?.status ?? null
  expect([
    after('skipped', 'reply_mode_not_auto'),
    after('skipped', 'human_activity'),
    after('skipped', 'sender_cap'),
    after('skipped', 'suppressed'),
    after('failed', null),
    after('skipped', 'newer_message'),
    after('skipped', 'answered_by_a_person'),
    after('skipped', 'resolved_by_a_person'),
    after('sent', null),
  ]).toEqual(['ready', 'ready', 'ready', 'ready', 'ready', 'superseded', 'superseded', null, null])
})
