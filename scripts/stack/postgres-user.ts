// PostgreSQL refuses to run as root. A person in a container often is root, so it gets another user: root under
// another name (a user namespace) where the kernel allows that, otherwise the real "nobody", who needs binaries
// and data in places that he can enter.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { StartError } from './say.ts'

const NOBODY = 65_534
/** Where root keeps what "nobody" must reach when DATA_DIR or node_modules are closed to him. */
const SHARED_DIR = '/var/lib/inlet'
const LINK = 'postgres.link'

export interface PostgresUser {
  binDir: string
  /** The folder that holds `postgres`, the cluster. */
  home: string
  uid: number
  wrap: (file: string, args: string[]) => { file: string; args: string[] }
  spawnAs: { uid?: number; gid?: number }
}

export function choosePostgresUser(binDir: string, home: string): PostgresUser {
  const uid = process.getuid?.() ?? -1
  const asIs = { binDir, home, uid, wrap: (file: string, args: string[]) => ({ file, args }), spawnAs: {} }
  if (uid !== 0) return asIs
  if (spawnSync('unshare', ['-U', `--map-user=${NOBODY}`, 'true']).status === 0) {
    return {
      ...asIs,
      home: linkedHome(home) ?? home,
      wrap: (file, args) => ({ file: 'unshare', args: ['-U', `--map-user=${NOBODY}`, file, ...args] }),
    }
  }
  return {
    ...asIs,
    binDir: reachableBinaries(binDir),
    home: reachableHome(home),
    uid: NOBODY,
    spawnAs: { uid: NOBODY, gid: NOBODY },
  }
}

/** Hands a folder over when it belongs to another user, for instance after a run as root. */
export function own(path: string, { uid, spawnAs }: PostgresUser): void {
  if (process.getuid?.() !== 0 || statSync(path).uid === uid) return
  const gid = spawnAs.gid ?? 0
  const visit = (entry: string): void => {
    lchownSync(entry, uid, gid)
    if (lstatSync(entry).isDirectory()) for (const name of readdirSync(entry)) visit(join(entry, name))
  }
  visit(path)
}

function reachableBinaries(binDir: string): string {
  const version = (path: string) =>
    spawnSync(join(path, 'postgres'), ['--version'], { uid: NOBODY, gid: NOBODY, cwd: '/' }).status
  if (version(binDir) === 0) return binDir
  const native = dirname(binDir)
  const copy = join(sharedDir(), `postgres-${fingerprint(native)}`)
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true })
    // Another start may have been faster; then its copy is as good as ours.
    if (existsSync(copy)) rmSync(unfinished, { recursive: true })
    else renameSync(unfinished, copy)
    rmSync(unfinished, { recursive: true, force: true })
  }
  if (version(join(copy, 'bin')) !== 0) {
    throw new StartError(
      'PostgreSQL cannot run as root here; run `npm start` as another user, or give DATABASE_URL',
    )
  }
  return join(copy, 'bin')
}

function reachableHome(home: string): string {
  for (let path = home; path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) return elsewhere(home)
  }
  return home
}

/** A link in DATA_DIR says that the cluster outside is its own: who deletes DATA_DIR starts afresh. */
function elsewhere(home: string): string {
  const known = linkedHome(home)
  if (known !== undefined) return known
  const place = join(sharedDir(), `data-${fingerprint(home)}`)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { mode: 0o755 })
  symlinkSync(place, join(home, LINK))
  return place
}

function linkedHome(home: string): string | undefined {
  const link = join(home, LINK)
  return existsSync(link) ? realpathSync(link) : undefined
}

function sharedDir(): string {
  mkdirSync(SHARED_DIR, { recursive: true, mode: 0o755 })
  if (statSync(SHARED_DIR).uid !== 0) chownSync(SHARED_DIR, 0, 0)
  return SHARED_DIR
}

const fingerprint = (path: string) => createHash('sha256').update(path).digest('hex').slice(0, 16)
