// Which access tokens Google has issued. The emulator takes any string for the first user's token; the real one
// answers 401, and that is what makes a client refresh.
import type { HostedEmulator } from '../host.ts'
import type { EmulatorState, PersistedMap } from '../state.ts'

export interface Grant {
  email: string
  client_id: string
  scopes: string[]
  expires_at: number
}

const REFRESH_TOKENS = 'google.oauth.refreshTokens'
const DAY_MS = 86_400_000
/** The emulator allows a token 5,000 requests an hour, far from Gmail's real quota; we change it before that. */
const REQUESTS_PER_ALIAS = 4000

export class TokenBook {
  readonly #hosted: HostedEmulator
  readonly #grants: PersistedMap<Grant>
  readonly #aliases = new Map<string, { token: string; left: number }>()
  #aliasCount = 0

  constructor(hosted: HostedEmulator, state: EmulatorState) {
    this.#hosted = hosted
    this.#grants = state.map<Grant>('shim.access_tokens')
    const now = Date.now()
    for (const [token, grant] of this.#grants.entries()) {
      if (grant.expires_at < now - DAY_MS) this.#grants.delete(token)
    }
  }

  learn(token: string, grant: Grant): void {
    this.#grants.set(token, grant)
  }

  find(token: string): Grant | undefined {
    const grant = this.#grants.get(token)
    return grant && grant.expires_at > Date.now() ? grant : undefined
  }

  expire(email?: string): number {
    return this.#each(email, (token, grant) => this.#grants.set(token, { ...grant, expires_at: 0 }))
  }

  /** The person withdraws the consent: refresh tokens and access tokens die together. */
  revokeAccount(email: string, clientId?: string): number {
    const refresh = this.#refreshTokens()
    for (const [token, record] of refresh) {
      if (record.email === email && (!clientId || record.clientId === clientId)) refresh.delete(token)
    }
    return this.#each(email, (token, grant) => {
      if (!clientId || grant.client_id === clientId) this.#grants.delete(token)
    })
  }

  /** As /revoke does it: either kind of token ends the whole grant. False for a token that nobody knows. */
  revokeToken(token: string): boolean {
    const grant = this.#grants.get(token)
    const record = this.#refreshTokens().get(token)
    const email = grant?.email ?? record?.email
    if (email === undefined) return false
    this.revokeAccount(email, grant?.client_id ?? record?.clientId)
    return true
  }

  /** A token of the emulator's own for that account: whatever the caller's is, only the account matters to it. */
  aliasFor(email: string): string {
    let alias = this.#aliases.get(email)
    if (!alias || alias.left === 0) {
      if (alias) this.#hosted.tokens.delete(alias.token)
      alias = { token: `shim-${++this.#aliasCount}-${email}`, left: REQUESTS_PER_ALIAS }
      this.#hosted.tokens.set(alias.token, { login: email, id: 1, scopes: [] })
      this.#aliases.set(email, alias)
    }
    alias.left--
    return alias.token
  }

  #refreshTokens(): Map<string, { email: string; clientId: string }> {
    const known = this.#hosted.store._data.get(REFRESH_TOKENS)
    return (known as Map<string, { email: string; clientId: string }> | undefined) ?? new Map()
  }

  #each(email: string | undefined, visit: (token: string, grant: Grant) => void): number {
    const hit = this.#grants.entries().filter(([, grant]) => email === undefined || grant.email === email)
    for (const [token, grant] of hit) visit(token, grant)
    return hit.length
  }
}
