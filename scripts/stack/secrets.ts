import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from './files.ts'
import { messageOf, StartError } from './say.ts'

export interface Secrets {
  JWT_SECRET: string
  ENCRYPTION_KEY: string
  ADMIN_PASSWORD: string
  GMAIL_WEBHOOK_SECRET: string
  WEBHOOK_PASSWORD: string
  GOOGLE_CLIENT_SECRET: string
  OWNER_DATABASE_PASSWORD: string
  RUNTIME_DATABASE_PASSWORD: string
  DEMO_USER_PASSWORD: string
}

const token = (bytes: number) => randomBytes(bytes).toString('base64url')

const generate = (): Secrets => ({
  JWT_SECRET: token(48),
  ENCRYPTION_KEY: randomBytes(32).toString('hex'),
  ADMIN_PASSWORD: token(12),
  GMAIL_WEBHOOK_SECRET: token(24),
  WEBHOOK_PASSWORD: token(18),
  GOOGLE_CLIENT_SECRET: token(18),
  // Only characters that mean nothing in a connection string.
  OWNER_DATABASE_PASSWORD: randomBytes(18).toString('hex'),
  RUNTIME_DATABASE_PASSWORD: randomBytes(18).toString('hex'),
  DEMO_USER_PASSWORD: token(12),
})

/** Generated once and kept: with another ENCRYPTION_KEY no connected mailbox can be read again. */
export function loadSecrets(dataDir: string): Secrets {
  const file = join(dataDir, 'secrets.json')
  let known: Partial<Secrets> = {}
  if (existsSync(file)) {
    try {
      known = JSON.parse(readFileSync(file, 'utf8')) as Partial<Secrets>
    } catch (error) {
      throw new StartError(
        `${file} is not readable JSON (${messageOf(error)}); restore it, or delete DATA_DIR`,
      )
    }
  }
  const secrets = generate()
  const names = Object.keys(secrets) as (keyof Secrets)[]
  for (const name of names) secrets[name] = known[name] ?? secrets[name]
  if (names.some((name) => known[name] === undefined)) {
    writeFileAtomically(file, `${JSON.stringify({ ...known, ...secrets }, null, 2)}\n`, 0o600)
  }
  return secrets
}
