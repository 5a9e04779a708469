/**
 * Certification authorities, responders and certificates for tests. Works in plain Node and in workerd. Keys are made once
 * per process and algorithm (RSA takes its time); certificates are made for each PKI.
 */
import type { UnixSeconds } from '../../src/asn1/generalized-time.ts'
import { generateKeyPair, type KeyPairBytes, publicKeyBits } from '../../src/cli/dev/generate-key.ts'
import {
  authorityKeyIdentifier,
  basicConstraints,
  type CertificateExtension,
  distinguishedName,
  extendedKeyUsage,
  issueCertificate,
  keyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
  randomSerialNumber,
  subjectKeyIdentifier,
} from '../../src/cli/dev/issue-certificate.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { bufferSource } from '../../src/pkix/buffer-source.ts'
import type {
  IssuerHashes,
  IssuerPolicy,
  IssuerRecord,
  ResponderRecord,
  SignatureAlgorithm,
} from '../../src/ports/records.ts'
import { importSigner, type Signer } from '../../src/signing/webcrypto-signer.ts'

const DAY = 86_400

export interface TestPKIOptions {
  readonly now: UnixSeconds
  /** Of the responder's key; also of the CA's, when `delegated` is false. Default ecdsa-with-SHA256. */
  readonly algorithm?: SignatureAlgorithm
  /** Of the CA's key. Default ecdsa-with-SHA256, or `algorithm` when `delegated` is false. */
  readonly caAlgorithm?: SignatureAlgorithm
  /** False: the CA signs its own responses (R1.59). Default true. */
  readonly delegated?: boolean
  /** Common name of the CA; tests with several CAs want different ones. Default "Test CA". */
  readonly caName?: string
  /** Validity of the CA certificate, default now - 1 d .. now + 3650 d. */
  readonly caNotBefore?: UnixSeconds
  readonly caNotAfter?: UnixSeconds
  /** Extensions of the CA certificate instead of the usual ones. */
  readonly caExtensions?: readonly CertificateExtension[]
  /** What is special about the responder certificate. */
  readonly responder?: ResponderOptions
  /** Default false: each PKI has the same keys as others of its algorithms. True makes fresh ones. */
  readonly freshKeys?: boolean
  /** These keys instead, and serial numbers that repeat: for what must be the same in every process. */
  readonly keys?: { readonly ca: KeyPairBytes; readonly responder: KeyPairBytes }
}

export interface ResponderOptions {
  /** Default now - 1 h. */
  readonly notBefore?: UnixSeconds
  /** Default now + 90 d. */
  readonly notAfter?: UnixSeconds
  /** Default "Test OCSP Responder"; the CA's own name makes the same-DN case (R1.54). */
  readonly subject?: Uint8Array
  /** Default the CA's name. */
  readonly issuer?: Uint8Array
  readonly serialNumber?: Uint8Array
  /** Key in the certificate. Default the responder's. */
  readonly spki?: Uint8Array
  /** Instead of the usual ones (see `responderExtensions`). */
  readonly extensions?: readonly CertificateExtension[]
  /** Who signs the certificate. Default the CA. */
  readonly signer?: Signer
}

export interface LeafOptions {
  /** Content octets; default 20 random ones. */
  readonly serialNumber?: Uint8Array
  readonly notBefore?: UnixSeconds
  readonly notAfter?: UnixSeconds
  readonly commonName?: string
  readonly extensions?: readonly CertificateExtension[]
}

