// Builds the Worker into a folder: node bundle-process.ts <project> <folder>.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const [root = '', outDir = ''] = process.argv.slice(2)
process.chdir(root)

const wrangler = dirname(createRequire(import.meta.url).resolve('wrangler/package.json'))
const args = ['deploy', '--dry-run', '--outdir', outDir]
const build = spawn(process.execPath, ['--no-warnings', join(wrangler, 'wrangler-dist', 'cli.js'), ...args], {
  stdio: 'inherit',
})
const ended = once(build, 'exit')

const { unstable_getMiniflareWorkerOptions } = await import('wrangler')
const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, 'wrangler.toml'))

const [code] = (await ended) as [number | null]
if (code === 0) {
  // It may hold values of .dev.vars, which have no place in a build; the stack gives the settings itself.
  writeFileSync(join(outDir, 'options.json'), JSON.stringify({ ...workerOptions, bindings: {} }, null, 2))
}
process.exit(code ?? 1)
