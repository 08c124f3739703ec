import { AppError } from '#kernel/errors'
import { isOpen, probeIfDue } from '#platform/breaker'
import type { Config } from '#platform/config'
import type { Ctx } from '#platform/context'
import { sha256Hex } from '#platform/crypto'
import { flushAll } from '#platform/ingest-flush'
import { ipSubject, refuseKnown, refuseTaken, slotFor, takeSlots } from '#platform/rate-limit'
import { idAt, idsToBytes, joinBytes, readToken, signToken, type TokenKind } from '#platform/signed-token'

/** What a bearer token says of its bearer. The database has the last word: it may be revoked. */
export interface SiteToken {
  org_id: string
  id: string
  hash: string
  /** Made by us, as far as our present keys can tell: it may be trusted while the database is down. */
  proven: boolean
}

const ID_BYTES = 16
const RANDOM_BYTES = 16

const kind: TokenKind = {
  purpose: 'site-token',
  alphabet: 'base64url',
  body_bytes: 2 * ID_BYTES + RANDOM_BYTES,
  mac_bytes: 16,
  prefix: 'inlet_site_',
}

export async function makeSiteToken(
  config: Config,
  org_id: string,
  id: string,
): Promise<{ token: string; hash: string; hint: string }> {
  const random = crypto.getRandomValues(new Uint8Array(RANDOM_BYTES))
  const token = await signToken(config, kind, joinBytes(idsToBytes(org_id, id), random))
  return { token, hash: await sha256Hex(token), hint: token.slice(-4) }
}

// A backend sends the same one with every lead. Proven ones only, so that nobody else fills it; revoking is the database's.
const known = new WeakMap<Config, Map<string, SiteToken>>()
const MAX_KNOWN = 1000

/** `null`: no site token, or forged. */
export async function readSiteToken(
  config: Config,
  authorization: string | undefined,
): Promise<SiteToken | null> {
  const token = /^Bearer +(\S{1,200})$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) return null
  const ofConfig = known.get(config) ?? new Map<string, SiteToken>()
  known.set(config, ofConfig)
  const before = ofConfig.get(token)
  if (before) return before
  const read = await readToken(config, kind, token)
  if (read === null) return null
  const { body, proven } = read
  const site = { org_id: idAt(body, 0), id: idAt(body, ID_BYTES), hash: await sha256Hex(token), proven }
  if (ofConfig.size >= MAX_KNOWN) ofConfig.clear()
  if (proven) ofConfig.set(token, site)
  return site
}

/** The same to everybody: whoever tries tokens learns nothing from it. */
export function siteTokenRefused(): AppError {
  return new AppError('unauthenticated', 'Send a valid site token: Authorization: Bearer inlet_site_…')
}

const UNPROVEN_WITHIN_MS = 2500

/** Each try costs the database a look, so strangers get so many. One more round trip, for tokens whose key is gone. */
export async function countUnproven(ctx: Ctx): Promise<void> {
  const limit = ctx.config.RATE_LIMIT_FORM_ORGANIZATION_PER_MINUTE
  const slots = [await slotFor(ctx, 'site token', ipSubject(ctx.origin.ip), limit)]
  refuseKnown(ctx, slots)
  if (isOpen(ctx)) {
    // Where all tokens are like this one, nobody else asks whether the database is back.
    probeIfDue(ctx, () => flushAll(ctx))
    throw unjudged()
  }
  const [answer] = await ctx.db
    .within(UNPROVEN_WITHIN_MS)
    .nobody()
    .batch([takeSlots(slots)])
  refuseTaken(ctx, slots, answer)
}

/** Only the database knows it, and nobody fills the buffer with what it would refuse. */
export function unjudged(): AppError {
  return new AppError('unavailable', 'The token cannot be checked now. Please try again.', {
    retry_after_seconds: 5,
  })
}
