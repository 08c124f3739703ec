// Files that the Worker serves itself: the script that draws the form on other pages, and what would else come from a CDN.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { buildSync } from 'esbuild'

const require = createRequire(import.meta.url)

const VENDOR = [
  { from: 'swagger-ui-dist/swagger-ui-bundle.js', to: 'swagger-ui/swagger-ui-bundle.js' },
  { from: 'swagger-ui-dist/swagger-ui.css', to: 'swagger-ui/swagger-ui.css' },
  { from: 'redoc/bundles/redoc.standalone.js', to: 'redoc/redoc.standalone.js' },
]

/** Fills `dist/assets` and returns its path; what is up to date is left alone. */
export function buildAssets(root: string): string {
  const directory = join(root, 'dist', 'assets')
  for (const { from, to } of VENDOR) {
    const source = require.resolve(from)
    const target = join(directory, 'vendor', to)
    if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) continue
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(source, target)
  }
  writeFileSync(join(directory, 'embed.js'), buildEmbed(root))
  return directory
}

/** One small classic script, for every browser since 2023: constructable style sheets and color-mix set that date. */
export function buildEmbed(root: string): Uint8Array {
  const { outputFiles } = buildSync({
    entryPoints: [join(root, 'src', 'embed', 'embed.ts')],
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    write: false,
  })
  const [script] = outputFiles
  if (!script) throw new Error('The embeddable script was not built')
  return script.contents
}
