/** The world of the interop matrix: one Worker that serves six issuers, three kinds of signer under two policies. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '../../../src/cli/dev/generate-key.ts'
import {
  authorityInfoAccess,
  authorityKeyIdentifier,
  type CertificateExtension,
  distinguishedName,
  extendedKeyUsage,
  issueCertificate,
  keyUsage,
  randomSerialNumber,
  SERVER_AUTH,
  subjectKeyIdentifier,
  tlv,
} from '../../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../../src/pkix/pem.ts'
import { formatSerial } from '../../../src/pkix/serial-number.ts'
import { makeTestPKI, type TestPKI, type TestPKIOptions } from '../../support/pki.ts'
import { startServer } from '../../support/server.ts'
import { ANSWERS, type Answer, type MatrixCase, SIGNERS, type Signer } from './client.ts'
import { type Exchange, forge, startTap } from './tap.ts'

const DAY = 86_400
/** How long ago `expired` did. Java allows for 15 minutes between its clock and an answer, and asks as of a time before this. */
const EXPIRED_AGO = 120

const RSA = 'sha256WithRSAEncryption'
const ECDSA = 'ecdsa-with-SHA256'
/** By policy for what is not recorded: between the two each signer works for a CA of the other kind of key as well. */
const PKIS = {
  unauthorized: {
    'RSA delegate': { algorithm: RSA, caAlgorithm: RSA },
    'ECDSA delegate': { algorithm: ECDSA, caAlgorithm: ECDSA },
    'CA itself': { delegated: false, algorithm: ECDSA },
  },
  unknown: {
    'RSA delegate': { algorithm: RSA, caAlgorithm: ECDSA },
    'ECDSA delegate': { algorithm: ECDSA, caAlgorithm: RSA },
    'CA itself': { delegated: false, algorithm: RSA },
  },
} as const satisfies Record<string, Record<Signer, Omit<TestPKIOptions, 'now'>>>
type UnknownPolicy = keyof typeof PKIS

const STATUS: Readonly<Partial<Record<Answer, object>>> = {
  good: { status: 'good' },
  revoked: { status: 'revoked', reason: 'keyCompromise' },
  hold: { status: 'hold' },
  expired: { status: 'good' },
}

export interface MatrixWorld {
  /** All of them, signer by signer. */
  readonly cases: readonly MatrixCase[]
  /** Signer by signer: good, but on its way to the client the answer's signature breaks. */
  readonly forged: readonly MatrixCase[]
  /** What went over the wire to `forged`, so far. */
  readonly wire: readonly Exchange[]
  /** Scratch folder, removed by `stop`. */
  readonly folder: string
  stop(): Promise<void>
}

/** Makes keys and certificates, starts the Worker, records what is to be recorded, and signs it in advance. */
export async function startMatrixWorld(): Promise<MatrixWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-matrix-'))
  const server = await startServer({ demo: false })
  const forger = await startTap(server.url, forge)
  const stop = async () => {
    await forger.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const now = Math.floor(Date.now() / 1000)
    const cases: MatrixCase[] = []
    const forged: MatrixCase[] = []
    for (const signer of SIGNERS) {
      for (const unknown of ['unauthorized', 'unknown'] as const) {
        const caName = slug(`${signer} ${unknown}`)
        const pki = await makeTestPKI({ now, caName, freshKeys: true, ...PKIS[unknown][signer] })
        const issuer = join(folder, `${caName}.pem`)
        writeFileSync(issuer, formatPEM('CERTIFICATE', pki.issuer.certificate))
        await server.admin('/issuers', issuerInput(pki, caName, unknown))
        const certificates: object[] = []
        const add = async (answer: Answer, url: string, name: string): Promise<MatrixCase> => {
          const own = join(folder, slug(name))
          mkdirSync(own)
          const { serial, notAfter, ...made } = await makeLeaf(pki, answer, url, now)
          const certificate = join(own, 'certificate.pem')
          const key = join(own, 'key.pem')
          writeFileSync(certificate, made.certificate)
          writeFileSync(key, made.key, { mode: 0o600 })
          const status = STATUS[answer]
          if (status !== undefined) certificates.push({ serial, notAfter, ...status })
          return { answer, signer, issuer, certificate, key, notAfter, url, folder: own }
        }
        for (const answer of ANSWERS.filter((one) => (one === 'never (unknown)') === (unknown === 'unknown')))
          cases.push(await add(answer, `${server.url}/`, `${signer} ${answer}`))
        if (unknown === 'unauthorized') forged.push(await add('good', forger.url, `${signer} forged`))
        if (certificates.length > 0) await server.admin(`/issuers/${caName}/certificates`, { certificates })
      }
    }
    await server.admin('/presign', { all: true })
    return { cases, forged, wire: forger.seen, folder, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function issuerInput({ issuer, responder }: TestPKI, name: string, unknown: UnknownPolicy): object {
  const { certificate, pkcs8, algorithm } = responder
  return {
    name,
    certificate: formatPEM('CERTIFICATE', issuer.certificate),
    policy: { unknown },
    responder: {
      ...(certificate === undefined
        ? { signWithCA: true }
        : { certificate: formatPEM('CERTIFICATE', certificate) }),
      key: formatPEM('PRIVATE KEY', pkcs8),
      algorithm,
    },
  }
}

/** @returns certificate and key, PEM, and what is to be recorded of it */
async function makeLeaf({ issuer }: TestPKI, answer: Answer, url: string, now: number) {
  const key = await generateKeyPair(ECDSA)
  const serialNumber = randomSerialNumber()
  const notAfter = answer === 'expired' ? now - EXPIRED_AGO : now + 90 * DAY
  const certificate = await issueCertificate(
    {
      serialNumber,
      issuer: issuer.name,
      subject: distinguishedName({ organization: 'Edge OCSP test', commonName: 'localhost' }),
      notBefore: now - DAY + 60,
      notAfter,
      spki: key.spki,
      extensions: [
        keyUsage('digitalSignature'),
        extendedKeyUsage(SERVER_AUTH),
        LOCAL_NAMES,
        subjectKeyIdentifier(key.keyIdentifier),
        authorityKeyIdentifier(issuer.keyHash),
        authorityInfoAccess({ ocsp: url }),
      ],
    },
    issuer.signer,
  )
  return {
    certificate: formatPEM('CERTIFICATE', certificate),
    key: formatPEM('PRIVATE KEY', key.pkcs8),
    serial: formatSerial(serialNumber),
    notAfter,
  }
}

/** SubjectAltName DNS:localhost, IP:127.0.0.1. */
const LOCAL_NAMES: CertificateExtension = {
  extnID: '2.5.29.17',
  critical: false,
  value: tlv(0x30, tlv(0x82, new TextEncoder().encode('localhost')), tlv(0x87, Uint8Array.of(127, 0, 0, 1))),
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z]+/g, '-')
    .replace(/^-|-$/g, '')
}
