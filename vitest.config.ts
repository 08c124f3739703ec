import { defineConfig } from 'vitest/config'
import { trustedCertificates } from './test/support/certificates.ts'

// Miniflare reads once, when it is loaded, whom workerd trusts beside the browsers' authorities.
process.env['NODE_EXTRA_CA_CERTS'] = trustedCertificates(process.env['NODE_EXTRA_CA_CERTS'])
const { cloudflareTest } = await import('@cloudflare/vitest-plugin')

// Pure files run in node in milliseconds; what needs the runtime runs in workerd against a real PostgreSQL behind the
// gateway; e2e runs the stack as `npm start` does. Storage is isolated per file, so every test makes its own organization.
export default defineConfig({
  test: {
    silent: 'passed-only',
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts'], environment: 'node' } },
      {
        test: {
          name: 'stack',
          include: ['scripts/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        plugins: [
          cloudflareTest(({ inject }) => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: inject('workerSettings') },
          })),
        ],
        test: {
          name: 'workers',
          include: ['test/{api,contracts,jobs,durable-objects}/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          setupFiles: ['test/support/warm-up.ts'],
          testTimeout: 20_000,
          hookTimeout: 30_000,
          fileParallelism: false,
          deps: { optimizer: { ssr: { enabled: true, include: ['itty-durable', 'itty-router'] } } },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/{e2e,faults}/**/*.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
