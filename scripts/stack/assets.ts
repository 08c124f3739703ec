// Files that the Worker serves itself instead of sending people's browsers to a CDN.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

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
  return directory
}
