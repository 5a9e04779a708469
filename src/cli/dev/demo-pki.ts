/**
 * The demonstration PKI: root, issuing CA, delegated responder and one certificate for each answer a client can get. Made in
 * memory; the caller writes the files and records the certificates. For trying out only: its keys lie beside its
 * certificates.
 */
import type { UnixSeconds } from '../../asn1/generalized-time.ts'
import { crlReasonNumber } from '../../pkix/crl-reason.ts'
import { formatPEM } from '../../pkix/pem.ts'
import type { SignatureAlgorithm } from '../../ports/records.ts'
import { importSigner } from '../../signing/webcrypto-signer.ts'
import { generateKeyPair, type KeyPairBytes } from './generate-key.ts'
import {
  authorityInfoAccess,
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
  SERVER_AUTH,
  subjectAltName,
  subjectKeyIdentifier,
} from './issue-certificate.ts'

const HOUR = 3600
const DAY = 86_400
const ALGORITHM: SignatureAlgorithm = 'ecdsa-with-SHA256'
const ORGANIZATION = 'Edge OCSP demonstration'

/** What the demonstration certificates are there to show. */
export type DemoName = 'good' | 'revoked' | 'hold' | 'expired' | 'never'

export interface DemoFile {
  readonly fileName: string
  readonly pem: string
  /** A private key: to be written for its owner only (mode 600). */
  readonly secret: boolean
}

export interface DemoCertificate {
  readonly name: DemoName
  /** Among `files`. */
  readonly fileName: string
  readonly certificate: Uint8Array
  /** Content octets. */
  readonly serialNumber: Uint8Array
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  /** Undefined: not to be recorded at all. */
  readonly status: 'good' | 'revoked' | 'hold' | undefined
  /** 0 when there is none. */
  readonly revocationTime: UnixSeconds
  /** CRLReason number. */
  readonly reason: number | undefined
}

export interface DemoPKI {
  readonly files: readonly DemoFile[]
  /** The issuing CA that we answer for. */
  readonly issuer: { readonly fileName: string; readonly certificate: Uint8Array }
  /** Root and issuing CA in one file: `openssl ocsp -CAfile`. */
  readonly chainFileName: string
  readonly responder: {
    readonly fileName: string
    readonly keyFileName: string
    readonly certificate: Uint8Array
    /** DER PrivateKeyInfo. */
    readonly pkcs8: Uint8Array
    readonly algorithm: SignatureAlgorithm
  }
  readonly certificates: readonly DemoCertificate[]
}

export interface DemoPKIOptions {
  /** Where the responder will serve, e.g. `http://127.0.0.1:8787`; goes into AuthorityInfoAccess. */
  readonly baseURL: string
  /** Path of the issuer's certificate there, e.g. `/issuers/1.cer`. */
  readonly issuerPath: string
  readonly now: UnixSeconds
}

interface Authority {
  readonly key: KeyPairBytes
  readonly name: Uint8Array
  readonly certificate: Uint8Array
}

export async function makeDemoPKI(options: DemoPKIOptions): Promise<DemoPKI> {
  const { now } = options
  const root = await makeAuthority('Demonstration Root CA', undefined, now)
  const issuer = await makeAuthority('Demonstration Issuing CA', root, now)
  const responder = await makeResponder(issuer, now)
  const leaves = await Promise.all(leafPlans(now).map((plan) => makeLeaf(plan, issuer, options)))
  return {
    files: [
      ...pemFiles('root', root.certificate, root.key),
      ...pemFiles('issuer', issuer.certificate, issuer.key),
      ...pemFiles('responder', responder.certificate, responder.key),
      {
        fileName: 'chain.pem',
        pem: formatPEM('CERTIFICATE', issuer.certificate) + formatPEM('CERTIFICATE', root.certificate),
        secret: false,
      },
      ...leaves.flatMap(({ certificate, key }) => pemFiles(certificate.name, certificate.certificate, key)),
    ],
    issuer: { fileName: 'issuer.pem', certificate: issuer.certificate },
    chainFileName: 'chain.pem',
    responder: {
      fileName: 'responder.pem',
      keyFileName: 'responder-key.pem',
      certificate: responder.certificate,
      pkcs8: responder.key.pkcs8,
      algorithm: ALGORITHM,
    },
    certificates: leaves.map(({ certificate }) => certificate),
  }
}

