// The first request of a file loads the whole module graph; here, it is billed to no test.
import '../../src/index'
import { listDurableObjectIds, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterAll } from 'vitest'

// An alarm that fires while the runner ends would meet nothing but its remains.
afterAll(async () => {
  for (const id of await listDurableObjectIds(env.INGEST_BUFFER)) {
    await runInDurableObject(env.INGEST_BUFFER.get(id), (_, state) => state.storage.deleteAlarm())
  }
})
