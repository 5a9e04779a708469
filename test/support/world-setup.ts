/** Issuers of a world: three CAs, one for each policy about serials that are not recorded. */
import type { IssuerPolicy, IssuerRecord, UnknownPolicy } from '../../src/ports/records.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { importVerifier, type Verifier } from '../../src/signing/webcrypto-signer.ts'
import type { D1AdminStore } from '../../src/storage/d1-admin-store.ts'
import { EPOCH } from './clock.ts'
import { hex, makeTestPKI, TEST_POLICY, type TestPKI } from './pki.ts'

export const KEK: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 3)

export interface WorldIssuer {
  readonly record: IssuerRecord
  readonly pki: TestPKI
  readonly verify: Verifier
  readonly unknown: UnknownPolicy
}

const pkis = new Map<UnknownPolicy, Promise<TestPKI>>()

/** Made once a process: keys and certificates are the same in every world. */
function pkiOf(unknown: UnknownPolicy): Promise<TestPKI> {
  const known = pkis.get(unknown)
  if (known !== undefined) return known
  const made = makeTestPKI({
    now: EPOCH,
    caName: `CA ${unknown}`,
    freshKeys: true,
    algorithm: 'Ed25519',
    caAlgorithm: 'Ed25519',
  }) // signatures of one size
  pkis.set(unknown, made)
  return made
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
  const verify = await importVerifier(pki.responder.spki, pki.responder.algorithm)
  return { record, pki, verify, unknown }
}
