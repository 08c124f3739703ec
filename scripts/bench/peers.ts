// FastAPI beside the product: the same lead, the same Postgres, the same row-level security. Debian's packages, or any
// Python named by BENCH_PYTHON. One process each, as workerd has one isolate.
import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../stack/free-ports.ts'
import { endProcess } from '../stack/processes.ts'
import { StartError } from '../stack/say.ts'
import { tail } from '../stack/supervisor.ts'
import type { Ending } from './ending.ts'
import { query, type Services } from './services.ts'
import type { World } from './world.ts'

interface Peer {
  name: 'orm' | 'asyncpg'
  pid: number
  port: number
}

export interface Peers {
  list: Peer[]
  token: string
  /** What runs, or why nothing does. */
  note: string
}

const DIRECTORY = join(import.meta.dirname, 'peers')
const PACKAGES = 'python3-fastapi python3-uvicorn python3-asyncpg python3-sqlalchemy'
const VERSIONS = `import sys, fastapi, pydantic, uvicorn, asyncpg, sqlalchemy, uvloop, httptools
print(f"Python {sys.version.split()[0]}, FastAPI {fastapi.__version__}, pydantic {pydantic.VERSION}, uvicorn {uvicorn.__version__} (uvloop, httptools), asyncpg {asyncpg.__version__}, SQLAlchemy {sqlalchemy.__version__}")`

export async function startPeers(services: Services, world: World, ending: Ending): Promise<Peers> {
  const python = process.env['BENCH_PYTHON'] ?? '/usr/bin/python3'
  const versions = versionsOf(python)
  if (versions === undefined)
    return {
      list: [],
      token: '',
      note: `FastAPI is not installed: apt-get install ${PACKAGES} python3-uvloop`,
    }
  await query(world.database.ownerUrl, readFileSync(join(DIRECTORY, 'tables.sql'), 'utf8'))
  const token = await makeToken(world)
  const list: Peer[] = []
  for (const name of ['orm', 'asyncpg'] as const)
    list.push(await startPeer(python, name, services, world, ending))
  return { list, token, note: versions }
}

function versionsOf(python: string): string | undefined {
  try {
    return execFileSync(python, ['-c', VERSIONS], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined
  }
}

async function makeToken({ database, intake }: World): Promise<string> {
  const id = randomUUID()
  // Without dashes: an id in a request is taken for one that is new each time.
  const token = `${intake.org_id}.${id}.${randomBytes(24).toString('hex')}`.replaceAll('-', '')
  const hash = createHash('sha256').update(token).digest('hex')
  await query(database.superuserUrl, 'insert into bench_tokens (org_id, id, hash) values ($1, $2, $3)', [
    intake.org_id,
    id,
    hash,
  ])
  return token
}

async function startPeer(
  python: string,
  name: Peer['name'],
  { settings, registry }: Services,
  world: World,
  ending: Ending,
): Promise<Peer> {
  const port = await freePort()
  const logFile = join(settings.dataDir, 'logs', `${name}.log`)
  const log = openSync(logFile, 'a')
  const args = ['-m', 'uvicorn', `${name}_peer:app`, '--port', String(port), '--log-level', 'warning']
  const child = spawn(python, [...args, '--no-access-log', '--loop', 'uvloop', '--http', 'httptools'], {
    cwd: DIRECTORY,
    env: { PATH: process.env['PATH'], DATABASE_URL: world.database.runtimeUrl, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', log, log],
    detached: true,
  })
  closeSync(log)
  const pid = child.pid ?? 0
  registry.add(name, pid)
  child.once('exit', () => registry.remove(pid))
  ending.add(name, async () => await endProcess(pid))
  for (const end = Date.now() + 15_000; Date.now() < end; await delay(50)) {
    if (child.exitCode !== null) break
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined)
    if (answer?.ok) return { name, pid, port }
  }
  throw new StartError(`the peer ${name} does not start${tail(logFile, 8)}`)
}