export interface TestPKI {
  readonly issuer: {
    /** DER. */
    readonly certificate: Uint8Array
    /** Raw DER Name. */
    readonly name: Uint8Array
    readonly pkcs8: Uint8Array
    readonly spki: Uint8Array
    readonly algorithm: SignatureAlgorithm
    readonly signer: Signer
    /** SHA-1 of the key bits: subject key identifier, and ResponderID when the CA signs. */
    readonly keyHash: Uint8Array
    readonly notBefore: UnixSeconds
    readonly notAfter: UnixSeconds
    readonly hashes: Readonly<Record<HashAlgorithm, IssuerHashes>>
  }
  /** Who signs responses: the delegate, or the CA itself with `certificate` undefined. */
  readonly responder: {
    readonly certificate: Uint8Array | undefined
    readonly pkcs8: Uint8Array
    readonly spki: Uint8Array
    readonly algorithm: SignatureAlgorithm
    readonly signer: Signer
    readonly keyHash: Uint8Array
    readonly notBefore: UnixSeconds
    readonly notAfter: UnixSeconds
  }
  /** The usual extensions of a responder certificate of this CA. */
  readonly responderExtensions: readonly CertificateExtension[]
  /** Another responder certificate of this CA. @returns DER */
  responderCertificate(options?: ResponderOptions): Promise<Uint8Array>
  /** A certificate issued by this CA. */
  leaf(options?: LeafOptions): Promise<{
    readonly certificate: Uint8Array
    readonly serialNumber: Uint8Array
    readonly notBefore: UnixSeconds
    readonly notAfter: UnixSeconds
  }>
  /** The record as D1 would keep it (custody wrapped, id 1, policy private with 7 days). */
  issuerRecord(overrides?: Partial<IssuerRecord>): IssuerRecord
  responderRecord(overrides?: Partial<ResponderRecord>): ResponderRecord
}

export const TEST_POLICY: IssuerPolicy = {
  unknown: 'unauthorized',
  nonce: 'echo',
  profile: 'private',
  validitySeconds: 7 * DAY,
  maxAge: 'next-update',
  hashes: ['SHA-1', 'SHA-256'],
  retainSeconds: 30 * DAY,
  signedRequests: 'ignore',
  requestors: [],
  archiveCutoff: 'none',
  algorithm: undefined,
}

