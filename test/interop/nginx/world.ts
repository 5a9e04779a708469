/** A Worker with several issuers in real time, the road to it, and nginx in front. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CertificateFile, loadCertificate } from '../../../src/cli/certificate.ts'
import { makeQuestion } from '../../../src/cli/ocsp-exchange.ts'
import type { HashAlgorithm } from '../../../src/pkix/algorithm-identifier.ts'
import { formatPEM } from '../../../src/pkix/pem.ts'
import { formatSerial } from '../../../src/pkix/serial-number.ts'
import { makeTestPKI } from '../../support/pki.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { type CachingProxy, startCachingProxy } from './caching-proxy.ts'
import type { Asked } from './judge.ts'
import { type Road, startRoad } from './road.ts'

export const VALIDITY_SECONDS = 60
/** Of the issuer `capped`. */
export const CAP_SECONDS = 4

const POLICIES = {
  /** Copies are good until their nextUpdate: the longest that anybody may keep them. */
  plain: { validitySeconds: VALIDITY_SECONDS },
  /** Another CA; it has certificates with the serial numbers of the first. */
  other: { validitySeconds: VALIDITY_SECONDS, maxAge: 'refresh' },
  unknowing: { validitySeconds: VALIDITY_SECONDS, unknown: 'unknown' },
  capped: { validitySeconds: 86_400, maxAge: CAP_SECONDS },
} as const
export type IssuerName = keyof typeof POLICIES

export interface CachedWorld {
  readonly proxy: CachingProxy
  readonly road: Road
  /** Content octets whose question has a plus, a slash and two slashes together in its base64, for every issuer and hash. */
  readonly serials: Readonly<Record<'steady' | 'doomed', Uint8Array>>
  record(issuer: IssuerName, serial: Uint8Array, status?: 'good' | 'revoked'): Promise<void>
  revoke(issuer: IssuerName, serial: Uint8Array): Promise<void>
  /** Signs all in advance. */
  presign(): Promise<void>
  /** In every spelling, the escaped one first. */
  ask(issuer: IssuerName, serial: Uint8Array, hash?: HashAlgorithm): readonly Asked[]
  /** In the spelling of most clients. */
  askOnce(issuer: IssuerName, serial: Uint8Array, nonce?: boolean): Asked
  stop(): Promise<void>
}

export function randomSerial(): Uint8Array {
  return Uint8Array.from([0x51, ...randomBytes(15)])
}

export async function startCachedWorld(): Promise<CachedWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-cached-'))
  const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const one of stops.toReversed()) await one()
  }
  try {
    const server = await startServer({ demo: false })
    stops.push(() => server.stop())
    const road = await startRoad(server.url)
    stops.push(() => road.close())
    const proxy = await startCachingProxy(road.url)
    stops.push(() => proxy.stop())
    const issuers = new Map<IssuerName, CertificateFile>()
    for (const name of ['plain', 'other', 'unknowing', 'capped'] as const)
      issuers.set(name, await addIssuer(server, name, join(folder, `${name}.pem`)))
    const issuerOf = (name: IssuerName) => {
      const issuer = issuers.get(name)
      if (issuer === undefined) throw new Error(`no issuer ${name}`)
      return issuer
    }
    const base64 = (name: IssuerName, serial: Uint8Array, hash: HashAlgorithm) =>
      Buffer.from(makeQuestion(issuerOf(name), serial, hash, false).der).toString('base64')
    const notAfter = Math.floor(Date.now() / 1000) + 86_400
    return {
      proxy,
      road,
      serials: { steady: awkwardSerial(base64), doomed: awkwardSerial(base64) },
      async record(issuer, serial, status = 'good') {
        const certificates = [{ serial: formatSerial(serial), notAfter, status }]
        await server.admin(`/issuers/${issuer}/certificates`, { certificates })
      },
      async revoke(issuer, serial) {
        const revocation = { serial: formatSerial(serial), reason: 'keyCompromise' }
        await server.admin(`/issuers/${issuer}/revocations`, revocation)
      },
      async presign() {
        await server.admin('/presign', { all: true })
      },
      ask: (name, serial, hash = 'SHA-1') => spelled(`${name} ${hash}`, issuerOf(name), serial, hash),
      askOnce(name, serial, nonce = false) {
        const { der, certID } = makeQuestion(issuerOf(name), serial, 'SHA-1', nonce)
        return { name, certID, der, target: `/${encodeURIComponent(Buffer.from(der).toString('base64'))}` }
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function addIssuer(server: TestServer, name: IssuerName, path: string): Promise<CertificateFile> {
  const now = Math.floor(Date.now() / 1000)
  const { issuer, responder } = await makeTestPKI({ now, caName: name, freshKeys: true })
  const pem = formatPEM('CERTIFICATE', issuer.certificate)
  writeFileSync(path, pem)
  if (responder.certificate === undefined) throw new Error('no delegate')
  await server.admin('/issuers', {
    name,
    certificate: pem,
    policy: POLICIES[name],
    responder: {
      certificate: formatPEM('CERTIFICATE', responder.certificate),
      key: formatPEM('PRIVATE KEY', responder.pkcs8),
      algorithm: responder.algorithm,
    },
  })
  return loadCertificate(path)
}

/** What proxies stumble over must be there: `//` is what they merge, `+` what they take for a space. */
function awkwardSerial(
  base64: (name: IssuerName, serial: Uint8Array, hash: HashAlgorithm) => string,
): Uint8Array {
  for (;;) {
    const serial = randomSerial()
    // The serial number is the end of the question, after hashes that cannot be chosen: two ones of 0xff make the slashes.
    serial.set([0xff, 0xff, 0xff, 0xfb, 0xef, 0xbe, 0xff], 6)
    const texts = (['plain', 'other'] as const).flatMap((name) =>
      (['SHA-1', 'SHA-256'] as const).map((hash) => base64(name, serial, hash)),
    )
    if (texts.every((text) => text.includes('//') && text.includes('+'))) return serial
  }
}

function spelled(
  name: string,
  issuer: CertificateFile,
  serial: Uint8Array,
  hash: HashAlgorithm,
): readonly Asked[] {
  const { certID, der } = makeQuestion(issuer, serial, hash, false)
  const data = Buffer.from(der).toString('base64')
  const escaped = encodeURIComponent(data)
  const spellings = {
    escaped: `/${escaped}`,
    'as it is': `/${data}`,
    'escaped in lower case': `/${escaped.replace(/%../g, (one) => one.toLowerCase())}`,
    'after two slashes': `//${escaped}`,
    'of base64url': `/${Buffer.from(der).toString('base64url')}`,
  }
  return Object.entries(spellings).map(([way, target]) => ({ name: `${name} ${way}`, certID, der, target }))
}
