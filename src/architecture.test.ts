// Rules of the layout that no linter rule can say.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { crons } from './kernel/sweep'
import { queueNames } from './kernel/job'

const root = join(import.meta.dirname, '..')
const features = join(import.meta.dirname, 'features')

/** Lower first: a slice may import those before it. */
const order = [
  'audit',
  'auth',
  'organizations',
  'mailboxes',
  'contacts',
  'conversations',
  'leads',
  'inbound',
  'sending',
  'drafting',
  'campaigns',
  'assignment',
  'sla',
  'notifications',
  'automations',
  'tasks',
  'dashboard',
  'operations',
  'health',
]
const names =
  /^(index|routes|schema|service|policy|repo)\.ts$|^(service|policy|repo|routes|jobs|sweeps)\/[a-z0-9-]+\.ts$/
const plugIns = ['providers', 'transports', 'channels', 'actions']

function list(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

const read = (file: string) => readFileSync(join(root, file), 'utf8')
const importsOf = (file: string) => [...read(file).matchAll(/from '([^']+)'/g)].map((match) => match[1] ?? '')

describe('a slice', () => {
  const files = list(features)

  it('is one of the known ones', () => {
    expect(readdirSync(features).filter((name) => !order.includes(name))).toEqual([])
  })

  it('has only the files that every slice has, and its plug-in folder', () => {
    const odd = files.filter((file) => {
      const [, , , ...rest] = file.split('/')
      const inside = rest.join('/')
      return !names.test(inside) && !plugIns.includes(rest[0] ?? '')
    })
    expect(odd).toEqual([])
  })

  it('imports only lower ones', () => {
    const upward = files.flatMap((file) => {
      const slice = file.split('/')[2] ?? ''
      return importsOf(file)
        .filter((name) => name.startsWith('#features/'))
        .map((name) => name.slice('#features/'.length))
        .filter((other) => order.indexOf(other) >= order.indexOf(slice))
        .map((other) => `${file} → ${other}`)
    })
    expect(upward).toEqual([])
  })

  it('shows a short face', () => {
    const long = files.filter(
      (file) =>
        file.endsWith('/index.ts') &&
        file.split('/').length === 4 &&
        read(file).trimEnd().split('\n').length > 15,
    )
    expect(long).toEqual([])
  })

  it('opens the door past all organizations only in sweeps, auth and operations', () => {
    const opened = list(join(root, 'src')).filter(
      (file) =>
        importsOf(file).includes('#db/system') &&
        !/^src\/(platform\/|features\/(auth|operations)\/|features\/[a-z]+\/sweeps\/)/.test(file),
    )
    expect(opened).toEqual([])
  })
})

describe('the registries', () => {
  const registered = (registry: string) => read(`src/registry/${registry}.ts`)
  const defined = (folder: string, type: RegExp) =>
    list(features)
      .filter((file) => file.includes(`/${folder}/`))
      .flatMap((file) => [...read(file).matchAll(type)].map((match) => match[1] ?? ''))

  it('list every job once', () => {
    for (const name of defined('jobs', /export const (\w+): Job</g)) {
      expect([name, registered('jobs').split(new RegExp(`\\b${name}\\b`)).length - 1]).toEqual([name, 2])
    }
  })

  it('list every sweep once', () => {
    for (const name of defined('sweeps', /export const (\w+): Sweep</g)) {
      expect([name, registered('sweeps').split(new RegExp(`\\b${name}\\b`)).length - 1]).toEqual([name, 2])
    }
  })

  it('have their queues, dead-letter consumers and crons in wrangler.toml', () => {
    const toml = read('wrangler.toml')
    for (const queue of queueNames) {
      expect(toml).toContain(`queue = "inlet-${queue}"\nbinding = "${queue.toUpperCase()}_QUEUE"`)
      expect(toml).toContain(`dead_letter_queue = "inlet-${queue}-dead"`)
      expect(toml).toContain(`[[queues.consumers]]\nqueue = "inlet-${queue}-dead"`)
    }
    for (const cron of crons) expect(toml).toContain(JSON.stringify(cron))
  })
})

describe('values', () => {
  it('never enter SQL as text outside the table definitions', () => {
    const raw = list(join(root, 'src')).filter(
      (file) => /\bsql\.raw\b/.test(read(file)) && file !== 'src/db/columns.ts',
    )
    expect(raw).toEqual([])
  })

  it('open an interactive transaction nowhere but where a decision needs it', () => {
    // Not for a lock, but for one snapshot that is read page by page.
    const allowed = ['src/features/contacts/service/export-contact.ts']
    const opened = list(join(root, 'src')).filter(
      (file) => /\.transaction\(/.test(read(file)) && file !== 'src/db/client.ts',
    )
    expect(opened).toEqual(allowed)
  })
})
