import { trimRefreshTokens, trimSessions } from '#features/auth'
import { systemDb } from '#db/system'
import { addSeconds } from '#kernel/clock'
import type { Sweep } from '#kernel/sweep'
import type { Ctx } from '#platform/context'
import * as repo from '../repo'

const DAY = 86_400
const ROWS = 5000
/** Together more than a day can make; a busy form alone leaves a counter for each address and minute. */
const ROUNDS = 200

/** Removes what the product no longer needs: leads, messages and the audit log are not its business. */
export const trimLeftovers: Sweep<Ctx> = {
  name: 'trim-leftovers',
  cron: '0 3 * * *',
  run: async (ctx) => {
    const ago = (days: number) => addSeconds(ctx.clock.now(), -days * DAY)
    const removed = {
      events: 0,
      sweep_runs: 0,
      dead_letters: 0,
      idempotency_keys: 0,
      oauth_states: 0,
      rate_limits: 0,
      mail_events: 0,
      mailbox_days: 0,
      refresh_tokens: 0,
      sessions: 0,
    }
    for (let round = 0; round < ROUNDS; round++) {
      const [
        events,
        sweep_runs,
        dead_letters,
        idempotency_keys,
        oauth_states,
        rate_limits,
        mail_events,
        mailbox_days,
      ] = await systemDb(ctx).batch([
        repo.trimEvents(ago(30), ROWS),
        repo.trimSweepRuns(ago(30), ROWS),
        repo.trimDeadLetters(ago(14), ROWS),
        repo.trimIdempotencyKeys(ago(0), ROWS),
        repo.trimOauthStates(ago(1), ROWS),
        repo.trimRateLimits(ago(1), ROWS),
        repo.trimMailEvents(ago(14), ROWS),
        repo.trimMailboxDays(ago(90), ROWS),
      ])
      const counts = {
        events,
        sweep_runs,
        dead_letters,
        idempotency_keys,
        oauth_states,
        rate_limits,
        mail_events,
        mailbox_days,
      }
      for (const [name, { rowCount }] of Object.entries(counts))
        removed[name as keyof typeof counts] += rowCount
      if (Object.values(counts).every(({ rowCount }) => rowCount < ROWS)) break
    }
    const [refresh_tokens, sessions] = await systemDb(ctx).batch([
      trimRefreshTokens(ago(1)),
      trimSessions(ago(30)),
    ])
    return { ...removed, refresh_tokens: refresh_tokens.rowCount, sessions: sessions.rowCount }
  },
}
