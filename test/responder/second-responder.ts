/** More responders of one issuer, each with an algorithm of its own, and requests that prefer one. */
import { generateKeyPair, type KeyPairBytes } from '../../src/cli/dev/generate-key.ts'
import {
  authorityKeyIdentifier,
  extendedKeyUsage,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import { encodeResponseData } from '../../src/ocsp/basic-response.ts'
import { encodeAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import type { ResponderRecord, SignatureAlgorithm } from '../../src/ports/records.ts'
import { signatureAlgorithmOf } from '../../src/responder/signature-choice.ts'
import { SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { importVerifier } from '../../src/signing/webcrypto-signer.ts'
import { about, basicOf, type CA, type Reply, type Rig } from '../conformance/harness.ts'
import { hex, seq } from '../fixtures/octets.ts'
import { extension, NONCE_OID, request, requestExtensions } from '../fixtures/requests.ts'
import { KEK } from '../support/world-setup.ts'

export interface SecondResponder {
  readonly algorithm: SignatureAlgorithm
  readonly notBefore?: number
  readonly notAfter?: number
  /** False: the record has no key of it. */
  readonly hasKey?: boolean
  readonly key?: KeyPairBytes
}

const keys = new Map<SignatureAlgorithm, Promise<KeyPairBytes>>()

/** Adds a responder to the record; the overlay knows of it when this is done. */
export async function addResponder(rig: Rig, ca: CA, special: SecondResponder): Promise<ResponderRecord> {
  const { algorithm, hasKey = true } = special
  const { pki, record } = ca
  const made = keys.get(algorithm) ?? generateKeyPair(algorithm)
  keys.set(algorithm, made)
  const { spki, pkcs8, keyIdentifier } = special.key ?? (await made)
  const notBefore = special.notBefore ?? rig.clock.seconds - 60
  const notAfter = special.notAfter ?? rig.clock.seconds + 60 * 86_400
  const extensions = [
    extendedKeyUsage(OCSP_SIGNING),
    ocspNoCheck(),
    keyUsage('digitalSignature'),
    subjectKeyIdentifier(keyIdentifier),
    authorityKeyIdentifier(pki.issuer.keyHash),
  ]
  const { length } = await respondersOf(rig, ca)
  const name = `responder-${length + 1}`
  const certificate = await pki.responderCertificate({
    spki,
    notBefore,
    notAfter,
    extensions,
    serialNumber: Uint8Array.of(0x42, length + 1),
  })
  const facts = { name, certificate, keyHash: keyIdentifier, algorithm, spki, notBefore, notAfter }
  const wrapped = await wrapKey(pkcs8, KEK, { issuerSKI: record.ski, responderName: name, spki })
  const added = await rig.isolate.admin.addResponder(
    record.id,
    { ...facts, custody: 'wrapped', secretName: undefined },
    hasKey ? wrapped : Uint8Array.of(1, ...new Uint8Array(60)),
    rig.clock.nowMs(),
  )
  await rig.pass(60)
  return added
}

export async function respondersOf(rig: Rig, { record }: CA): Promise<readonly ResponderRecord[]> {
  return (await rig.isolate.admin.findIssuer(record.name))?.responders ?? []
}

export async function retire(rig: Rig, ca: CA, { id }: Pick<ResponderRecord, 'id'>): Promise<void> {
  await rig.isolate.admin.retireResponder(ca.record.id, id, rig.clock.nowMs())
  await rig.pass(60)
}

const PREFERRED_OID = hex('06 09 2b0601050507300108')

/** A request that prefers these algorithms, as names or as DER AlgorithmIdentifiers. */
export function preferring(
  ca: CA,
  serial: Uint8Array,
  wanted: readonly (SignatureAlgorithm | Uint8Array)[],
  nonce?: Uint8Array,
): Uint8Array {
  const list = wanted.map((one) =>
    seq(one instanceof Uint8Array ? one : SIGNATURE_ALGORITHMS[one].identifier),
  )
  const preferred = extension(PREFERRED_OID, seq(...list))
  const extensions = nonce === undefined ? [preferred] : [extension(NONCE_OID, nonce), preferred]
  return request({ ...about(ca, serial), after: requestExtensions(...extensions) })
}

/**
 * What a response is signed with, after its signature was verified with the key of the responder that it names.
 * @throws when it names none of the issuer's responders, or the signature is wrong
 */
export async function signedWith(rig: Rig, ca: CA, reply: Reply): Promise<SignatureAlgorithm> {
  const basic = basicOf(reply)
  const { responderID } = basic.tbsResponseData
  const algorithm = signatureAlgorithmOf(basic.signatureAlgorithm)
  const signer = (await respondersOf(rig, ca)).find(
    ({ keyHash }) => 'byKey' in responderID && Buffer.from(keyHash).equals(responderID.byKey),
  )
  if (algorithm === undefined || signer?.algorithm !== algorithm)
    throw new Error(
      `nobody signs with ${Buffer.from(encodeAlgorithmIdentifier(basic.signatureAlgorithm)).toString('hex')}`,
    )
  const verify = await importVerifier(signer.spki, algorithm)
  if (!(await verify(encodeResponseData(basic.tbsResponseData), basic.signature)))
    throw new Error('the signature is wrong')
  return algorithm
}
