// Every call to the provider goes through here: one token, one forced refresh after a 401, one place where the grant dies.
import {
  createTokenKeeper,
  findProvider,
  type MailApi,
  mailboxReports,
  type MailProvider,
  type TokenDeps,
  type Tokens,
} from '#features/mailboxes'
import { addSeconds } from '#kernel/clock'
import { type Failure, fail, type Result } from '#kernel/failure'
import type { MailboxStatus } from '#kernel/vocabulary'
import type { Ctx } from '#platform/context'
import { SealedWithAnotherKey } from '#platform/crypto'
import { type Held, refOf } from './held'

export interface AccountDeps {
  /** The present one: a connect or disconnect puts another object in its place. */
  held(): Held
  persist(): Promise<void>
}

export interface Account {
  call<T>(ctx: Ctx, work: (provider: MailProvider, api: MailApi) => Promise<Result<T>>): Promise<Result<T>>
  readTokens(ctx: Ctx): Promise<Tokens | null>
  /** Before other tokens take the place of these. */
  forget(): void
}

export function createAccount(deps: AccountDeps): Account {
  const keeper = createTokenKeeper()

  const readTokens = async (ctx: Ctx): Promise<Tokens | null> => {
    const held = deps.held()
    if (held.sealed_tokens === '') return null
    const context = `mailbox:${held.mailbox_id}`
    const opened = await ctx.open(held.sealed_tokens, context)
    // The key is being rotated: from now on the new one opens them.
    if (await ctx.needsResealing(held.sealed_tokens)) {
      const sealed = await ctx.seal(opened, context)
      if (deps.held() === held) {
        held.sealed_tokens = sealed
        await deps.persist()
      }
    }
    return JSON.parse(opened) as Tokens
  }

  const tokenDeps = (ctx: Ctx, provider: MailProvider): TokenDeps => {
    const mine = deps.held()
    return {
      now: () => ctx.clock.now(),
      read: () => readTokens(ctx),
      write: async (tokens) => {
        const sealed = await ctx.seal(JSON.stringify(tokens), `mailbox:${mine.mailbox_id}`)
        if (deps.held() !== mine) return
        mine.sealed_tokens = sealed
        await deps.persist()
      },
      refresh: (refresh_token) => provider.refresh(ctx, refresh_token),
      pause: (milliseconds) => scheduler.wait(milliseconds * (0.5 + Math.random())),
    }
  }

  const judge = async (ctx: Ctx, failure: Failure): Promise<{ ok: false; failure: Failure }> => {
    const held = deps.held()
    if (failure.kind === 'rate_limited' && held.sealed_tokens !== '') {
      held.throttled_until = addSeconds(ctx.clock.now(), failure.retry_after_seconds ?? 60).toISOString()
      await deps.persist()
    }
    if (failure.kind === 'auth' && failure.code !== 'not_connected' && held.sealed_tokens !== '') {
      const status = lostStatus(failure.code)
      // Told first: had the object shut itself before, a database that was away would never hear of it.
      await mailboxReports.recordLost(ctx, refOf(held), status, failure)
      // With a wrong key nothing is overwritten, and the next call looks again: the right key may come back.
      if (status !== 'paused') {
        held.lost = status
        await deps.persist()
      }
    }
    return { ok: false, failure }
  }

  return {
    readTokens,
    forget: () => keeper.forget(),
    call: async (ctx, work) => {
      const held = deps.held()
      const provider = findProvider(held.provider)
      if (!provider || held.sealed_tokens === '')
        return fail('auth', 'not_connected', 'The mailbox is not connected.')
      if (held.lost !== null) return fail('auth', held.lost, 'The mailbox has to be connected again.')
      const wait =
        held.throttled_until === null ? 0 : Date.parse(held.throttled_until) - ctx.clock.now().getTime()
      if (wait > 0)
        return fail('rate_limited', 'throttled', 'The provider asked to slow down.', Math.ceil(wait / 1000))
      try {
        let token = await keeper.get(tokenDeps(ctx, provider))
        if (!token.ok) return await judge(ctx, token.failure)
        let result = await work(provider, { ctx, access_token: token.value })
        if (!result.ok && result.failure.code === 'token_refused') {
          token = await keeper.get(tokenDeps(ctx, provider), token.value)
          if (!token.ok) return await judge(ctx, token.failure)
          result = await work(provider, { ctx, access_token: token.value })
        }
        return result.ok ? result : await judge(ctx, result.failure)
      } catch (error) {
        if (!(error instanceof SealedWithAnotherKey)) throw error
        return judge(ctx, {
          kind: 'auth',
          code: 'sealed_with_another_key',
          message: 'ENCRYPTION_KEY does not open the tokens.',
        })
      }
    },
  }
}

function lostStatus(code: string): MailboxStatus {
  if (code === 'insufficient_scopes') return 'needs_scopes'
  return code === 'sealed_with_another_key' ? 'paused' : 'reconnect_required'
}
