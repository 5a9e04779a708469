/** What the clients ask about: six issuers in one running Worker, with every kind of signer and policy among them. */
import { type CertificateFile, parseCertificate } from '../../src/cli/certificate.ts'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import {
  distinguishedName,
  issueCertificate,
  keyUsage,
  randomSerialNumber,
} from '../../src/cli/dev/issue-certificate.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { formatSerial } from '../../src/pkix/serial-number.ts'
import type { IssuerHashes } from '../../src/ports/records.ts'
import { importSigner, type Signer } from '../../src/signing/webcrypto-signer.ts'
import { tlv } from '../fixtures/octets.ts'
import { request } from '../fixtures/requests.ts'
import { type CertificateName, ISSUERS, type IssuerName } from './client-behaviour.ts'
import { makeTestPKI, type TestPKI, type TestPKIOptions } from './pki.ts'
import { startServer, type TestServer } from './server.ts'

const DAY = 86_400
const RSA = 'sha256WithRSAEncryption'

/** Who signs requests. */
export interface Requestor {
  /** DER of its Name. */
  readonly name: Uint8Array
  readonly certificate: Uint8Array
  readonly signer: Signer
}

/** What CertIDs are made of. */
export interface Subject {
  readonly hashes: Readonly<Record<HashAlgorithm, IssuerHashes>>
  readonly serial: Uint8Array
}

export interface AskedIssuer {
  readonly file: CertificateFile
  readonly hashes: Subject['hashes']
  readonly serials: Readonly<Record<CertificateName, Uint8Array>>
  /** What is said of a serial that is not recorded. */
  readonly never: 'unauthorized' | 'unknown' | 'revoked'
  readonly nonce: 'echo' | 'ignore' | 'rfc8954'
  readonly signedRequests: 'ignore' | 'verify' | 'require'
}

interface Kind {
  readonly pki: Omit<TestPKIOptions, 'now' | 'caName'>
  readonly policy: object
  readonly never: AskedIssuer['never']
  readonly nonce?: AskedIssuer['nonce']
  readonly signedRequests?: AskedIssuer['signedRequests']
  /** A second responder, of this algorithm. */
  readonly also?: typeof RSA
}

const KINDS: Readonly<Record<IssuerName, Kind>> = {
  plain: { pki: {}, policy: { unknown: 'unauthorized' }, never: 'unauthorized' },
  itself: {
    pki: { delegated: false, algorithm: RSA },
    policy: { unknown: 'unknown', nonce: 'rfc8954' },
    never: 'unknown',
    nonce: 'rfc8954',
  },
  extended: {
    pki: { algorithm: 'ecdsa-with-SHA384' },
    policy: { unknown: 'revoked-extended', nonce: 'ignore' },
    never: 'revoked',
    nonce: 'ignore',
  },
  several: { pki: {}, policy: { unknown: 'unauthorized' }, never: 'unauthorized', also: RSA },
  verifying: {
    pki: { algorithm: RSA },
    policy: { unknown: 'unknown', signedRequests: 'verify' },
    never: 'unknown',
    signedRequests: 'verify',
  },
  requiring: {
    pki: {},
    policy: { unknown: 'unauthorized', signedRequests: 'require' },
    never: 'unauthorized',
    signedRequests: 'require',
  },
}

export interface AskedWorld {
  readonly server: TestServer
  readonly issuers: Readonly<Record<IssuerName, AskedIssuer>>
  readonly requestor: Requestor
}

