// Part 4a: what a deploy would upload, and whose it is.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { modulesIn } from './workerd.ts'

/** Compressed, in bytes. */
export const SIZE_GOAL = 700 * 1024

export interface BundleSize {
  raw: number
  gzip: number
  packages: { name: string; bytes: number }[]
}

interface Metafile {
  outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }>
}

export async function measureBundle(root: string, dir: string, signal: AbortSignal): Promise<BundleSize> {
  mkdirSync(dir)
  const metafile = join(dir, 'meta.json')
  const outDir = join(dir, 'out')
  const wrangler = dirname(createRequire(import.meta.url).resolve('wrangler/package.json'))
  const args = ['deploy', '--dry-run', '--outdir', outDir, '--metafile', metafile]
  await promisify(execFile)(
    process.execPath,
    ['--no-warnings', join(wrangler, 'wrangler-dist', 'cli.js'), ...args],
    {
      cwd: root,
      signal,
      env: {
        ...process.env,
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_LOG_PATH: dir,
        CI: '1',
      },
    },
  )
  const uploaded = Buffer.concat(modulesIn(outDir).map(({ name }) => readFileSync(join(outDir, name))))
  return {
    raw: uploaded.length,
    gzip: gzipSync(uploaded).length,
    packages: packagesOf(JSON.parse(readFileSync(metafile, 'utf8')) as Metafile),
  }
}

function packagesOf({ outputs }: Metafile): BundleSize['packages'] {
  const sizes = new Map<string, number>()
  for (const [output, { inputs }] of Object.entries(outputs)) {
    if (output.endsWith('.map')) continue
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const name = packageOf(path)
      sizes.set(name, (sizes.get(name) ?? 0) + bytesInOutput)
    }
  }
  return [...sizes].map(([name, bytes]) => ({ name, bytes })).toSorted((a, b) => b.bytes - a.bytes)
}

export function packageOf(path: string): string {
  const inside = path.split('node_modules/').at(-1) ?? path
  if (inside === path) return path.includes(':') ? path.replace(/:.*/, ' (made by wrangler)') : 'inlet itself'
  const [scope = '', name = ''] = inside.split('/')
  // Drizzle's own source maps leave out its name.
  if (scope === 'src') return 'drizzle-orm'
  return scope.startsWith('@') ? `${scope}/${name}` : scope
}
