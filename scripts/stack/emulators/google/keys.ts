// One signing key for the emulated Google, kept, so that a restart does not make every cached key set wrong.
import { existsSync, readFileSync } from 'node:fs'
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from 'jose'
import { writeFileAtomically } from '../../files.ts'

const KID = 'inlet-local-1'

export interface SigningKey {
  publicJwk: JWK
  sign: (claims: JWTPayload) => Promise<string>
}

export async function loadSigningKey(file: string): Promise<SigningKey> {
  if (!existsSync(file)) {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    writeFileAtomically(file, JSON.stringify(await exportJWK(privateKey)), 0o600)
  }
  const privateJwk = JSON.parse(readFileSync(file, 'utf8')) as JWK
  const key = await importJWK(privateJwk, 'RS256')
  const { kty, n, e } = privateJwk
  return {
    publicJwk: { kty, n, e, kid: KID, use: 'sig', alg: 'RS256' } as JWK,
    sign: async (claims) =>
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: KID, typ: 'JWT' }).sign(key),
  }
}
