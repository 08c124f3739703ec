// A certificate authority of our own for one machine's tests: root → intermediate → server, and what has to be refused beside it.
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { SmtpScenario } from './smtp-scenario.ts'

const HOME = join(import.meta.dirname, '../../node_modules/.cache/inlet-certificates')
const DAYS = 30

/** Made once and kept for most of their life. Throws where there is no openssl. */
function ensureCertificates(): void {
  const root = join(HOME, 'root.pem')
  const fresh = existsSync(root) && Date.now() - statSync(root).mtimeMs < (DAYS / 2) * 86_400_000
  if (!fresh) make()
}

/** A file with our root and whom this machine trusts already, for NODE_EXTRA_CA_CERTS. */
export function trustedCertificates(already: string | undefined): string {
  ensureCertificates()
  const file = join(HOME, `trusted-${process.pid}.pem`)
  const others = already !== undefined && existsSync(already) ? readFileSync(already, 'utf8') : ''
  writeFileSync(file, `${readFileSync(join(HOME, 'root.pem'), 'utf8')}${others}`)
  process.once('exit', () => rmSync(file, { force: true }))
  return file
}

/** Key, and the chain without its root, as a server shows them. */
export function readCertificate(name: NonNullable<SmtpScenario['certificate']>): {
  key: string
  cert: string
} {
  return {
    key: readFileSync(join(HOME, `${name}.key`), 'utf8'),
    cert: readFileSync(join(HOME, `${name}.chain.pem`), 'utf8'),
  }
}

/** In a folder of its own, put in place by one rename: two runs at once do not meet. */
function make(): void {
  mkdirSync(join(HOME, '..'), { recursive: true })
  const dir = mkdtempSync(`${HOME}-`)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const authority = (name: string) => {
    const subject = `/CN=Inlet test ${name}`
    const usage = ['-addext', 'keyUsage=critical,keyCertSign']
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      String(DAYS),
      '-subj',
      subject,
      ...usage,
    )
  }
  const issue = (name: string, by: string, days: number, extensions: string) => {
    writeFileSync(join(dir, `${name}.ext`), extensions)
    openssl(
      'req',
      '-new',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=Inlet test ${name}`,
    )
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${by}.pem`,
      '-CAkey',
      `${by}.key`,
      '-CAcreateserial',
      '-days',
      String(days),
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    )
  }
  const server = (name: string, by: string, days: number, host: string) => {
    issue(
      name,
      by,
      days,
      `basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:${host}\n`,
    )
    const chain = [name, by].map((part) => readFileSync(join(dir, `${part}.pem`), 'utf8')).join('')
    writeFileSync(join(dir, `${name}.chain.pem`), chain)
  }
  authority('root')
  authority('stranger')
  issue(
    'intermediate',
    'root',
    DAYS,
    'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n',
  )
  server('good', 'intermediate', DAYS, 'localhost')
  server('expired', 'intermediate', -1, 'localhost')
  server('wrong_host', 'intermediate', DAYS, 'mail.other.test')
  server('unknown_ca', 'stranger', DAYS, 'localhost')
  rmSync(HOME, { recursive: true, force: true })
  try {
    renameSync(dir, HOME)
  } catch {
    // Another run was faster, and its own are as good.
    rmSync(dir, { recursive: true, force: true })
  }
}
