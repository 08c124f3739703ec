// The authorization code flow with PKCE, the same for every provider; oauth4webapi does the protocol.
import * as oauth from 'oauth4webapi'
import { addSeconds } from '#kernel/clock'
import { type Failure, fail, type Result, succeed } from '#kernel/failure'
import type { Ctx } from '#platform/context'
import type { Grant, Tokens } from './contract'

export interface OAuthEndpoints {
  issuer: string
  token_url: string
  client_id: string
  client_secret: string
  redirect_uri: string
}

/** Carries a missing answer through the library. */
class NoAnswer extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.code)
    this.failure = failure
  }
}

// A refresh that hangs holds everything that waits for it.
const TOKEN_TIMEOUT_MS = 10_000

function options(ctx: Ctx) {
  return {
    // Emulators and sovereign installations decide their own scheme; production's defaults are https.
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: async (
      url: string,
      init: { method: string; headers: Record<string, string>; body: URLSearchParams },
    ) => {
      const answer = await ctx.http.request(url, {
        method: init.method,
        headers: init.headers,
        body: init.body,
        timeout_ms: TOKEN_TIMEOUT_MS,
      })
      if (!answer.ok) throw new NoAnswer(answer.failure)
      return new Response(answer.value.text, { status: answer.value.status, headers: answer.value.headers })
    },
  }
}

export async function exchangeCode(
  ctx: Ctx,
  endpoints: OAuthEndpoints,
  params: URLSearchParams,
  expected: { state: string; nonce: string; code_verifier: string },
): Promise<Result<Grant>> {
  const server = { issuer: endpoints.issuer, token_endpoint: endpoints.token_url }
  const client = { client_id: endpoints.client_id }
  try {
    const callback = oauth.validateAuthResponse(server, client, params, expected.state)
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      oauth.ClientSecretPost(endpoints.client_secret),
      callback,
      endpoints.redirect_uri,
      expected.code_verifier,
      options(ctx),
    )
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: expected.nonce,
      requireIdToken: true,
    })
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    if (!claims || typeof claims.email !== 'string')
      return fail('permanent', 'no_identity', 'The provider did not say whose account it is.')
    return succeed({
      ...read(ctx, tokens),
      refresh_token: tokens.refresh_token ?? null,
      scopes: (tokens.scope ?? '').split(' ').filter((scope) => scope !== ''),
      account: { subject: claims.sub, email: claims.email },
    })
  } catch (error) {
    return describeOAuthError(ctx, error, 'grant_refused', 'permanent')
  }
}

/** Rotating providers answer with a new refresh token; the others keep the old one. */
export async function refreshTokens(
  ctx: Ctx,
  endpoints: OAuthEndpoints,
  refresh_token: string,
): Promise<Result<Tokens>> {
  const server = { issuer: endpoints.issuer, token_endpoint: endpoints.token_url }
  const client = { client_id: endpoints.client_id }
  try {
    const response = await oauth.refreshTokenGrantRequest(
      server,
      client,
      oauth.ClientSecretPost(endpoints.client_secret),
      refresh_token,
      options(ctx),
    )
    const tokens = await oauth.processRefreshTokenResponse(server, client, response)
    return succeed({ ...read(ctx, tokens), refresh_token: tokens.refresh_token ?? refresh_token })
  } catch (error) {
    return describeOAuthError(ctx, error, 'grant_dead', 'auth')
  }
}

function read(ctx: Ctx, tokens: oauth.TokenEndpointResponse): { access_token: string; expires_at: string } {
  return {
    access_token: tokens.access_token,
    expires_at: addSeconds(ctx.clock.now(), tokens.expires_in ?? 3600).toISOString(),
  }
}

/** `invalid_grant` is the person's doing; `invalid_client` is our own setting, and must disconnect nobody. */
function describeOAuthError(
  ctx: Ctx,
  error: unknown,
  refused: string,
  kind: 'auth' | 'permanent',
): { ok: false; failure: Failure } {
  if (error instanceof NoAnswer) return { ok: false, failure: error.failure }
  if (error instanceof oauth.ResponseBodyError) {
    if (error.error === 'invalid_grant') return fail(kind, refused, 'The provider refused the grant.')
    if (error.error === 'invalid_client' || error.error === 'unauthorized_client') {
      return fail('permanent', 'invalid_client', 'The provider refused our client id or secret.')
    }
    if (error.status >= 500 || error.status === 429)
      return fail('transient', 'provider_unavailable', `The provider answered ${error.status}.`)
    return fail('permanent', refused, 'The provider refused the request.')
  }
  if (error instanceof oauth.AuthorizationResponseError)
    return fail(
      'permanent',
      error.error === 'access_denied' ? 'access_denied' : refused,
      'The authorization was not given.',
    )
  if (error instanceof oauth.OperationProcessingError && error.cause instanceof Response) {
    const { status } = error.cause
    if (status >= 500 || status === 429)
      return fail('transient', 'provider_unavailable', `The provider answered ${status}.`)
  }
  // A wrong issuer or key set is a setting of the operator, who finds its name here.
  if (error instanceof oauth.OperationProcessingError)
    ctx.log.warn('oauth.unreadable_answer', { code: error.code ?? error.name, reason: error.message })
  return fail('transient', 'unreadable_answer', 'The answer of the provider cannot be read.')
}
