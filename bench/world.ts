/** What the answer rows ask: a CA with recorded and pre-signed certificates in a state folder, and its questions. */
import { createPublicKey, type KeyObject, randomBytes, verify } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AdminClient } from '../src/cli/client.ts'
import type { WorkerBundle } from '../src/cli/dev/worker-bundle.ts'
import {
  type CertID,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  encodeOCSPRequest,
  nonceExtension,
  signedOctets,
} from '../src/ocsp/index.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../src/pkix/algorithm-identifier.ts'
import { formatSerial } from '../src/pkix/serial-number.ts'
import { makeTestPKI, type TestPKI } from '../test/support/pki.ts'
import { recordIssuer } from './record-issuer.ts'
import { type Server, startServer } from './servers.ts'

const ISSUER = 'bench'
const ROWS_PER_CALL = 1000
const TOKEN = randomBytes(32).toString('hex')
const KEY_ENCRYPTION_KEY = randomBytes(32).toString('base64')

export interface World {
  readonly pki: TestPKI
  /** Recorded and pre-signed. */
  readonly serials: readonly Uint8Array[]
  /** A server over the state, in a new process each time. */
  start(options?: StartOptions): Promise<Server>
  close(): void
}

export interface StartOptions {
  /** Another Worker than that of the world. */
  readonly bundle?: WorkerBundle
  /** Over a copy of the state, so that it can run beside others; made when no server runs over the state itself. */
  readonly copy?: boolean
  /** The one core that it may use. */
  readonly core?: number | undefined
  readonly inspect?: boolean
}

/** Records so many certificates, signs them, and stops the server that did it. */
export async function makeWorld(bundle: WorkerBundle, certificates: number): Promise<World> {
  const now = Math.floor(Date.now() / 1000)
  const pki = await makeTestPKI({ now, freshKeys: true })
  const serials = Array.from({ length: certificates }, randomSerial)
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-'))
  // LOG_SAMPLE_RATE stays at the default of production.
  const variables = { ADMIN_TOKEN: TOKEN, KEY_ENCRYPTION_KEY }
  const copies: string[] = []
  const start = async ({ copy = false, ...options }: StartOptions = {}) => {
    const own = copy ? mkdtempSync(join(tmpdir(), 'edge-ocsp-bench-')) : folder
    if (copy) {
      copies.push(own)
      cpSync(folder, own, { recursive: true })
    }
    const server = await startServer({ bundle, ...options, folder: own, variables, migrate: true })
    await server.cron()
    return server
  }
  const server = await start()
  try {
    await record(new AdminClient({ url: server.url, token: TOKEN, tokenFile: '' }), pki, serials, now)
  } finally {
    await server.stop()
  }
  const close = () => {
    for (const made of [folder, ...copies]) rmSync(made, { recursive: true, force: true })
  }
  return { pki, serials, start, close }
}

async function record(client: AdminClient, pki: TestPKI, serials: readonly Uint8Array[], now: number) {
  await recordIssuer(client, ISSUER, pki)
  const validity = { notBefore: now - 86_400, notAfter: now + 86_400 * 90 }
  for (let from = 0; from < serials.length; from += ROWS_PER_CALL) {
    const rows = serials
      .slice(from, from + ROWS_PER_CALL)
      .map((serial) => ({ serial: formatSerial(serial), status: 'good', ...validity }))
    const { refused } = await client.call('addCertificates', {
      params: { issuer: ISSUER },
      body: { certificates: rows, publish: false },
    })
    if (refused > 0) throw new Error(`${refused} certificates were refused`)
  }
  for (;;) {
    const { built, failed, remaining, problems } = await client.call('presign', { body: { all: true } })
    if (failed > 0) throw new Error(`presign failed: ${problems?.join('; ')}`)
    if (remaining === 0) break
    if (built === 0) throw new Error(`presign left ${remaining} slots`)
  }
}

/** 18 octets, positive: what public CAs use. */
function randomSerial(): Uint8Array {
  const serial = new Uint8Array(randomBytes(18))
  serial[0] = 0x01 | ((serial[0] ?? 0) & 0x7f)
  return serial
}

/** @param hash of the CertIDs; default SHA-1, as most clients ask */
export function question(
  pki: TestPKI,
  serials: readonly Uint8Array[],
  nonce?: Uint8Array,
  hash: HashAlgorithm = 'SHA-1',
): Uint8Array {
  const hashAlgorithm = hashAlgorithmIdentifier(hash)
  const requestList = serials.map((serialNumber) => {
    const reqCert: CertID = { hashAlgorithm, ...pki.issuer.hashes[hash], serialNumber }
    return { reqCert }
  })
  const extension =
    nonce && nonceExtension({ extnValue: Uint8Array.of(4, nonce.length, ...nonce), length: nonce.length })
  return encodeOCSPRequest({
    tbsRequest: {
      versionExplicit: false,
      requestList,
      ...(extension !== undefined && { requestExtensions: [extension] }),
    },
  })
}

export function getPath(request: Uint8Array): string {
  return `/${encodeURIComponent(Buffer.from(request).toString('base64'))}`
}

/** @throws Error unless it says `good` about exactly these serials and the responder signed it */
export function checkAnswer(
  der: Uint8Array,
  pki: TestPKI,
  serials: readonly Uint8Array[],
  nonce?: Uint8Array,
): void {
  const value = decodeOCSPResponse(der)
  if (value.responseStatus !== 'successful') throw new Error(`the answer is ${value.responseStatus}`)
  const { tbsResponseData, signature } = decodeSuccessfulResponse(der)
  const { responses, responseExtensions = [] } = tbsResponseData
  if (responses.length !== serials.length) throw new Error('the answer has another number of SingleResponses')
  for (const [i, { certID, certStatus }] of responses.entries()) {
    if (Buffer.compare(certID.serialNumber, serials[i] ?? new Uint8Array()) !== 0)
      throw new Error('the answer is about another serial')
    if (certStatus.type !== 'good') throw new Error(`the answer is ${certStatus.type}`)
  }
  const echoed = responseExtensions.some(
    ({ extnValue }) => nonce !== undefined && Buffer.compare(extnValue.subarray(2), nonce) === 0,
  )
  if (nonce !== undefined && !echoed) throw new Error('the answer does not echo the nonce')
  if (!verify('sha256', signedOctets(value.responseBytes.response), publicKey(pki), signature))
    throw new Error('the signature does not verify')
}

function publicKey(pki: TestPKI): KeyObject {
  return createPublicKey({ key: Buffer.from(pki.responder.spki), format: 'der', type: 'spki' })
}
