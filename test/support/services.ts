// A real PostgreSQL, migrated, behind the Neon-wire gateway, in a folder of its own. Runs as a child process, because inside
// the workers project Vite would resolve these packages for workerd. Ends when its standard input closes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureRuntimeLogin, migrateDatabase, runtimeUrl } from '../../scripts/migrate.ts'
import { freePort } from '../../scripts/stack/free-ports.ts'
import { startGateway } from '../../scripts/stack/gateway.ts'
import { startPostgres } from '../../scripts/stack/postgres.ts'

const RUNTIME_PASSWORD = 'test-only-runtime'

const dataDir = mkdtempSync(join(tmpdir(), 'inlet-test-'))
const postgres = await startPostgres({ dataDir, port: await freePort(), password: 'test-only-owner' })
await migrateDatabase(postgres.ownerUrl)
await ensureRuntimeLogin(postgres.ownerUrl, RUNTIME_PASSWORD)
const gateway = await startGateway({ port: 0, databaseUrl: postgres.ownerUrl })
process.stdout.write(
  `${JSON.stringify({ ownerUrl: postgres.ownerUrl, DATABASE_URL: runtimeUrl(postgres.ownerUrl, RUNTIME_PASSWORD), NEON_GATEWAY_URL: gateway.url })}\n`,
)
process.stdin.resume()
process.stdin.on('close', async () => {
  await gateway.close()
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
  process.exit(0)
})
