import { ACCESS_TOKEN_SECONDS, requireUser, signOperatorToken, signUserToken, userOf } from '#http/auth'
import { createRoute, emptyResponses, jsonBody, responses, userSecurity } from '#http/openapi'
import { createRouter } from '#http/router'
import type { Ctx } from '#platform/context'
import {
  credentials,
  operatorCredentials,
  operatorToken,
  refreshRequest,
  registration,
  tokens,
  userOut,
} from './schema'
import { type Issued, login, logout, me, operatorLogin, refresh, register } from './service'

const tags = ['Accounts']

const registerRoute = createRoute({
  method: 'post',
  path: '/auth/register',
  tags,
  summary: 'Make an organization and its owner',
  description:
    'An address has one account in the whole installation; a known one is 409. 403 where registration is closed.',
  request: { body: jsonBody(registration) },
  responses: responses(201, tokens, 400, 403, 409, 413, 429),
})

const loginRoute = createRoute({
  method: 'post',
  path: '/auth/login',
  tags,
  summary: 'Sign in with a password',
  description: 'A wrong password and an unknown address are answered alike. Limited per address and per IP.',
  request: { body: jsonBody(credentials) },
  responses: responses(200, tokens, 400, 401, 413, 429),
})

const refreshRoute = createRoute({
  method: 'post',
  path: '/auth/refresh',
  tags,
  summary: 'Exchange a refresh token for the next pair',
  description:
    'A refresh token works once. Used again within 10 seconds, while the token that it was exchanged for is unused, it is 409 and nothing changes; used again in any other case it is 401 and the session ends with all its tokens.',
  request: { body: jsonBody(refreshRequest) },
  responses: responses(200, tokens, 400, 401, 409, 413),
})

const logoutRoute = createRoute({
  method: 'post',
  path: '/auth/logout',
  tags,
  summary: 'End the session of this token',
  description: 'Access tokens that were issued already live out their 15 minutes.',
  security: userSecurity,
  middleware: requireUser(),
  responses: emptyResponses(401),
})

const meRoute = createRoute({
  method: 'get',
  path: '/auth/me',
  tags,
  summary: 'The signed-in user, with organization and role',
  security: userSecurity,
  middleware: requireUser(),
  responses: responses(200, userOut, 401),
})

const operatorLoginRoute = createRoute({
  method: 'post',
  path: '/admin/login',
  tags: ['Operator'],
  summary: 'Sign in as the operator of the installation',
  request: { body: jsonBody(operatorCredentials) },
  responses: responses(200, operatorToken, 400, 401, 413, 429),
})

// Tokens must not stay in any cache (RFC 6749 §5.1).
const noStore = { 'Cache-Control': 'no-store' }

async function toTokens(ctx: Ctx, { user, session_id, refresh_token }: Issued) {
  const { id, role, organization } = user
  return {
    access_token: await signUserToken(ctx, { id, org_id: organization.id, role, session_id }),
    refresh_token,
    token_type: 'bearer' as const,
    expires_in: ACCESS_TOKEN_SECONDS,
    user,
  }
}

export const authRoutes = createRouter()
  .openapi(registerRoute, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await toTokens(ctx, await register(ctx, c.req.valid('json'))), 201, noStore)
  })
  .openapi(loginRoute, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await toTokens(ctx, await login(ctx, c.req.valid('json'))), 200, noStore)
  })
  .openapi(refreshRoute, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await toTokens(ctx, await refresh(ctx, c.req.valid('json').refresh_token)), 200, noStore)
  })
  .openapi(logoutRoute, async (c) => {
    const ctx = c.get('ctx')
    await logout(ctx, userOf(ctx))
    return c.body(null, 204)
  })
  .openapi(meRoute, async (c) => {
    const ctx = c.get('ctx')
    return c.json(await me(ctx, userOf(ctx)), 200)
  })

/** At the root. */
export const operatorLoginRoutes = createRouter().openapi(operatorLoginRoute, async (c) => {
  const ctx = c.get('ctx')
  const username = await operatorLogin(ctx, c.req.valid('json'))
  return c.json({ ...(await signOperatorToken(ctx, username)), token_type: 'bearer' as const }, 200, noStore)
})
