import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readSettings, WORKER_SETTINGS } from './settings.ts'
import { workerEnv } from './worker-env.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'inlet-settings-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const read = (env: Record<string, string> = {}) => readSettings(root, () => undefined, env)

it.each([
  ['PORT', 'abc'],
  ['PORT', '70000'],
  ['ENCRYPTION_KEY', 'abcd'],
  ['DATABASE_URL', 'mysql://a:b@host/db'],
  ['BASE_URL', 'inlet.example'],
  ['SEED', 'maybe'],
  ['EMULATORS', 'none'],
  ['DATA_DIR', '/proc/none'],
])('names %s when it is %s', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(new RegExp(`^${name} .*`))
})

it('takes the environment before .dev.vars, and an empty value as a wish to have none', () => {
  writeFileSync(join(root, '.dev.vars'), 'PORT=9000\nADMIN_USERNAME=file\nAI_PROVIDER=openai\n')
  const settings = read({ PORT: '9100', ADMIN_USERNAME: 'environment', SLACK_WEBHOOK_URL: '' })
  expect(settings.ports).toMatchObject({ api: 9100, google: 9101, gateway: 9108 })
  const env = workerEnv(settings, 'postgresql://inlet_login:pw@127.0.0.1/inlet')
  expect(env).toMatchObject({ ADMIN_USERNAME: 'environment', AI_PROVIDER: 'openai' })
  expect(env['DATABASE_URL']).toBe('postgresql://inlet_login:pw@127.0.0.1/inlet')
  expect(env).not.toHaveProperty('SLACK_WEBHOOK_URL')
})

it('generates the secrets once, readable by their owner alone', () => {
  const first = read().secrets
  expect(read().secrets).toEqual(first)
  expect(statSync(join(root, '.inlet', 'secrets.json')).mode & 0o777).toBe(0o600)
  expect(first.ENCRYPTION_KEY).toMatch(/^[0-9a-f]{64}$/)
})

it('says which file it is when the secrets cannot be read, and does not replace them', () => {
  read()
  const file = join(root, '.inlet', 'secrets.json')
  writeFileSync(file, '{half')
  expect(() => read()).toThrow('secrets.json')
  expect(readFileSync(file, 'utf8')).toBe('{half')
})

it('gives no client and no base URL of Google when the emulators are off', () => {
  const env = workerEnv(read({ EMULATORS: 'off', GMAIL_API_BASE: 'http://127.0.0.1:1' }), 'postgresql://x')
  expect(env).not.toHaveProperty('GOOGLE_CLIENT_ID')
  expect(env).not.toHaveProperty('GOOGLE_TOKEN_URL')
  expect(env).toMatchObject({ GMAIL_API_BASE: 'http://127.0.0.1:1' })
})

it('hands on every setting that the Worker reads', () => {
  const config = readFileSync(join(import.meta.dirname, '..', '..', 'src', 'platform', 'config.ts'), 'utf8')
  const read = [...config.matchAll(/^ {2}([A-Z][A-Z_]+):/gm)].map(([, name]) => name)
  expect(read.length).toBeGreaterThan(40)
  const own = ['DATABASE_URL', ...WORKER_SETTINGS] as string[]
  expect(read.filter((name) => name === undefined || !own.includes(name))).toEqual([])
})
