import { addSeconds } from '#kernel/clock'
import { AppError, notFound } from '#kernel/errors'
import { normalizeEmail } from '#kernel/email-address'
import { actorId } from '#kernel/actor'
import type { MailboxProviderName } from '#kernel/vocabulary'
import { recordAudit } from '#features/audit'
import { requireSettings } from '#platform/config'
import type { Ctx } from '#platform/context'
import { equalSecrets, hmacSha256, randomToken, sha256Hex, toBase64Url } from '#platform/crypto'
import { findProvider } from '../providers'
import type { MailProvider } from '../providers/contract'
import * as repo from '../repo'

const STATE_SECONDS = 10 * 60

/** A provider that is built and configured. Throws `not_configured` with the settings that are missing. */
export function requireProvider(ctx: Ctx, name: MailboxProviderName): MailProvider {
  const provider = findProvider(name)
  if (!provider)
    throw new AppError('not_configured', `Mailboxes of ${name} cannot be connected yet.`, { settings: [] })
  requireSettings(ctx.config, ...provider.settings)
  return provider
}

/**
 * Begins an authorization. `mailbox_id` makes it a reconnect that only the same account can complete, `email` a connection
 * that only that address can complete.
 */
export async function startConnect(
  ctx: Ctx,
  org_id: string,
  name: MailboxProviderName,
  expected: { mailbox_id?: string | undefined; email?: string | undefined },
): Promise<{ authorization_url: string; expires_at: Date }> {
  const provider = requireProvider(ctx, name)
  const door = ctx.db.org({ org_id, visibility: 'all' })
  const [organizations, rows] = await door.batch([
    repo.organizationExists(),
    repo.findAccount(expected.mailbox_id ?? org_id),
  ])
  if (organizations.length === 0) throw notFound('The organization')
  const mailbox = rows[0]
  if (expected.mailbox_id !== undefined && !mailbox) throw notFound('The mailbox')
  if (mailbox && mailbox.provider !== name)
    throw new AppError('conflict', 'The mailbox is of another provider.')
  const email = expected.email === undefined ? null : normalizeEmail(expected.email)

  const nonce = randomToken()
  const expires_at = addSeconds(ctx.clock.now(), STATE_SECONDS)
  await door.batch([
    repo.insertState({
      nonce_hash: await sha256Hex(nonce),
      org_id,
      provider: name,
      mailbox_id: mailbox?.id ?? null,
      expected_email_norm: email,
      started_by: `${ctx.actor.type}:${actorId(ctx.actor)}`,
      expires_at,
    }),
    recordAudit(ctx, {
      org_id,
      action: 'mailbox.connect_started',
      entity: 'organization',
      entity_id: org_id,
    }),
  ])
  return {
    expires_at,
    authorization_url: provider.authorizationUrl(ctx.config, {
      state: await signState(ctx, org_id, nonce),
      nonce: await deriveNonce(ctx, nonce),
      code_challenge: toBase64Url(
        new Uint8Array(
          await crypto.subtle.digest('SHA-256', new TextEncoder().encode(await deriveVerifier(ctx, nonce))),
        ),
      ),
      login_hint: email ?? mailbox?.email_norm ?? null,
    }),
  }
}

/** `<organization>.<nonce>.<signature>`: nobody else can make one, and its row makes it work once. */
async function signState(ctx: Ctx, org_id: string, nonce: string): Promise<string> {
  return `${org_id}.${nonce}.${await derive(ctx, `oauth state ${org_id}`, nonce)}`
}

/** `null` for a state that we did not make. */
export async function readState(ctx: Ctx, state: string): Promise<{ org_id: string; nonce: string } | null> {
  const [org_id, nonce, signature] = state.split('.')
  if (!org_id || !nonce || !signature || !/^[0-9a-f-]{36}$/.test(org_id)) return null
  return (await equalSecrets(signature, await derive(ctx, `oauth state ${org_id}`, nonce)))
    ? { org_id, nonce }
    : null
}

// Derived from the nonce, so that no verifier lies in the database.
export function deriveVerifier(ctx: Ctx, nonce: string): Promise<string> {
  return derive(ctx, 'pkce verifier', nonce)
}
export function deriveNonce(ctx: Ctx, nonce: string): Promise<string> {
  return derive(ctx, 'id token nonce', nonce)
}

async function derive(ctx: Ctx, label: string, nonce: string): Promise<string> {
  return toBase64Url(await hmacSha256(ctx.config.JWT_SECRET, `${label}:${nonce}`))
}
