// A real PostgreSQL, migrated, behind the Neon-wire gateway, in a folder of its own. Runs as a child process, because inside
// the workers project Vite would resolve these packages for workerd. Ends when its standard input closes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureRuntimeLogin, migrateDatabase } from '../../scripts/migrate.ts'
import { freePort } from '../../scripts/stack/free-ports.ts'
import { startGateway } from '../../scripts/stack/gateway.ts'
import { startGoogle } from '../../scripts/stack/emulators/google.ts'
import { startSlack } from '../../scripts/stack/emulators/slack.ts'
import { SLACK_HOOK_PATH } from '../../scripts/stack/emulators/slack-names.ts'
import { startPostgres } from '../../scripts/stack/postgres.ts'
import { runtimeUrl } from '../../scripts/stack/runtime-login.ts'
import { startSmtp } from './smtp-server.ts'

const RUNTIME_PASSWORD = 'test-only-runtime'

const dataDir = mkdtempSync(join(tmpdir(), 'inlet-test-'))
const postgres = await startPostgres({ dataDir, port: await freePort(), password: 'test-only-owner' })
await migrateDatabase(postgres.ownerUrl)
await ensureRuntimeLogin(postgres.ownerUrl, RUNTIME_PASSWORD)
const gateway = await startGateway({ port: 0, databaseUrl: postgres.ownerUrl })
// Every test that needs a mailbox takes an account of its own (test/support/google.ts).
const google = await startGoogle({
  port: await freePort(),
  stateDir: join(dataDir, 'google'),
  client: {
    id: 'test-client',
    secret: 'test-client-secret',
    redirectUris: ['http://inlet.test/oauth/google/callback'],
  },
  accounts: Array.from({ length: 80 }, (_, i) => ({ email: `box${i}@inlet.test`, name: `Box ${i}` })),
  push: {
    url: 'http://127.0.0.1:9/webhooks/gmail/push',
    issuer: 'http://google.test',
    audience: 'http://inlet.test/webhooks/gmail/push',
    serviceAccount: 'push@test.iam.gserviceaccount.com',
  },
})
const slack = await startSlack({ port: await freePort(), stateDir: join(dataDir, 'google') })
const smtp = await startSmtp()
await fetch(`${google.url}/_shim/push`, { method: 'POST', body: JSON.stringify({ on: false }) })
process.stdout.write(
  `${JSON.stringify({ ownerUrl: postgres.ownerUrl, DATABASE_URL: runtimeUrl(postgres.ownerUrl, RUNTIME_PASSWORD), NEON_GATEWAY_URL: gateway.url, google: google.url, slack_webhook: `${slack.url}${SLACK_HOOK_PATH}`, smtp: smtp.url })}\n`,
)
process.stdin.resume()
process.stdin.on('close', () => void stop())

async function stop(): Promise<void> {
  await google.close()
  await slack.close()
  await smtp.close()
  await gateway.close()
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
  process.exit(0)
}
