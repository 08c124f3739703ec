// Documents that name code: settings, tables, tests, links. What they say must be there.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const filesIn = (folder: string, end: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(end) && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name))

describe('the documents', () => {
  const settings = [...read('src/platform/config.ts').matchAll(/^ {2}([A-Z][A-Z0-9_]+): /gm)].map(
    (match) => match[1] ?? '',
  )

  it('know every setting of the Worker in the README and in .dev.vars.example', () => {
    expect(settings.length).toBeGreaterThan(20)
    const rows = read('README.md').match(/^\| `[A-Z].*$/gm) ?? []
    const firstCells = rows.map((row) => row.split(' | ')[0] ?? '').join('\n')
    const example = read('.dev.vars.example')
    expect(settings.filter((name) => !firstCells.includes(`\`${name}\``))).toEqual([])
    expect(settings.filter((name) => !new RegExp(`^# ${name}=`, 'm').test(example))).toEqual([])
  })

  it('know every table in docs/storage-schema.md', () => {
    const tables = filesIn('src/db/schema', '.ts').flatMap((file) =>
      [...read(file).matchAll(/pgTable\(\s*'(\w+)'/g)].map((match) => match[1] ?? ''),
    )
    const page = read('docs/storage-schema.md')
    expect(tables.length).toBeGreaterThan(20)
    expect(tables.filter((name) => !page.includes(`\n| \`${name}\` |`))).toEqual([])
  })

  it('know every sweep in docs/operations.md and every job in docs/storage-schema.md', () => {
    const named = (part: 'cron' | 'queue') =>
      [...filesIn('src/features', '.ts'), 'src/platform/outbox.ts'].flatMap((file) =>
        [...read(file).matchAll(new RegExp(`name: '([a-z-]+)',\\s+${part}: `, 'g'))].map(
          (match) => match[1] ?? '',
        ),
      )
    const [operations, storage] = [read('docs/operations.md'), read('docs/storage-schema.md')]
    expect([named('cron').length > 7, named('queue').length > 7]).toEqual([true, true])
    expect(named('cron').filter((name) => !operations.includes(`\n| \`${name}\` |`))).toEqual([])
    expect(named('queue').filter((name) => !storage.includes(`\`${name}\``))).toEqual([])
  })

  it('know every SQL function, object and intake kind in docs/storage-schema.md', () => {
    const page = read('docs/storage-schema.md')
    const functions = filesIn('migrations', '.sql').flatMap((file) =>
      [...read(file).matchAll(/create or replace function (\w+)\(/g)].map((match) => match[1] ?? ''),
    )
    const kinds = [
      ...filesIn('src/features/inbound/service', '.ts'),
      ...filesIn('src/features/sending/service', '.ts'),
    ]
      .flatMap((file) => [...read(file).matchAll(/IntakeKind<Ctx> = \{\s+kind: (?:'(\w+)'|\w+),/g)])
      .map((match) => match[1] ?? 'mail')
    const objects = [...read('wrangler.toml').matchAll(/class_name = "(\w+)"/g)].map(
      (match) => match[1] ?? '',
    )
    expect([functions.length > 20, kinds.length, objects.length]).toEqual([true, 4, 3])
    // A trigger's function is part of its table.
    const named = functions.filter((name) => name !== 'refuse_change')
    expect([...named, ...kinds].filter((name) => !page.includes(`\`${name}\``))).toEqual([])
    expect(objects.filter((name) => !page.includes(`\n## The ${name} object\n`))).toEqual([])
  })

  it('make every queue of wrangler.toml in the README', () => {
    const loop = /for queue in ([a-z ]+); do/.exec(read('README.md'))?.[1]?.split(' ') ?? []
    const made = loop.flatMap((name) => [`inlet-${name}`, `inlet-${name}-dead`])
    const used = [...read('wrangler.toml').matchAll(/queue = "([a-z-]+)"/g)].map((match) => match[1] ?? '')
    expect([...new Set(used)].toSorted()).toEqual(made.toSorted())
  })

  it('name only tests that exist in docs/conformance.md', () => {
    const named = [...read('docs/conformance.md').matchAll(/`([\w./-]+\.ts)` › (.+?)(?=<br>| \|$)/gm)].map(
      ([, file = '', name = '']) => ({ file, name: name.replaceAll('\\|', '|') }),
    )
    expect(named.length).toBeGreaterThan(150)
    expect(named.filter(({ file, name }) => !testsOf(file).has(name))).toEqual([])
  })

  it('link to files that are there', () => {
    const documents = [
      ...filesIn('docs', '.md'),
      'README.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      'CHANGELOG.md',
    ]
    const broken = documents.flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map((match) => match[1] ?? '')
        .filter((target) => !existsSync(join(root, dirname(file), target)))
        .map((target) => `${file} → ${target}`),
    )
    expect(broken).toEqual([])
  })
})

const known = new Map<string, Set<string>>()

/** The names of a file's tests, as they are written: with the placeholders of `it.each`. */
function testsOf(file: string): Set<string> {
  let names = known.get(file)
  if (!names) {
    const text = existsSync(join(root, file)) ? read(file) : ''
    const calls = text.matchAll(/\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1\s*,\s*(?:async\b|\(|\{|[a-z]+ =>)/g)
    names = new Set([...calls].map((match) => (match[2] ?? '').replace(/\\(['"`])/g, '$1')))
    known.set(file, names)
  }
  return names
}
