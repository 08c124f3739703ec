import { normalizeEmail } from '#kernel/email-address'
import { AppError } from '#kernel/errors'
import type { Failure } from '#kernel/failure'
import type { MailboxStatus } from '#kernel/vocabulary'
import { recordAudit } from '#features/audit'
import type { Ctx } from '#platform/context'
import { sha256Hex } from '#platform/crypto'
import type { Grant, Tokens } from '../providers/contract'
import * as repo from '../repo'
import { deriveNonce, deriveVerifier, readState, requireProvider } from './start-connect'

export interface FinishedConnect {
  mailbox_id: string
  email: string
  status: MailboxStatus
}

/**
 * The provider has sent the person back. Throws `invalid` for a state that is unknown, expired or used, `conflict` when
 * another account than the expected one came back. A permission that was left out ends in `needs_scopes`.
 */
export async function finishConnect(ctx: Ctx, params: URLSearchParams): Promise<FinishedConnect> {
  const state = await readState(ctx, params.get('state') ?? '')
  if (!state) throw new AppError('invalid', 'This authorization was not started here.')
  const { org_id, nonce } = state
  const door = ctx.db.org({ org_id, visibility: 'all' })
  const [[begun]] = await door.batch([repo.useState(await sha256Hex(nonce), ctx.clock.now())])
  if (!begun)
    throw new AppError('invalid', 'This authorization has expired or was used already. Please start again.')

  const provider = requireProvider(ctx, begun.provider)
  const granted = await provider.exchange(ctx, params, {
    state: params.get('state') ?? '',
    nonce: await deriveNonce(ctx, nonce),
    code_verifier: await deriveVerifier(ctx, nonce),
  })
  if (!granted.ok) throw asError(granted.failure)
  const grant = granted.value
  const email_norm = normalizeEmail(grant.account.email)
  if (email_norm === null) throw new AppError('unprocessable', 'The account has no usable address.')

  const [accounts, expected] = await door.batch([
    repo.findByAccount(begun.provider, grant.account.subject),
    repo.findAccount(begun.mailbox_id ?? org_id),
  ])
  const known = accounts[0]
  if (begun.mailbox_id !== null && expected[0]?.account_subject !== grant.account.subject) {
    throw new AppError('conflict', `This is another account than the mailbox ${expected[0]?.email ?? ''}.`)
  }
  if (begun.expected_email_norm !== null && begun.expected_email_norm !== email_norm) {
    throw new AppError('conflict', 'This is another account than the one that was to be connected.')
  }

  const missing = provider.missingScopes(grant.scopes)
  const refused = missing.length > 0 ? 'needs_scopes' : null
  if (refused === null && grant.refresh_token === null)
    throw new AppError('unprocessable', 'The provider gave no lasting access. Please start again.')
  const id = known?.id ?? ctx.newId()
  const [[mailbox]] = await door.batch([
    repo.upsert({
      id,
      org_id,
      provider: begun.provider,
      account_subject: grant.account.subject,
      email: grant.account.email,
      email_norm,
      // A running mailbox goes on answering while it is connected anew, and also when somebody left a box unticked today.
      status: known?.status === 'connected' ? 'connected' : (refused ?? 'connecting'),
      now: ctx.clock.now(),
    }),
    recordAudit(ctx, {
      org_id,
      action: refused === null ? 'mailbox.connected' : 'mailbox.needs_scopes',
      entity: 'mailbox',
      entity_id: id,
      fields: ['status'],
    }),
  ])
  if (!mailbox) throw new AppError('unavailable', 'The mailbox could not be stored.')
  if (refused !== null) return { mailbox_id: mailbox.id, email: mailbox.email, status: refused }

  const connected = await ctx
    .mailboxes(mailbox.id)
    .connect(
      org_id,
      mailbox.id,
      begun.provider,
      email_norm,
      await ctx.seal(JSON.stringify(tokensOf(grant)), `mailbox:${mailbox.id}`),
    )
  // The object has the tokens and tries again by itself; the status says how far it is.
  return { mailbox_id: mailbox.id, email: mailbox.email, status: connected.ok ? 'connected' : 'connecting' }
}

function tokensOf(grant: Grant): Tokens {
  return {
    access_token: grant.access_token,
    refresh_token: grant.refresh_token ?? '',
    expires_at: grant.expires_at,
  }
}

function asError(failure: Failure): AppError {
  if (failure.kind === 'transient' || failure.kind === 'rate_limited')
    return new AppError('unavailable', 'The provider did not answer. Please start again.', {
      retry_after_seconds: 10,
    })
  if (failure.code === 'invalid_client')
    return new AppError('not_configured', 'The provider refused our client id or secret.', {
      settings: ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET'],
    })
  return new AppError('invalid', failure.message)
}
