// A certificate authority of our own for one machine's tests: root → intermediate → server, and what has to be refused beside it.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
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
import forge from 'node-forge'
import type { SmtpScenario } from './smtp-scenario.ts'

const HOME = join(import.meta.dirname, '../../node_modules/.cache/inlet-certificates')
const DAYS = 30
const DAY_MS = 86_400_000

/** Made once and kept for most of their life. */
function ensureCertificates(): void {
  const root = join(HOME, 'root.pem')
  const fresh = existsSync(root) && Date.now() - statSync(root).mtimeMs < (DAYS / 2) * DAY_MS
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

interface Issued {
  cert: string
  key: string
  signer: { subject: forge.pki.CertificateField[]; key: forge.pki.rsa.PrivateKey }
}

/** Without an issuer it signs itself. `host`: for a server; without one it is an authority. */
function issue(name: string, by: Issued['signer'] | null, host: string | null, ends_at: number): Issued {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const subject = [{ name: 'commonName', value: `Inlet test ${name}` }]
  const signer = { subject, key: forge.pki.privateKeyFromPem(privateKey) }
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey)
  // Positive: a first digit over 7 would make it a negative number.
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}`
  certificate.validity.notBefore = new Date(Date.now() - 2 * DAY_MS)
  certificate.validity.notAfter = new Date(ends_at)
  certificate.setSubject(subject)
  certificate.setIssuer((by ?? signer).subject)
  certificate.setExtensions(
    host === null
      ? [
          { name: 'basicConstraints', cA: true, critical: true },
          { name: 'keyUsage', keyCertSign: true, critical: true },
        ]
      : [
          { name: 'basicConstraints', cA: false },
          { name: 'extKeyUsage', serverAuth: true },
          { name: 'subjectAltName', altNames: [{ type: 2, value: host }] },
        ],
  )
  certificate.sign((by ?? signer).key, forge.md.sha256.create())
  return { cert: forge.pki.certificateToPem(certificate), key: privateKey, signer }
}

/** In a folder of its own, put in place by one rename: two runs at once do not meet. */
function make(): void {
  mkdirSync(join(HOME, '..'), { recursive: true })
  const dir = mkdtempSync(`${HOME}-`)
  const later = Date.now() + DAYS * DAY_MS
  const root = issue('root', null, null, later)
  const intermediate = issue('intermediate', root.signer, null, later)
  const stranger = issue('stranger', null, null, later)
  writeFileSync(join(dir, 'root.pem'), root.cert)
  const server = (name: string, by: Issued, host: string, ends_at: number) => {
    const { cert, key } = issue(name, by.signer, host, ends_at)
    writeFileSync(join(dir, `${name}.key`), key)
    writeFileSync(join(dir, `${name}.chain.pem`), `${cert}${by.cert}`)
  }
  server('good', intermediate, 'localhost', later)
  server('expired', intermediate, 'localhost', Date.now() - DAY_MS)
  server('wrong_host', intermediate, 'mail.other.test', later)
  server('unknown_ca', stranger, 'localhost', later)
  rmSync(HOME, { recursive: true, force: true })
  try {
    renameSync(dir, HOME)
  } catch {
    // Another run was faster, and its own are as good.
    rmSync(dir, { recursive: true, force: true })
  }
}
