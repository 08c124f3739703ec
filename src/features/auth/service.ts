import { recordAudit, truncateIp } from '#features/audit'
import { systemDb } from '#db/system'
import { actingAs, type Ctx } from '#platform/context'
import { equalSecrets, randomToken, sha256Hex } from '#platform/crypto'
import { keepInDirectory } from '#platform/directory'
import { hashPassword, verifyPassword } from '#platform/password'
import { ipSubject, refuseKnown, refuseTaken, type Slot, slotFor, takeSlots } from '#platform/rate-limit'
import { actorId } from '#kernel/actor'
import { addSeconds } from '#kernel/clock'
import { normalizeEmail } from '#kernel/email-address'
import { AppError } from '#kernel/errors'
import { slugFrom, slugWithSuffix } from '#kernel/slug'
import * as repo from './repo'
import type { Credentials, Registration, UserOut } from './schema'

const REFRESH_SECONDS = 7 * 86_400
const SESSION_SECONDS = 30 * 86_400
/** Two tabs of one browser refresh at the same moment; a thief is not that quick. */
const GRACE_SECONDS = 10

/** What a route makes a token answer of. */
export interface Issued {
  user: UserOut
  session_id: string
  refresh_token: string
}

export async function register(ctx: Ctx, input: Registration): Promise<Issued> {
  if (ctx.config.REGISTRATION === 'closed')
    throw new AppError('forbidden', 'Accounts are made by the operator here.')
  const email_norm = normalizeEmail(input.email) ?? input.email
  const organization_name = input.organization_name ?? input.name
  const slug = slugFrom(organization_name)
  const slots = [await loginSlot(ctx, 'register-ip', ipSubject(ctx.origin.ip))]
  refuseKnown(ctx, slots)
  const [waits, known, taken] = await systemDb(ctx).batch([
    takeSlots(slots),
    repo.findByEmail(email_norm),
    repo.isSlugTaken(slug),
  ])
  refuseTaken(ctx, slots, waits)
  if (known.length > 0) throw addressTaken()
  const password_hash = await hashPassword(peppers(ctx), input.password)
  const account = { ...input, organization_name, email_norm, password_hash }
  const insert = (free: string) =>
    insertAccount(ctx, { ...account, slug: free }).catch((error: unknown) => {
      throw repo.isKnownAddress(error) ? addressTaken() : error
    })
  const other = () => insert(slugWithSuffix(slug, ctx.newId()))
  if (taken.length > 0) return other()
  return insert(slug).catch((error: unknown) => {
    if (repo.isTakenSlug(error)) return other()
    throw error
  })
}

function addressTaken(): AppError {
  return new AppError('conflict', 'This e-mail address has an account already. Sign in instead.')
}

async function insertAccount(
  ctx: Ctx,
  input: Registration & {
    organization_name: string
    email_norm: string
    password_hash: string
    slug: string
  },
): Promise<Issued> {
  const now = ctx.clock.now()
  const organization = { id: ctx.newId(), name: input.organization_name, slug: input.slug }
  const { name, email, email_norm, password_hash } = input
  const person = { id: ctx.newId(), name, email, role: 'owner' as const, created_at: now }
  const user: UserOut = { ...person, organization, last_login_at: null }
  const session = await openSession(ctx, user, { action: 'user.registered' })
  await systemDb(ctx).batch([
    repo.insertOrganization({ ...organization, created_at: now, updated_at: now }),
    repo.insertUser({ ...person, org_id: organization.id, email_norm, password_hash }),
    recordAudit(session.ctx, {
      org_id: organization.id,
      action: 'organization.created',
      entity: 'organization',
      entity_id: organization.id,
    }),
    ...session.statements,
  ])
  keepInDirectory(ctx, { ...organization, updated_at: now })
  return session.issued
}

export async function login(ctx: Ctx, { email, password }: Credentials): Promise<Issued> {
  const email_norm = normalizeEmail(email) ?? email.trim().toLowerCase()
  const slots = [
    await loginSlot(ctx, 'login-address', email_norm),
    await loginSlot(ctx, 'login-ip', ipSubject(ctx.origin.ip)),
  ]
  refuseKnown(ctx, slots)
  const [waits, rows] = await systemDb(ctx).batch([
    takeSlots(slots),
    repo.findByEmail(withoutNul(email_norm)),
  ])
  // Before hashing: a refused attempt must cost nothing.
  refuseTaken(ctx, slots, waits)
  const row = rows[0]
  // An unknown address is hashed as well, so that the time tells nothing.
  const verdict = await verifyPassword(peppers(ctx), password, row?.password_hash ?? null)
  if (!row || !verdict.ok || row.disabled_at !== null) {
    throw new AppError('unauthenticated', 'The e-mail address or the password is wrong.')
  }
  const password_hash = verdict.needs_rehash ? await hashPassword(peppers(ctx), password) : undefined
  const user: UserOut = { ...row.user, organization: row.organization }
  const session = await openSession(ctx, user, { action: 'user.signed_in', password_hash })
  await ctx.db.org({ org_id: row.organization.id, visibility: 'all' }).batch(session.statements)
  return session.issued
}

