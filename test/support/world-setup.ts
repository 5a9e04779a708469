/** Issuers of a world: three CAs, one for each policy about serials that are not recorded. */
import type { KeyPairBytes } from '../../src/cli/dev/generate-key.ts'
import type { IssuerPolicy, IssuerRecord, UnknownPolicy } from '../../src/ports/records.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { importVerifier, type Verifier } from '../../src/signing/webcrypto-signer.ts'
import type { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { EPOCH } from './clock.ts'
import { digest, hex, makeTestPKI, TEST_POLICY, type TestPKI } from './pki.ts'

export const KEK: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 3)

/** How long rows of a world are kept after notAfter. */
export const RETAIN_SECONDS = 600

/** Whoever may sign for an issuer, or might once. */
export interface WorldSigner {
  readonly verify: Verifier
  readonly notAfter: number
  /** Since when it signs no new window. */
  retiredMs?: number
}

export interface WorldIssuer {
  readonly record: IssuerRecord
  readonly pki: TestPKI
  readonly unknown: UnknownPolicy
  /** By hexadecimal SHA-1 of the key, as responses name them. */
  readonly signers: Map<string, WorldSigner>
  /** When its CA's key turned out compromised since `at`, the newest last. */
  readonly compromises: { readonly at: number; readonly committedMs: number }[]
  /** When its responses became final. */
  finalMs: number | undefined
}

/** The same issuer in a world of its own. */
export function cloneIssuer(issuer: WorldIssuer): WorldIssuer {
  const signers = new Map([...issuer.signers].map(([key, signer]) => [key, { ...signer }]))
  return { ...issuer, signers, compromises: [...issuer.compromises] }
}

const pkis = new Map<UnknownPolicy, Promise<TestPKI>>()

/** Made once a process: keys and certificates are the same in every world. */
function pkiOf(unknown: UnknownPolicy): Promise<TestPKI> {
  const known = pkis.get(unknown)
  if (known !== undefined) return known
  const made = makePKI(unknown)
  pkis.set(unknown, made)
  return made
}

/** The same keys in every process, so that a seed repeats its run there too; signatures of one size, and deterministic. */
async function makePKI(unknown: UnknownPolicy): Promise<TestPKI> {
  const keys = { ca: await ed25519Key(`${unknown} CA`), responder: await ed25519Key(`${unknown} responder`) }
  return makeTestPKI({
    now: EPOCH,
    caName: `CA ${unknown}`,
    keys,
    algorithm: 'Ed25519',
    caAlgorithm: 'Ed25519',
  })
}

/** RFC 8410: PrivateKeyInfo and SubjectPublicKeyInfo of Ed25519 before the key itself. */
const PKCS8_HEAD = [
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]
const SPKI_HEAD = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]

export async function ed25519Key(name: string): Promise<KeyPairBytes> {
  const seed = await digest('SHA-256', new TextEncoder().encode(`world ${name}`))
  const pkcs8 = Uint8Array.of(...PKCS8_HEAD, ...seed)
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign'])
  const jwk = await crypto.subtle.exportKey('jwk', key)
  if (!('x' in jwk)) throw new TypeError('a JWK without its point')
  const point = Buffer.from(jwk.x ?? '', 'base64url')
  return { pkcs8, spki: Uint8Array.of(...SPKI_HEAD, ...point), keyIdentifier: await digest('SHA-1', point) }
}

/** Records one CA with its responder, key wrapped in D1. */
export async function addIssuer(
  admin: D1AdminStore,
  unknown: UnknownPolicy,
  policy: Partial<IssuerPolicy>,
  nowMs: number,
): Promise<WorldIssuer> {
  const pki = await pkiOf(unknown)
  const { certificate, hashes, notBefore, notAfter, keyHash } = pki.issuer
  const added = await admin.addIssuer(
    {
      name: `ca-${unknown}`,
      ski: hex(keyHash),
      certificate,
      hashes,
      notBefore,
      notAfter,
      policy: { ...TEST_POLICY, unknown, ...policy },
      enabled: true,
    },
    nowMs,
  )
  const { id: _id, retired: _retired, ...responder } = pki.responderRecord()
  const context = { issuerSKI: added.ski, responderName: responder.name, spki: responder.spki }
  const wrapped = await wrapKey(pki.responder.pkcs8, KEK, context)
  await admin.addResponder(added.id, responder, wrapped, nowMs)
  const record = await admin.findIssuer(added.name)
  if (record === undefined) throw new Error('the issuer just added is not there')
  const { spki, algorithm } = pki.responder
  const signer = { verify: await importVerifier(spki, algorithm), notAfter: pki.responder.notAfter }
  const signers = new Map([[hex(pki.responder.keyHash), signer]])
  return { record, pki, unknown, signers, compromises: [], finalMs: undefined }
}
