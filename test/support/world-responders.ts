/** Responders of a world come and go: others of the same issuer, of the same algorithm or another. */

import { generateKeyPair, type KeyPairBytes } from '../../src/cli/dev/generate-key.ts'
import {
  authorityKeyIdentifier,
  extendedKeyUsage,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import type { NewResponder } from '../../src/ports/admin-store.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { importVerifier } from '../../src/signing/webcrypto-signer.ts'
import type { Random } from './clock.ts'
import { hex } from './pki.ts'
import type { Interleaving } from './world-operations.ts'
import { ed25519Key, KEK, type WorldIssuer } from './world-setup.ts'

/** In this order; RSA signatures are of one size and always the same too. */
const OTHERS: readonly SignatureAlgorithm[] = [
  'sha256WithRSAEncryption',
  'Ed25519',
  'sha256WithRSAEncryption',
  'Ed25519',
]

const PREFERENCES = [
  { algorithm: 'Ed25519' },
  { algorithm: 'sha256WithRSAEncryption' },
  { algorithm: undefined },
] as const

const keys = new Map<string, Promise<KeyPairBytes>>()

/** Made once a process. */
function keyOf(issuer: WorldIssuer, n: number, algorithm: SignatureAlgorithm): Promise<KeyPairBytes> {
  // A key of RSA takes its time: the same for all issuers.
  const name = algorithm === 'Ed25519' ? `${issuer.unknown} responder ${n}` : `RSA ${n}`
  const made = keys.get(name) ?? (algorithm === 'Ed25519' ? ed25519Key(name) : generateKeyPair(algorithm))
  keys.set(name, made)
  return made
}

export async function rollOver(run: Interleaving, dice: Random): Promise<string> {
  const issuer = dice.pick(run.world.issuers)
  const what = dice.fraction()
  if (what < 0.25) return `default algorithm ${await prefer(run, issuer, dice)}`
  return what < 0.5 ? `retire ${await retire(run, issuer, dice)}` : `add ${await add(run, issuer, dice)}`
}

async function add(run: Interleaving, issuer: WorldIssuer, dice: Random): Promise<string> {
  const { world } = run
  const n = issuer.signers.size
  const algorithm = OTHERS[n - 1]
  if (algorithm === undefined) return 'no more'
  const notBefore = world.clock.seconds - dice.between(0, 600)
  const notAfter = world.clock.seconds + (dice.chance(0.4) ? dice.between(600, 9_000) : 90 * 86_400)
  const { responder, wrapped } = await anotherResponder(issuer, algorithm, { notBefore, notAfter })
  return run.operate('add a responder', dice, (place) =>
    world.configure(place, issuer, () =>
      place.admin.addResponder(issuer.record.id, responder, wrapped, world.clock.nowMs()),
    ),
  )
}

/** Certified by the CA, and from now on believed by the judge; not yet recorded. */
export async function anotherResponder(
  issuer: WorldIssuer,
  algorithm: SignatureAlgorithm,
  { notBefore, notAfter }: { readonly notBefore: number; readonly notAfter: number },
): Promise<{ responder: NewResponder; wrapped: Uint8Array }> {
  const n = issuer.signers.size
  const { pkcs8, spki, keyIdentifier } = await keyOf(issuer, n, algorithm)
  const certificate = await issuer.pki.responderCertificate({
    serialNumber: Uint8Array.of(0x41, 2 + n),
    notBefore,
    notAfter,
    spki,
    extensions: [
      extendedKeyUsage(OCSP_SIGNING),
      ocspNoCheck(),
      keyUsage('digitalSignature'),
      subjectKeyIdentifier(keyIdentifier),
      authorityKeyIdentifier(issuer.pki.issuer.keyHash),
    ],
  })
  issuer.signers.set(hex(keyIdentifier), { verify: await importVerifier(spki, algorithm), notAfter })
  const name = `responder ${n}`
  const { id: _id, retired: _retired, ...usual } = issuer.pki.responderRecord()
  const responder = {
    ...usual,
    name,
    certificate,
    keyHash: keyIdentifier,
    algorithm,
    spki,
    notBefore,
    notAfter,
  }
  const context = { issuerSKI: issuer.record.ski, responderName: name, spki }
  return { responder, wrapped: await wrapKey(pkcs8, KEK, context) }
}

/** One of several, but now and then the last one: then nothing new is signed. */
async function retire(run: Interleaving, issuer: WorldIssuer, dice: Random): Promise<string> {
  const { world } = run
  const rows = world.record.rows(
    'SELECT id FROM responders WHERE issuer = ?1 AND retired = 0',
    issuer.record.id,
  )
  const last = dice.chance(0.05)
  if (rows.length === 0 || (rows.length === 1 && !last)) return 'nobody'
  const id = Number(dice.pick(rows)['id'])
  return run.operate('retire a responder', dice, (place) =>
    world.configure(place, issuer, () =>
      place.admin.retireResponder(issuer.record.id, id, world.clock.nowMs()),
    ),
  )
}

async function prefer(run: Interleaving, issuer: WorldIssuer, dice: Random): Promise<string> {
  const { world } = run
  const { algorithm } = dice.pick(PREFERENCES)
  const policy = { ...issuer.record.policy, algorithm }
  return run.operate('default algorithm', dice, (place) =>
    world.configure(place, issuer, () =>
      place.admin.updateIssuer(issuer.record.id, { policy }, world.clock.nowMs()),
    ),
  )
}