/** A session, its first refresh token and, with the first token ever, the welcome: batch `statements` in one transaction. */
async function openSession(
  ctx: Ctx,
  user: UserOut,
  { action, password_hash }: { action: string; password_hash?: string | undefined },
) {
  const now = ctx.clock.now()
  const org_id = user.organization.id
  const session_id = ctx.newId()
  const refresh_token = randomToken()
  const acting = actingAs(ctx, { type: 'user', org_id, user_id: user.id, role: user.role, session_id })
  const welcome =
    user.last_login_at === null
      ? [repo.insertWelcome({ id: ctx.newId(), org_id, user_id: user.id, at: now })]
      : []
  return {
    ctx: acting,
    issued: { user: { ...user, last_login_at: now }, session_id, refresh_token },
    statements: [
      repo.markLogin(user.id, now, password_hash),
      repo.insertSession({
        id: session_id,
        org_id,
        user_id: user.id,
        created_at: now,
        absolute_expires_at: addSeconds(now, SESSION_SECONDS),
      }),
      repo.insertRefreshToken({
        hash: await sha256Hex(refresh_token),
        org_id,
        session_id,
        issued_at: now,
        expires_at: addSeconds(now, REFRESH_SECONDS),
      }),
      recordAudit(acting, { org_id, action, entity: 'user', entity_id: user.id }),
      ...welcome,
    ] as const,
  }
}

export async function refresh(ctx: Ctx, refresh_token: string): Promise<Issued> {
  const next = randomToken()
  const [answer] = await systemDb(ctx).batch([
    repo.rotate({
      hash: await sha256Hex(refresh_token),
      next: await sha256Hex(next),
      now: ctx.clock.now(),
      grace_seconds: GRACE_SECONDS,
      ttl_seconds: REFRESH_SECONDS,
      audit: {
        id: ctx.newId(),
        actor_id: actorId(ctx.actor),
        request_id: ctx.origin.request_id,
        ip: truncateIp(ctx.origin.ip),
      },
    }),
  ])
  const rotation = answer.rows[0]
  if (rotation?.outcome === 'rotated') {
    const { created_at, last_login_at, ...user } = rotation.user
    const times = {
      created_at: new Date(created_at),
      last_login_at: last_login_at ? new Date(last_login_at) : null,
    }
    return { user: { ...user, ...times }, session_id: rotation.session_id, refresh_token: next }
  }
  if (rotation?.outcome === 'grace') {
    throw new AppError(
      'conflict',
      'This refresh token has just been used. Use the one that it was exchanged for.',
    )
  }
  if (rotation?.revoked) {
    const { org_id, session_id } = rotation
    ctx.log.warn('auth.refresh_reuse', { org_id, session_id })
  }
  throw new AppError('unauthenticated', 'The refresh token is not valid any more. Please sign in again.')
}

export async function logout(
  ctx: Ctx,
  who: { org_id: string; user_id: string; session_id: string },
): Promise<void> {
  const { org_id, user_id, session_id } = who
  await ctx.db
    .org({ org_id, visibility: 'all' })
    .batch([
      repo.revokeSession(session_id, ctx.clock.now(), 'signed_out'),
      recordAudit(ctx, { org_id, action: 'user.signed_out', entity: 'user', entity_id: user_id }),
    ])
}

export async function me(ctx: Ctx, who: { org_id: string; user_id: string }): Promise<UserOut> {
  const [rows] = await ctx.db
    .org({ org_id: who.org_id, visibility: 'all' })
    .batch([repo.findById(who.user_id)])
  const row = rows[0]
  if (!row || row.disabled_at !== null)
    throw new AppError('unauthenticated', 'This account does not exist any more.')
  return { ...row.user, organization: row.organization }
}

/** The username of the operator, when both are right. */
export async function operatorLogin(
  ctx: Ctx,
  given: { username: string; password: string },
): Promise<string> {
  const { ADMIN_USERNAME, ADMIN_PASSWORD } = ctx.config
  const slots = [await loginSlot(ctx, 'operator-ip', ipSubject(ctx.origin.ip))]
  refuseKnown(ctx, slots)
  const [waits] = await systemDb(ctx).batch([takeSlots(slots)])
  refuseTaken(ctx, slots, waits)
  const [username, password] = await Promise.all([
    equalSecrets(given.username, ADMIN_USERNAME),
    equalSecrets(given.password, ADMIN_PASSWORD),
  ])
  if (!username || !password) {
    ctx.log.warn('auth.operator_refused')
    throw new AppError('unauthenticated', 'The username or the password is wrong.')
  }
  ctx.log.info('auth.operator_signed_in')
  return ADMIN_USERNAME
}

function loginSlot(ctx: Ctx, kind: string, subject: string): Promise<Slot> {
  return slotFor(ctx, kind, subject, ctx.config.RATE_LIMIT_LOGIN_PER_MINUTE)
}

function peppers(ctx: Ctx) {
  return { current: ctx.config.ENCRYPTION_KEY, previous: ctx.config.ENCRYPTION_KEY_PREVIOUS }
}

function withoutNul(text: string): string {
  return text.replaceAll('\u0000', '')
}
