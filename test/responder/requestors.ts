/** Whoever signs requests: certificates of any making, and requests with a signature of any making. */
import { createPrivateKey, sign } from 'node:crypto'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  type CertificateExtension,
  distinguishedName,
  issueCertificate,
  keyUsage,
  randomSerialNumber,
} from '../../src/cli/dev/issue-certificate.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { importSigner, type Signer } from '../../src/signing/webcrypto-signer.ts'
import { about, type CA } from '../conformance/harness.ts'
import { seq, tlv } from '../fixtures/octets.ts'
import { certID } from '../fixtures/requests.ts'
import { EPOCH } from '../support/clock.ts'

export interface Requestor {
  /** DER Name. */
  readonly name: Uint8Array
  readonly certificate: Uint8Array
  readonly serial: Uint8Array
  readonly pkcs8: Uint8Array
  readonly signer: Signer
}

export interface RequestorOptions {
  readonly algorithm?: SignatureAlgorithm
  readonly rsaBits?: number
  readonly notBefore?: number
  readonly notAfter?: number
  readonly extensions?: readonly CertificateExtension[]
  /** Who issued its certificate; itself when absent. */
  readonly issuer?: { readonly name: Uint8Array; readonly signer: Signer }
  readonly commonName?: string
}

export async function makeRequestor(options: RequestorOptions = {}): Promise<Requestor> {
  const { algorithm = 'ecdsa-with-SHA256', issuer, extensions = [keyUsage('digitalSignature')] } = options
  const { spki, pkcs8 } = await generateKeyPair(algorithm, options.rsaBits)
  const signer = options.rsaBits === undefined ? await importSigner(pkcs8, algorithm) : rsaSigner(pkcs8)
  const name = distinguishedName({ commonName: options.commonName ?? 'A requestor' })
  const serial = randomSerialNumber()
  const certificate = await issueCertificate(
    {
      serialNumber: serial,
      issuer: issuer?.name ?? name,
      subject: name,
      notBefore: options.notBefore ?? EPOCH - 3_600,
      notAfter: options.notAfter ?? EPOCH + 30 * 86_400,
      spki,
      extensions,
    },
    issuer?.signer ?? signer,
  )
  return { name, certificate, serial, pkcs8, signer }
}

/** With keys that importSigner refuses, too. */
function rsaSigner(pkcs8: Uint8Array): Signer {
  const algorithm = 'sha256WithRSAEncryption'
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  return {
    algorithm,
    signatureAlgorithm: SIGNATURE_ALGORITHMS[algorithm].identifier,
    sign: async (octets) => new Uint8Array(sign('sha256', octets, key)),
  }
}

export interface SignedParts {
  /** GeneralName instead of the directoryName of the requestor; 'none' for none. */
  readonly requestorName?: Uint8Array | 'none'
  readonly certs?: readonly Uint8Array[]
  /** DER AlgorithmIdentifier that the request claims. */
  readonly algorithm?: Uint8Array
  /** After the TBSRequest was signed. */
  readonly alterTBS?: (tbs: Uint8Array) => Uint8Array
  readonly alterSignature?: (signature: Uint8Array) => Uint8Array
  /** [2] requestExtensions. */
  readonly after?: Uint8Array
}

/** DER of a request about one certificate, signed. */
export async function signedRequest(
  ca: CA,
  serial: Uint8Array,
  by: Requestor,
  parts: SignedParts = {},
): Promise<Uint8Array> {
  const { requestorName = tlv(0xa4, by.name), certs = [by.certificate] } = parts
  const same = (octets: Uint8Array) => octets
  const tbs = seq(
    requestorName === 'none' ? new Uint8Array() : tlv(0xa1, requestorName),
    seq(seq(certID(about(ca, serial)))),
    parts.after ?? new Uint8Array(),
  )
  const signature = (parts.alterSignature ?? same)(await by.signer.sign(tbs))
  const given = certs.length === 0 ? [] : [tlv(0xa0, seq(...certs))]
  const algorithm = parts.algorithm ?? by.signer.signatureAlgorithm
  return seq(
    (parts.alterTBS ?? same)(tbs),
    tlv(0xa0, seq(algorithm, tlv(0x03, Uint8Array.of(0), signature), ...given)),
  )
}

/** The last octet but `back` is another. */
export function altered(octets: Uint8Array, back = 1): Uint8Array {
  const copy = Uint8Array.from(octets)
  const at = copy.length - back
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
