import { and, eq, isNull, lt, or, sql } from 'drizzle-orm'
import { isUniqueViolation, q, raw } from '#db/client'
import { refresh_tokens, sessions, users } from '#db/schema/auth'
import { notifications } from '#db/schema/notifications'
import { organizations } from '#db/schema/organizations'
import type { UserOut } from './schema'

function selectUser() {
  return q
    .select({
      user: {
        id: users.id,
        email: users.email,
        name: users.name,
        role: users.role,
        created_at: users.created_at,
        last_login_at: users.last_login_at,
      },
      organization: { id: organizations.id, name: organizations.name, slug: organizations.slug },
      password_hash: users.password_hash,
      disabled_at: users.disabled_at,
    })
    .from(users)
    .innerJoin(organizations, eq(organizations.id, users.org_id))
}

export function findByEmail(email_norm: string) {
  return selectUser().where(eq(users.email_norm, email_norm))
}

export function findById(id: string) {
  return selectUser().where(eq(users.id, id))
}

/** A member whom work can be given to; `null` finds nobody. */
export function findMember(id: string | null) {
  return q
    .select({ id: users.id })
    .from(users)
    .where(id === null ? sql`false` : and(eq(users.id, id), isNull(users.disabled_at)))
}

export function isSlugTaken(slug: string) {
  return q.select({ id: organizations.id }).from(organizations).where(eq(organizations.slug, slug))
}

/** Organizations are made here and by the operator, both through the door past all organizations. */
export function insertOrganization(row: typeof organizations.$inferInsert) {
  return q.insert(organizations).values(row)
}

export function insertUser(row: typeof users.$inferInsert) {
  return q.insert(users).values(row)
}

export function insertSession(row: typeof sessions.$inferInsert) {
  return q.insert(sessions).values(row)
}

export function insertRefreshToken(row: typeof refresh_tokens.$inferInsert) {
  return q.insert(refresh_tokens).values(row)
}

export function markLogin(id: string, at: Date, password_hash: string | undefined) {
  return q
    .update(users)
    .set({ last_login_at: at, ...(password_hash === undefined ? {} : { password_hash }) })
    .where(eq(users.id, id))
}

/** Exactly once a user, whichever way the first token was issued. */
export function insertWelcome(row: { id: string; org_id: string; user_id: string; at: Date }) {
  return q
    .insert(notifications)
    .values({
      id: row.id,
      org_id: row.org_id,
      user_id: row.user_id,
      type: 'onboarding',
      entity_type: 'system',
      title: 'Welcome to Inlet',
      body: 'Connect a mailbox, and every inquiry that reaches it becomes a lead with a draft reply.',
      dedupe_key: `onboarding:${row.user_id}`,
      created_at: row.at,
    })
    .onConflictDoNothing({ target: [notifications.org_id, notifications.dedupe_key] })
}

export interface Rotation extends Record<string, unknown> {
  outcome: 'rotated' | 'grace' | 'expired' | 'reused'
  org_id: string
  session_id: string
  /** This call ended the session. */
  revoked: boolean
  user: Omit<UserOut, 'created_at' | 'last_login_at'> & { created_at: string; last_login_at: string | null }
}

/**
 * Consumes a refresh token and issues the next, or finds out that it was stolen, in one statement. No row: unknown.
 * The row lock lets two tabs in one after the other; the second sees a used token whose successor is not used yet.
 */
export function rotate(input: {
  hash: string
  next: string
  now: Date
  grace_seconds: number
  ttl_seconds: number
  audit: { id: string; actor_id: string; request_id: string | null; ip: string | null }
}) {
  const { audit } = input
  const now = sql`${input.now.toISOString()}::timestamptz`
  return raw<Rotation>(sql`
    with token as (
      select r.*, s.user_id, s.revoked_at, s.absolute_expires_at,
          (s.revoked_at is null and s.absolute_expires_at > ${now} and u.disabled_at is null) as live,
          jsonb_build_object('id', u.id, 'email', u.email, 'name', u.name, 'role', u.role,
            'organization', jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug),
            'created_at', u.created_at, 'last_login_at', u.last_login_at) as "user"
        from refresh_tokens r
        join sessions s on s.org_id = r.org_id and s.id = r.session_id
        join users u on u.org_id = s.org_id and u.id = s.user_id
        join organizations o on o.id = r.org_id
        where r.hash = ${input.hash} for update of r),
    verdict as (
      select token.*, case
          when used_at is null and live and expires_at > ${now} then 'rotated'
          when used_at is null then 'expired'
          when live and used_at >= ${now} - make_interval(secs => ${input.grace_seconds})
            and not exists (select from refresh_tokens n where n.hash = token.replaced_by and n.used_at is not null) then 'grace'
          else 'reused' end as outcome from token),
    used as (
      update refresh_tokens r set used_at = ${now}, replaced_by = ${input.next}
        from verdict v where r.hash = v.hash and v.outcome = 'rotated'),
    issued as (
      insert into refresh_tokens (hash, org_id, session_id, issued_at, expires_at)
        select ${input.next}, org_id, session_id, ${now}, least(${now} + make_interval(secs => ${input.ttl_seconds}), absolute_expires_at)
          from verdict where outcome = 'rotated'),
    revoked as (
      update sessions s set revoked_at = ${now}, revoke_reason = 'refresh_reuse'
        from verdict v where s.org_id = v.org_id and s.id = v.session_id and v.outcome = 'reused' and s.revoked_at is null
        returning s.org_id, s.id),
    audited as (
      insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id, fields, request_id, ip)
        select org_id, ${audit.id}::uuid, ${now}, 'system', ${audit.actor_id}, 'session.revoked', 'session', id, '{refresh_reuse}',
          ${audit.request_id}, ${audit.ip} from revoked)
    select outcome, org_id, session_id, exists (select from revoked) as revoked, "user" from verdict`)
}

export function revokeSession(id: string, at: Date, reason: string) {
  return q
    .update(sessions)
    .set({ revoked_at: at, revoke_reason: reason })
    .where(and(eq(sessions.id, id), isNull(sessions.revoked_at)))
}

/** Sessions that nobody can continue any more; their refresh tokens go with them. */
export function trimSessions(before: Date) {
  return q
    .delete(sessions)
    .where(or(lt(sessions.absolute_expires_at, before), lt(sessions.revoked_at, before)))
}

export function trimRefreshTokens(before: Date) {
  return q.delete(refresh_tokens).where(lt(refresh_tokens.expires_at, before))
}

export function isKnownAddress(error: unknown): boolean {
  return isUniqueViolation(error, 'users_email_norm')
}

export function isTakenSlug(error: unknown): boolean {
  return isUniqueViolation(error, 'organizations_slug_unique')
}
