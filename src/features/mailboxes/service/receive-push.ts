// Gmail's push: who sent it is verified, what it says is only a hint.
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import * as z from 'zod'
import { AppError, invalidField } from '#kernel/errors'
import { normalizeEmail } from '#kernel/email-address'
import { type Config, requireSettings } from '#platform/config'
import type { Ctx } from '#platform/context'
import { equalSecrets, fromBase64Url } from '#platform/crypto'
import * as repo from '../repo'

const pushedData = z.object({
  emailAddress: z.string().max(320),
  historyId: z.union([z.string(), z.number()]),
})
const pushClaims = z.object({ email: z.string(), email_verified: z.literal(true) })

// Google's tokens live an hour; its keys are cached by jose and fetched again for an unknown key id.
const keySets = new WeakMap<Config, ReturnType<typeof createRemoteJWKSet>>()

function keySetOf(ctx: Ctx): ReturnType<typeof createRemoteJWKSet> {
  let keys = keySets.get(ctx.config)
  if (!keys) {
    const { http } = ctx
    keys = createRemoteJWKSet(new URL(ctx.config.GOOGLE_JWKS_URL), {
      [customFetch]: async (url: string) => {
        const answer = await http.request(url, { timeout_ms: 5000 })
        if (!answer.ok)
          throw new AppError('unavailable', 'The keys of the push cannot be fetched.', {
            retry_after_seconds: 10,
          })
        return new Response(answer.value.text, { status: answer.value.status, headers: answer.value.headers })
      },
    })
    keySets.set(ctx.config, keys)
  }
  return keys
}

/** Throws `unauthenticated` unless it is Google's signed push of our own subscription. */
export async function verifyPush(
  ctx: Ctx,
  authorization: string | undefined,
  secret: string | undefined,
): Promise<void> {
  const settings = requireSettings(
    ctx.config,
    'GOOGLE_PUBSUB_AUDIENCE',
    'GOOGLE_PUBSUB_SERVICE_ACCOUNT',
    'GMAIL_WEBHOOK_SECRET',
  )
  const refused = new AppError('unauthenticated', 'The push is not signed as it should be.')
  if (!(await equalSecrets(secret ?? '', settings.GMAIL_WEBHOOK_SECRET))) throw refused
  const token = /^Bearer (\S+)$/.exec(authorization ?? '')?.[1]
  if (token === undefined) throw refused
  const verified = await jwtVerify(token, keySetOf(ctx), {
    algorithms: ['RS256'],
    issuer: [ctx.config.GOOGLE_ISSUER, ctx.config.GOOGLE_ISSUER.replace(/^https?:\/\//, '')],
    audience: settings.GOOGLE_PUBSUB_AUDIENCE,
    requiredClaims: ['exp', 'iat'],
    clockTolerance: 30,
    currentDate: ctx.clock.now(),
  }).catch((error: unknown) => {
    throw error instanceof AppError ? error : refused
  })
  const claims = pushClaims.safeParse(verified.payload)
  if (
    !claims.success ||
    claims.data.email.toLowerCase() !== settings.GOOGLE_PUBSUB_SERVICE_ACCOUNT.toLowerCase()
  )
    throw refused
}

/** Wakes every mailbox of that address. The pushed history id is not used: each object goes on from its own cursor. */
export async function receivePush(ctx: Ctx, data: string): Promise<{ woken: number }> {
  const pushed = readPushed(data)
  const email_norm = normalizeEmail(pushed.emailAddress)
  if (email_norm === null) return { woken: 0 }
  const [found] = await ctx.db.nobody().batch([repo.findByAddress('google', email_norm)])
  const woken = await Promise.all(found.rows.map(({ mailbox_id }) => ctx.mailboxes(mailbox_id).poke()))
  if (woken.some((result) => !result.ok))
    throw new AppError('unavailable', 'The mailbox could not be woken.', { retry_after_seconds: 10 })
  return { woken: woken.length }
}

function readPushed(data: string): z.infer<typeof pushedData> {
  try {
    return pushedData.parse(JSON.parse(new TextDecoder().decode(fromBase64Url(data))))
  } catch {
    throw invalidField('message.data', 'is not the base64 of a Gmail notification')
  }
}