/** A root when `parent` is undefined. Old enough to have issued the certificate that has expired. */
async function makeAuthority(
  commonName: string,
  parent: Authority | undefined,
  now: UnixSeconds,
): Promise<Authority> {
  const key = await generateKeyPair(ALGORITHM)
  const name = distinguishedName({ organization: ORGANIZATION, commonName })
  const signer = await importSigner((parent?.key ?? key).pkcs8, ALGORITHM)
  const certificate = await issueCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: parent?.name ?? name,
      subject: name,
      notBefore: now - 365 * DAY,
      notAfter: now + (parent === undefined ? 3650 : 1825) * DAY,
      spki: key.spki,
      extensions: [
        parent === undefined ? basicConstraints(true) : basicConstraints(true, 0),
        keyUsage('digitalSignature', 'keyCertSign', 'cRLSign'),
        subjectKeyIdentifier(key.keyIdentifier),
        ...(parent === undefined ? [] : [authorityKeyIdentifier(parent.key.keyIdentifier)]),
      ],
    },
    signer,
  )
  return { key, name, certificate }
}

async function makeResponder(
  issuer: Authority,
  now: UnixSeconds,
): Promise<{ certificate: Uint8Array; key: KeyPairBytes }> {
  const key = await generateKeyPair(ALGORITHM)
  const subject = distinguishedName({
    organization: ORGANIZATION,
    commonName: 'Demonstration OCSP Responder',
  })
  const certificate = await sign(issuer, {
    subject,
    notBefore: now - HOUR,
    notAfter: now - HOUR + 90 * DAY,
    key,
    extensions: [
      extendedKeyUsage(OCSP_SIGNING),
      ocspNoCheck(),
      keyUsage('digitalSignature'),
      subjectKeyIdentifier(key.keyIdentifier),
      authorityKeyIdentifier(issuer.key.keyIdentifier),
    ],
  })
  return { certificate: certificate.der, key }
}

interface LeafPlan {
  readonly name: DemoName
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
  readonly status: DemoCertificate['status']
  readonly revocationTime: UnixSeconds
  readonly reason: number | undefined
}

function leafPlans(now: UnixSeconds): readonly LeafPlan[] {
  const current = {
    notBefore: now - 30 * DAY,
    notAfter: now + 365 * DAY,
    revocationTime: 0,
    reason: undefined,
  }
  const minute = now - (now % 60)
  return [
    { ...current, name: 'good', status: 'good' },
    {
      ...current,
      name: 'revoked',
      status: 'revoked',
      revocationTime: minute - DAY,
      reason: crlReasonNumber('keyCompromise'),
    },
    {
      ...current,
      name: 'hold',
      status: 'hold',
      revocationTime: minute - 2 * HOUR,
      reason: crlReasonNumber('certificateHold'),
    },
    { ...current, name: 'expired', status: 'good', notBefore: now - 91 * DAY, notAfter: now - DAY },
    { ...current, name: 'never', status: undefined },
  ]
}

async function makeLeaf(
  plan: LeafPlan,
  issuer: Authority,
  options: DemoPKIOptions,
): Promise<{ certificate: DemoCertificate; key: KeyPairBytes }> {
  const key = await generateKeyPair(ALGORITHM)
  const host = `${plan.name}.example`
  const subject = distinguishedName({ organization: ORGANIZATION, commonName: host })
  const baseURL = options.baseURL.replace(/\/+$/, '')
  const { der, serialNumber } = await sign(issuer, {
    subject,
    notBefore: plan.notBefore,
    notAfter: plan.notAfter,
    key,
    extensions: [
      keyUsage('digitalSignature'),
      extendedKeyUsage(SERVER_AUTH),
      subjectAltName(host),
      subjectKeyIdentifier(key.keyIdentifier),
      authorityKeyIdentifier(issuer.key.keyIdentifier),
      authorityInfoAccess({ ocsp: `${baseURL}/`, caIssuers: `${baseURL}${options.issuerPath}` }),
    ],
  })
  return { certificate: { ...plan, fileName: `${plan.name}.pem`, certificate: der, serialNumber }, key }
}

async function sign(
  issuer: Authority,
  subject: {
    readonly subject: Uint8Array
    readonly notBefore: UnixSeconds
    readonly notAfter: UnixSeconds
    readonly key: KeyPairBytes
    readonly extensions: readonly CertificateExtension[]
  },
): Promise<{ der: Uint8Array; serialNumber: Uint8Array }> {
  const serialNumber = randomSerialNumber()
  const { key, ...fields } = subject
  const der = await issueCertificate(
    { ...fields, serialNumber, issuer: issuer.name, spki: key.spki },
    await importSigner(issuer.key.pkcs8, ALGORITHM),
  )
  return { der, serialNumber }
}

function pemFiles(name: string, certificate: Uint8Array, key: KeyPairBytes): DemoFile[] {
  return [
    { fileName: `${name}.pem`, pem: formatPEM('CERTIFICATE', certificate), secret: false },
    { fileName: `${name}-key.pem`, pem: formatPEM('PRIVATE KEY', key.pkcs8), secret: true },
  ]
}
