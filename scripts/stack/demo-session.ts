// Signed in as the demo user. The token is kept while it lives: signing in is limited to ten times a minute.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from './files.ts'
import type { LocalFile } from './local-file.ts'
import { StartError } from './say.ts'
import { caller } from './seed.ts'

export interface Session {
  get: <T>(path: string) => Promise<T>
  list: <T>(path: string) => Promise<T[]>
}

export async function demoSession(local: LocalFile): Promise<Session> {
  const call = caller(local.urls.api)
  const file = join(local.data_dir, 'demo-session.json')
  let token = readToken(file)

  async function signIn(): Promise<void> {
    const { email, password } = local.demo
    const answer = await call('/api/v1/auth/login', { method: 'POST', body: { email, password } }).catch(
      () => {
        throw new StartError('the local stack does not answer; is `npm start` running?')
      },
    )
    if (answer.status !== 200) throw new StartError(`the demo user cannot sign in (${answer.status})`)
    token = String(answer.json['access_token'])
    writeFileAtomically(file, JSON.stringify({ token }), 0o600)
  }

  async function get<T>(path: string): Promise<T> {
    if (!token) await signIn()
    let answer = await call(`/api/v1${path}`, { token })
    if (answer.status === 401) {
      await signIn()
      answer = await call(`/api/v1${path}`, { token })
    }
    if (answer.status !== 200) throw new StartError(`GET ${path} answered ${answer.status}`)
    return answer.json as T
  }

  return { get, list: async <T>(path: string) => (await get<{ data: T[] }>(path)).data }
}

function readToken(file: string): string {
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as { token: string }).token
  } catch {
    return ''
  }
}
