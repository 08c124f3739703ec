// Who is asking. Tokens are checked without a database round trip.
import { createMiddleware } from 'hono/factory'
import { type JWTPayload, jwtVerify, SignJWT } from 'jose'
import * as z from 'zod'
import type { Actor, Scope } from '#kernel/actor'
import { addSeconds } from '#kernel/clock'
import { AppError } from '#kernel/errors'
import { type Role, roles } from '#kernel/vocabulary'
import { type Config, requireSettings } from '#platform/config'
import { actingAs, type Ctx } from '#platform/context'
import { equalSecrets } from '#platform/crypto'
import type { AppEnv } from './router'

export const ACCESS_TOKEN_SECONDS = 15 * 60
const OPERATOR_TOKEN_SECONDS = 60 * 60
const ISSUER = 'inlet'

// Imported once per isolate: jose would import the raw secret for every token. The key is kept and not its promise, which
// would belong to the request that made it.
const keys = new WeakMap<Config, CryptoKey>()
async function keyOf({ config }: Ctx): Promise<CryptoKey> {
  const known = keys.get(config)
  if (known) return known
  const secret = new TextEncoder().encode(config.JWT_SECRET)
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
    'verify',
  ])
  keys.set(config, key)
  return key
}

// A signed token still comes from outside: what it claims is parsed like any input.
const userClaims = z.object({ sub: z.uuid(), org: z.uuid(), role: z.enum(roles), sid: z.uuid() })
const operatorClaims = z.object({ sub: z.string().min(1).max(200) })

export function signUserToken(
  ctx: Ctx,
  user: { id: string; org_id: string; role: Role; session_id: string },
): Promise<string> {
  return sign(
    ctx,
    'user',
    ACCESS_TOKEN_SECONDS,
    { org: user.org_id, role: user.role, sid: user.session_id },
    user.id,
  )
}

export async function signOperatorToken(
  ctx: Ctx,
  username: string,
): Promise<{ access_token: string; expires_in: number }> {
  return {
    access_token: await sign(ctx, 'operator', OPERATOR_TOKEN_SECONDS, {}, username),
    expires_in: OPERATOR_TOKEN_SECONDS,
  }
}

async function sign(
  ctx: Ctx,
  audience: 'user' | 'operator',
  seconds: number,
  claims: JWTPayload,
  subject: string,
): Promise<string> {
  const now = ctx.clock.now()
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: '1' })
    .setIssuer(ISSUER)
    .setAudience(audience)
    .setSubject(subject)
    .setIssuedAt(Math.floor(now.getTime() / 1000))
    .setExpirationTime(Math.floor(addSeconds(now, seconds).getTime() / 1000))
    .sign(await keyOf(ctx))
}

async function verify(ctx: Ctx, token: string, audience: 'user' | 'operator'): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, await keyOf(ctx), {
    algorithms: ['HS256'],
    issuer: ISSUER,
    audience,
    typ: 'at+jwt',
    requiredClaims: ['sub', 'iat', 'exp'],
    maxTokenAge: audience === 'user' ? ACCESS_TOKEN_SECONDS : OPERATOR_TOKEN_SECONDS,
    currentDate: ctx.clock.now(),
  })
  return payload
}

function bearer(header: string | undefined): string {
  const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(header ?? '')?.[1]
  if (token === undefined)
    throw new AppError('unauthenticated', 'Send an access token: Authorization: Bearer …')
  return token
}

const refused = () => new AppError('unauthenticated', 'The access token is not valid or has expired.')

export type UserActor = Extract<Actor, { type: 'user' }>
type OperatorActor = Extract<Actor, { type: 'operator' }>

async function readUser(ctx: Ctx, header: string | undefined): Promise<UserActor> {
  const payload = await verify(ctx, bearer(header), 'user').catch((error: unknown) => {
    throw error instanceof AppError ? error : refused()
  })
  const claims = userClaims.safeParse(payload)
  if (!claims.success) throw refused()
  const { sub, org, role, sid } = claims.data
  return { type: 'user', user_id: sub, org_id: org, role, session_id: sid }
}

/** Any user of an organization, or only the given roles (403 for the others). */
export function requireUser(...allowed: Role[]) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const actor = await readUser(c.get('ctx'), c.req.header('Authorization'))
    if (allowed.length > 0 && !allowed.includes(actor.role))
      throw new AppError('forbidden', `This needs the role ${allowed.join(' or ')}.`)
    c.set('actor', actor)
    c.set('ctx', actingAs(c.get('ctx'), actor))
    await next()
  })
}

async function readOperator(ctx: Ctx, header: string | undefined): Promise<OperatorActor> {
  const payload = await verify(ctx, bearer(header), 'operator').catch((error: unknown) => {
    throw error instanceof AppError ? error : refused()
  })
  const claims = operatorClaims.safeParse(payload)
  if (!claims.success) throw refused()
  return { type: 'operator', username: claims.data.sub }
}

export const requireOperator = createMiddleware<AppEnv>(async (c, next) => {
  const actor = await readOperator(c.get('ctx'), c.req.header('Authorization'))
  c.set('actor', actor)
  c.set('ctx', actingAs(c.get('ctx'), actor))
  await next()
})

/**
 * HTTP Basic with the credentials that a provider was given for its webhooks. Wrong ones are 401 and never 403, which ends
 * Postmark's retries for good. Goes before the body is parsed: a stranger learns nothing about what would be accepted.
 */
export const requireWebhookBasic = createMiddleware<AppEnv>(async (c, next) => {
  const { WEBHOOK_USERNAME, WEBHOOK_PASSWORD } = requireSettings(
    c.get('ctx').config,
    'WEBHOOK_USERNAME',
    'WEBHOOK_PASSWORD',
  )
  const given = readBasic(c.req.header('Authorization'))
  if (given === null || !(await equalSecrets(given, `${WEBHOOK_USERNAME}:${WEBHOOK_PASSWORD}`)))
    throw new AppError('unauthenticated', 'The credentials are not those of this webhook.', {
      challenge: 'Basic realm="webhooks", charset="UTF-8"',
    })
  await next()
})

/** `name:password`, as RFC 7617 has it. */
function readBasic(header: string | undefined): string | null {
  const encoded = /^Basic ([A-Za-z0-9+/]{1,2000}={0,2})$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0)))
  } catch {
    return null
  }
}

/** Whose token a request bears, before its route has decided who may come in; `null`: nobody's. */
export async function readActor(ctx: Ctx, header: string | undefined): Promise<Actor | null> {
  const unlessRefused = (error: unknown) => {
    if (error instanceof AppError && error.code === 'unauthenticated') return null
    throw error
  }
  return (
    (await readUser(ctx, header).catch(unlessRefused)) ??
    (await readOperator(ctx, header).catch(unlessRefused))
  )
}

/** The signed-in user behind a context; the middleware has checked that there is one. */
export function userOf(ctx: Ctx): UserActor {
  if (ctx.actor.type !== 'user') throw new AppError('unauthenticated', 'Sign in first.')
  return ctx.actor
}

export function scopeOf(ctx: Ctx): Scope {
  const { org_id, user_id } = userOf(ctx)
  return { org_id, user_id, visibility: 'all' }
}