/** A running Worker with everything recorded and signed beforehand; `server.stop()` ends it. */
export async function startAskedWorld(): Promise<AskedWorld> {
  const now = Math.floor(Date.now() / 1000)
  const [server, { requestor, authority }] = await Promise.all([
    startServer({ demo: false }),
    makeRequestor(now),
  ])
  try {
    const made = new Map<IssuerName, AskedIssuer>()
    for (const name of ISSUERS) made.set(name, await addIssuer(server, name, authority, now))
    await server.admin('/presign', { all: true })
    const issuer = (name: IssuerName) => made.get(name) ?? fail(name)
    const issuers = {
      plain: issuer('plain'),
      itself: issuer('itself'),
      extended: issuer('extended'),
      several: issuer('several'),
      verifying: issuer('verifying'),
      requiring: issuer('requiring'),
    }
    return { server, issuers, requestor }
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function addIssuer(
  server: TestServer,
  name: IssuerName,
  authority: Uint8Array,
  now: number,
): Promise<AskedIssuer> {
  const { pki: options, policy, never, nonce = 'echo', signedRequests = 'ignore', also } = KINDS[name]
  const pki = await makeTestPKI({ now, caName: `CA ${name}`, freshKeys: true, ...options })
  const requestors = signedRequests === 'ignore' ? {} : { requestors: [formatPEM('CERTIFICATE', authority)] }
  await server.admin('/issuers', {
    name,
    certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
    policy: { ...policy, ...requestors },
    responder: responderInput(pki.responder),
  })
  if (also !== undefined) await addResponder(server, name, pki, also)
  const { hashes } = pki.issuer
  const serials = makeSerials(hashes)
  await server.admin(`/issuers/${name}/certificates`, { certificates: rows(serials, now) })
  const file = parseCertificate(pki.issuer.certificate, name)
  return { file, hashes, serials, never, nonce, signedRequests }
}

function responderInput({
  certificate,
  pkcs8,
}: {
  certificate: Uint8Array | undefined
  pkcs8: Uint8Array
}): object {
  const signs =
    certificate === undefined ? { signWithCA: true } : { certificate: formatPEM('CERTIFICATE', certificate) }
  return { ...signs, key: formatPEM('PRIVATE KEY', pkcs8) }
}

async function addResponder(
  server: TestServer,
  name: IssuerName,
  pki: TestPKI,
  algorithm: typeof RSA,
): Promise<void> {
  const { pkcs8, spki } = await generateKeyPair(algorithm)
  // Older than the first one, so that the first remains the one that signs unless another is asked for.
  const notBefore = pki.responder.notBefore - 3_600
  const certificate = await pki.responderCertificate({ spki, notBefore })
  await server.admin(`/issuers/${name}/responders`, {
    name: 'second',
    ...responderInput({ certificate, pkcs8 }),
  })
}

function rows(serials: AskedIssuer['serials'], now: number): object[] {
  const row = (name: CertificateName, status: object) => ({
    serial: formatSerial(serials[name]),
    notBefore: now - 10 * DAY,
    notAfter: name === 'expired' ? now - 120 : now + 90 * DAY,
    ...status,
  })
  return [
    row('good', { status: 'good' }),
    row('revoked', { status: 'revoked', reason: 'keyCompromise', revocationTime: now - DAY }),
    row('hold', { status: 'hold', revocationTime: now - DAY }),
    row('expired', { status: 'good' }),
  ]
}

/** Serial numbers of every kind of length and first octet (R5.44). */
function makeSerials(hashes: Subject['hashes']): AskedIssuer['serials'] {
  return {
    good: hardSerial(hashes),
    revoked: Uint8Array.of(0x01),
    hold: Uint8Array.of(0x00, 0x80),
    expired: Uint8Array.of(0x00, 0xff, ...crypto.getRandomValues(new Uint8Array(19))),
    never: Uint8Array.of(0x7f, ...crypto.getRandomValues(new Uint8Array(19))),
  }
}

/** A serial number whose request has every character in base64 that somebody mangles, and one merger of slashes. */
function hardSerial(hashes: Subject['hashes']): Uint8Array {
  const { issuerNameHash: nameHash, issuerKeyHash: keyHash } = hashes['SHA-1']
  for (let tries = 0; tries < 1_000_000; tries += 1) {
    const serial = Uint8Array.of(0x40, ...crypto.getRandomValues(new Uint8Array(15)))
    const der = request({ nameHash, keyHash, serial: tlv(0x02, serial) })
    if (/\+.*[^/]\/\/[^/].*=$/.test(Buffer.from(der).toString('base64'))) return serial
  }
  return fail('no such serial number')
}

/** A certificate that may sign requests, and the CA to name in a policy. */
export async function makeRequestor(now: number): Promise<{ requestor: Requestor; authority: Uint8Array }> {
  const { issuer } = await makeTestPKI({ now, caName: 'CA of requestors', freshKeys: true })
  const key = await generateKeyPair('ecdsa-with-SHA256')
  const name = distinguishedName({ organization: 'Edge OCSP test', commonName: 'requestor' })
  const certificate = await issueCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: issuer.name,
      subject: name,
      notBefore: now - DAY,
      notAfter: now + DAY,
      spki: key.spki,
      extensions: [keyUsage('digitalSignature')],
    },
    issuer.signer,
  )
  const signer = await importSigner(key.pkcs8, 'ecdsa-with-SHA256')
  return { requestor: { name, certificate, signer }, authority: issuer.certificate }
}

function fail(what: string): never {
  throw new Error(what)
}
