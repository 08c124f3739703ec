// Google's sign-in, stricter than the emulator: the redirect URI is checked again, either kind of token can be
// revoked, and what was issued is remembered.
import { decodeJwt } from 'jose'
import type { Stats } from '../faults.ts'
import type { HostedEmulator } from '../host.ts'
import { consentPage, readConsent, splitScopes } from './consent.ts'
import { oauthError } from './errors.ts'
import type { SigningKey } from './keys.ts'
import type { TokenBook } from './tokens.ts'

interface OAuthParts {
  hosted: HostedEmulator
  tokens: TokenBook
  key: SigningKey
  stats: Stats
  /** Those that the consent page offers. */
  accounts: string[]
}

interface TokenAnswer {
  access_token: string
  refresh_token?: string
  id_token?: string
  scope: string
  expires_in: number
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** Answers what belongs to the sign-in; undefined for everything else. */
export async function handleOAuth(
  request: Request,
  url: URL,
  parts: OAuthParts,
): Promise<Response | undefined> {
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /o/oauth2/v2/auth':
      return await showConsent(request, url, parts)
    case 'POST /o/oauth2/v2/auth/callback':
      return await submitConsent(request, url, parts)
    case 'POST /oauth2/token':
      return await issue(request, url, parts)
    case 'POST /oauth2/revoke':
      return await revoke(request, url, parts)
    case 'GET /oauth2/v3/certs':
      return await keySet(request, parts)
    default:
      return undefined
  }
}

async function showConsent(request: Request, url: URL, { hosted, accounts }: OAuthParts): Promise<Response> {
  // The emulator checks the client and its redirect URI.
  const checked = await hosted.app.fetch(request)
  if (checked.status !== 200) return checked
  if (url.searchParams.get('response_type') !== 'code' || !url.searchParams.get('scope')) {
    return new Response('Error 400: invalid_request (response_type=code and scope are required)', {
      status: 400,
    })
  }
  return consentPage(url, accounts)
}

async function submitConsent(request: Request, url: URL, { hosted }: OAuthParts): Promise<Response> {
  const consent = readConsent(await request.text())
  if (consent.kind === 'refused')
    return new Response(null, { status: 302, headers: { location: consent.location } })
  return await hosted.app.fetch(new Request(url, { method: 'POST', headers: FORM, body: consent.form }))
}

async function issue(
  request: Request,
  url: URL,
  { hosted, tokens, key, stats }: OAuthParts,
): Promise<Response> {
  const form = await formOf(request)
  takeBasicCredentials(request, form)
  const grantType = form.get('grant_type') ?? ''
  stats.count('tokens', grantType)
  const pending = (
    hosted.store._data.get('google.oauth.pendingCodes') as Map<string, { redirectUri: string }> | undefined
  )?.get(form.get('code') ?? '')
  if (grantType === 'authorization_code' && pending && pending.redirectUri !== form.get('redirect_uri')) {
    return oauthError(400, 'redirect_uri_mismatch', 'Bad Request')
  }
  const response = await hosted.app.fetch(new Request(url, { method: 'POST', headers: FORM, body: form }))
  if (response.status !== 200) {
    const failure = (await response.json()) as { error: string; error_description?: string }
    if (failure.error === 'invalid_grant' && grantType === 'refresh_token') {
      return oauthError(400, 'invalid_grant', 'Token has been expired or revoked.')
    }
    return Response.json(failure, { status: response.status })
  }
  const answer = (await response.json()) as TokenAnswer
  const email = hosted.tokens.get(answer.access_token)?.login ?? ''
  tokens.learn(answer.access_token, {
    email,
    client_id: form.get('client_id') ?? '',
    scopes: splitScopes(answer.scope),
    expires_at: Date.now() + answer.expires_in * 1000,
  })
  // The emulator signs with a key that lives as long as its process; ours stays.
  if (answer.id_token) answer.id_token = await key.sign(decodeJwt(answer.id_token))
  return Response.json(answer, { headers: { 'cache-control': 'no-store' } })
}

async function revoke(request: Request, url: URL, { tokens }: OAuthParts): Promise<Response> {
  const token = (await formOf(request)).get('token') ?? url.searchParams.get('token') ?? ''
  if (!tokens.revokeToken(token)) return oauthError(400, 'invalid_token', 'Token expired or revoked')
  return Response.json({})
}

async function keySet(request: Request, { hosted, key }: OAuthParts): Promise<Response> {
  const { keys } = (await (await hosted.app.fetch(request)).json()) as { keys: unknown[] }
  return Response.json(
    { keys: [...keys, key.publicJwk] },
    { headers: { 'cache-control': 'public, max-age=3600' } },
  )
}

async function formOf(request: Request): Promise<URLSearchParams> {
  const text = await request.text()
  if (!request.headers.get('content-type')?.includes('application/json')) return new URLSearchParams(text)
  try {
    return new URLSearchParams(JSON.parse(text) as Record<string, string>)
  } catch {
    return new URLSearchParams()
  }
}

/** Google takes the client's credentials from the header as well; the emulator reads only the form. */
function takeBasicCredentials(request: Request, form: URLSearchParams): void {
  const basic = /^Basic\s+(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  if (!basic || form.has('client_id')) return
  const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString('utf8').split(':')
  form.set('client_id', decodeURIComponent(id))
  form.set('client_secret', decodeURIComponent(secret))
}