export async function makeTestPKI(options: TestPKIOptions): Promise<TestPKI> {
  const { now, delegated = true, freshKeys = false, keys: given } = options
  const algorithm = options.algorithm ?? 'ecdsa-with-SHA256'
  const caAlgorithm = options.caAlgorithm ?? (delegated ? 'ecdsa-with-SHA256' : algorithm)
  const caKey = given?.ca ?? (await keyPair(caAlgorithm, 'ca', freshKeys))
  const caSigner = await importSigner(caKey.pkcs8, caAlgorithm)
  const caName = distinguishedName({
    organization: 'Edge OCSP test',
    commonName: options.caName ?? 'Test CA',
  })
  const caKeyHash = caKey.keyIdentifier
  const caNotBefore = options.caNotBefore ?? now - DAY
  const caNotAfter = options.caNotAfter ?? now + 3650 * DAY
  const certificate = await issueCertificate(
    {
      serialNumber: given === undefined ? randomSerialNumber() : Uint8Array.of(0x41, 1),
      issuer: caName,
      subject: caName,
      notBefore: caNotBefore,
      notAfter: caNotAfter,
      spki: caKey.spki,
      extensions: options.caExtensions ?? [
        basicConstraints(true),
        keyUsage('digitalSignature', 'keyCertSign', 'cRLSign'),
        subjectKeyIdentifier(caKeyHash),
      ],
    },
    caSigner,
  )
  const issuer = {
    certificate,
    name: caName,
    ...caKey,
    algorithm: caAlgorithm,
    signer: caSigner,
    keyHash: caKeyHash,
    notBefore: caNotBefore,
    notAfter: caNotAfter,
    hashes: await issuerHashes(caName, publicKeyBits(caKey.spki)),
  }

  const key = delegated ? (given?.responder ?? (await keyPair(algorithm, 'responder', freshKeys))) : caKey
  const keyHash = key.keyIdentifier
  const responderExtensions = [
    extendedKeyUsage(OCSP_SIGNING),
    ocspNoCheck(),
    keyUsage('digitalSignature'),
    subjectKeyIdentifier(keyHash),
    authorityKeyIdentifier(caKeyHash),
  ]
  const responderCertificate = (special: ResponderOptions = {}) =>
    issueCertificate(
      {
        serialNumber:
          special.serialNumber ?? (given === undefined ? randomSerialNumber() : Uint8Array.of(0x41, 2)),
        issuer: special.issuer ?? caName,
        subject:
          special.subject ??
          distinguishedName({ organization: 'Edge OCSP test', commonName: 'Test OCSP Responder' }),
        notBefore: special.notBefore ?? now - 3600,
        notAfter: special.notAfter ?? now + 90 * DAY,
        spki: special.spki ?? key.spki,
        extensions: special.extensions ?? responderExtensions,
      },
      special.signer ?? caSigner,
    )
  const responder = {
    certificate: delegated ? await responderCertificate(options.responder) : undefined,
    ...key,
    algorithm: delegated ? algorithm : caAlgorithm,
    signer: delegated ? await importSigner(key.pkcs8, algorithm) : caSigner,
    keyHash,
    notBefore: delegated ? (options.responder?.notBefore ?? now - 3600) : caNotBefore,
    notAfter: delegated ? (options.responder?.notAfter ?? now + 90 * DAY) : caNotAfter,
  }
  const responderRecord = (overrides: Partial<ResponderRecord> = {}): ResponderRecord => ({
    id: 1,
    name: 'responder',
    certificate: responder.certificate,
    keyHash,
    algorithm: responder.algorithm,
    custody: 'wrapped',
    secretName: undefined,
    spki: responder.spki,
    notBefore: responder.notBefore,
    notAfter: responder.notAfter,
    retired: false,
    ...overrides,
  })

  return {
    issuer,
    responder,
    responderExtensions,
    responderCertificate,
    responderRecord,
    async leaf(special = {}) {
      const serialNumber = special.serialNumber ?? randomSerialNumber()
      const notBefore = special.notBefore ?? now - DAY
      const notAfter = special.notAfter ?? now + 90 * DAY
      const leafKey = await keyPair('ecdsa-with-SHA256', 'leaf', false)
      const leaf = await issueCertificate(
        {
          serialNumber,
          issuer: caName,
          subject: distinguishedName({ commonName: special.commonName ?? 'leaf.example' }),
          notBefore,
          notAfter,
          spki: leafKey.spki,
          extensions: special.extensions ?? [keyUsage('digitalSignature'), authorityKeyIdentifier(caKeyHash)],
        },
        caSigner,
      )
      return { certificate: leaf, serialNumber, notBefore, notAfter }
    },
    issuerRecord: (overrides = {}) => ({
      id: 1,
      name: 'test-ca',
      ski: hex(caKeyHash),
      certificate,
      hashes: issuer.hashes,
      notBefore: caNotBefore,
      notAfter: caNotAfter,
      policy: TEST_POLICY,
      enabled: true,
      configRev: 1,
      responders: [responderRecord()],
      ...overrides,
    }),
  }
}

/** Hashes of raw Name and key bits in each algorithm of CertID (R1.14, R1.15). */
export async function issuerHashes(
  name: Uint8Array,
  keyBits: Uint8Array,
): Promise<Record<HashAlgorithm, IssuerHashes>> {
  const one = async (hash: HashAlgorithm): Promise<IssuerHashes> => ({
    issuerNameHash: await digest(hash, name),
    issuerKeyHash: await digest(hash, keyBits),
  })
  return {
    'SHA-1': await one('SHA-1'),
    'SHA-256': await one('SHA-256'),
    'SHA-384': await one('SHA-384'),
    'SHA-512': await one('SHA-512'),
  }
}

export async function digest(hash: HashAlgorithm, bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(hash, bufferSource(bytes)))
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export { publicKeyBits }

const keys = new Map<string, Promise<KeyPairBytes>>()

function keyPair(algorithm: SignatureAlgorithm, role: string, fresh: boolean): Promise<KeyPairBytes> {
  if (fresh) return generateKeyPair(algorithm)
  // PKCS#1 v1.5 and PSS use the same kind of key: one generation serves both.
  const kind = algorithm === 'rsassaPss-sha256' ? 'sha256WithRSAEncryption' : algorithm
  const name = `${kind} ${role}`
  let pair = keys.get(name)
  if (pair === undefined) {
    pair = generateKeyPair(kind)
    keys.set(name, pair)
  }
  return pair
}
