// For tests: what a client of Google's sign-in and of Gmail does.
import { createHash, randomBytes } from 'node:crypto'

export const MODIFY = 'https://www.googleapis.com/auth/gmail.modify'
export const SALES = 'sales@inlet.test'

interface Tokens {
  access_token: string
  refresh_token: string
  id_token: string
  scope: string
  error?: string
}

export const mime = (lines: string[]) => Buffer.from(lines.join('\r\n')).toString('base64url')

export function googleClient(url: () => string) {
  const control = async (name: string, body: unknown) =>
    await (await fetch(`${url()}/_shim/${name}`, { method: 'POST', body: JSON.stringify(body) })).json()

  async function consent(
    fields: Record<string, string>,
    email = SALES,
  ): Promise<{ location: URL; verifier: string }> {
    const verifier = randomBytes(32).toString('base64url')
    const response = await fetch(`${url()}/o/oauth2/v2/auth/callback`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({
        email,
        redirect_uri: 'http://127.0.0.1/back',
        scope: `openid email ${MODIFY}`,
        state: 's',
        client_id: 'cid',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
        ...fields,
      }),
    })
    return { location: new URL(response.headers.get('location') ?? ''), verifier }
  }

  async function token(form: Record<string, string>): Promise<Tokens & { status: number }> {
    const response = await fetch(`${url()}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'cid', client_secret: 'sec', ...form }),
    })
    return { ...((await response.json()) as Tokens), status: response.status }
  }

  async function signIn(email = SALES, fields: Record<string, string> = {}): Promise<Tokens> {
    const { location, verifier } = await consent(fields, email)
    return await token({
      grant_type: 'authorization_code',
      code: location.searchParams.get('code') ?? '',
      redirect_uri: 'http://127.0.0.1/back',
      code_verifier: verifier,
    })
  }

  async function gmail(access: string, method: string, path: string, body?: unknown) {
    const response = await fetch(`${url()}/gmail/v1/users/me/${path}`, {
      method,
      headers: { authorization: `Bearer ${access}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, json: (text ? JSON.parse(text) : {}) as Record<string, unknown> }
  }

  return { control, consent, token, signIn, gmail }
}
