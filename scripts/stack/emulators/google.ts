// Emulated Google: `emulate`'s OAuth and Gmail behind a shim that adds what it lacks. Everything below /_shim is for
// tests and the demo; the product needs none of it and also runs against a bare `emulate`.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Stats } from './faults.ts'
import { hostEmulator } from './host.ts'
import { type EmulatorServer, serveShim } from './server.ts'
import { EmulatorState } from './state.ts'
import { handleApi } from './google/gmail.ts'
import { loadSigningKey } from './google/keys.ts'
import type { Delivery } from './google/mail.ts'
import { Mailboxes } from './google/mailboxes.ts'
import { handleOAuth } from './google/oauth.ts'
import { Push, type PushSettings } from './google/push.ts'
import { TokenBook } from './google/tokens.ts'

export interface GoogleOptions {
  port: number
  stateDir: string
  client: { id: string; secret: string; redirectUris: string[] }
  accounts: { email: string; name: string }[]
  push: PushSettings
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')

/** The emulator takes an unknown token for its first user's; the shim forbids that, and this is the second lock. */
const SENTINEL = { email: 'sentinel@invalid.test', name: 'Nobody' }

export async function startGoogle(options: GoogleOptions): Promise<EmulatorServer> {
  mkdirSync(options.stateDir, { recursive: true })
  const state = new EmulatorState(join(options.stateDir, 'google.sqlite'))
  const stats = new Stats()
  const { id, secret, redirectUris } = options.client
  const [hosted, key] = await Promise.all([
    hostEmulator({
      service: 'google',
      baseUrl: `http://127.0.0.1:${options.port}`,
      seed: {
        users: [SENTINEL, ...options.accounts],
        oauth_clients: [{ client_id: id, client_secret: secret, name: 'Inlet', redirect_uris: redirectUris }],
      },
      withDefaults: false,
      transient: ['google.oauth_clients'],
      state,
    }),
    loadSigningKey(join(options.stateDir, 'google-key.json')),
  ])
  const tokens = new TokenBook(hosted, state)
  const push = new Push(options.push, key, stats, state)
  const mailboxes = new Mailboxes({ hosted, tokens, push, state })
  const accounts = options.accounts.map(({ email }) => email)
  const oauth = { hosted, tokens, key, stats, accounts }
  const api = { tokens, mailboxes, push }

  const server = await serveShim(options.port, {
    hosted,
    stats,
    handle: async (request) => {
      const url = new URL(request.url)
      return (
        (await handleOAuth(request, url, oauth)) ??
        (await handleApi(request, url, api)) ??
        (await hosted.app.fetch(request))
      )
    },
    controls: {
      deliver: async (body) => await mailboxes.deliver(body as unknown as Delivery & { labels?: string[] }),
      'expire-history': async ({ email }) => {
        for (const one of email ? [text(email)] : mailboxes.emails()) mailboxes.expireHistory(one)
      },
      'expire-tokens': async ({ email }) => ({ expired: tokens.expire(email ? text(email) : undefined) }),
      revoke: async ({ email }) => ({ revoked: tokens.revokeAccount(text(email)) }),
      push: async ({ on, off }) =>
        push.switch(off === undefined ? on !== false && on !== 'off' : off === false),
      watches: async () => ({ watches: Object.fromEntries(push.watches()) }),
      accounts: async () => ({ accounts }),
      mailbox: async ({ email }) => ({
        history_id: mailboxes.currentHistoryId(text(email)),
        messages: mailboxes.messages(text(email)),
      }),
    },
  })
  return {
    url: server.url,
    close: async () => {
      push.close()
      await server.close()
      state.close()
    },
  }
}
