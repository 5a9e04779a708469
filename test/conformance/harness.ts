/**
 * A whole responder in plain Node, asked by HTTP request and judged by HTTP response: `serveOCSP` over the real adapters, wired
 * as src/compose.ts does, above SQLite, a KV and a cache in memory, and a clock that stands still until it is moved.
 */
import type { UnixSeconds } from '../../src/asn1/generalized-time.ts'
import { serveOCSP } from '../../src/http/ocsp.ts'
import type { BasicOCSPResponse, SingleResponse } from '../../src/ocsp/basic-response.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { publish, publishChange } from '../../src/overlay/publisher.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { encodeAlgorithmIdentifier, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import type { NewCertificate, StatusChange } from '../../src/ports/admin-store.ts'
import type { IssuerHashes, IssuerPolicy, IssuerRecord } from '../../src/ports/records.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { wrapKey } from '../../src/signing/key-custody.ts'
import { presign } from '../../src/signing/presign.ts'
import { encodeIssuerPage } from '../../src/storage/issuer-page.ts'
import { tlv } from '../fixtures/octets.ts'
import type { RequestParts } from '../fixtures/requests.ts'
import { request } from '../fixtures/requests.ts'
import { EPOCH, Random, VirtualClock } from '../support/clock.ts'
import { ColoCache, LaggingKV } from '../support/colo.ts'
import { type Interference, StandingFaults } from '../support/faults.ts'
import { hex, makeTestPKI, TEST_POLICY, type TestPKI, type TestPKIOptions } from '../support/pki.ts'
import { SqliteD1 } from '../support/sqlite-d1.ts'
import { type Isolate, makeIsolate } from '../support/world-isolate.ts'
import { KEK } from '../support/world-setup.ts'

export const DAY = 86_400
export const ORIGIN = 'http://ocsp.example'
const BOUND_MS = 300_000
/** Dates of a certificate that is valid throughout. */
export const DATES = { notBefore: EPOCH - DAY, notAfter: EPOCH + 90 * DAY }

export interface CA {
  readonly pki: TestPKI
  readonly record: IssuerRecord
}

export interface CAOptions extends Omit<TestPKIOptions, 'now'> {
  readonly name: string
  readonly policy?: Partial<IssuerPolicy>
}

/** An HTTP response, and what the OCSPResponse in it says. */
export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
  /** `good`, `revoked`, `unknown`, several of them with spaces between, or the OCSPResponseStatus of an error. */
  readonly said: string
}

export class Rig {
  readonly clock = new VirtualClock()
  readonly record = new SqliteD1({ now: () => this.clock.nowMs() / 1000 })
  readonly kv = new LaggingKV({ clock: this.clock, colos: 1 })
  readonly cache = new ColoCache(this.clock)
  readonly faults = new StandingFaults()
  readonly isolate = this.newIsolate()
  /** What the one exit told log and metrics, in order. */
  readonly observed: { readonly answer: Answer; readonly method: string; readonly octets: number }[] = []

  close(): void {
    this.record.close()
  }

  /** An isolate that remembers nothing. @param key false: it can read no signing key */
  newIsolate(key = true, hook: Interference = this.faults): Isolate {
    const random = new Random(11)
    return makeIsolate({
      kv: this.kv.view(0),
      cache: this.cache,
      db: this.record,
      clock: this.clock,
      random: () => random.uint32(),
      boundMs: BOUND_MS,
      kek: key ? KEK : undefined,
      hook,
      timeoutMs: 200,
    })
  }

  async addCA({ name, policy, ...options }: CAOptions): Promise<CA> {
    const pki = await makeTestPKI({ now: this.clock.seconds, caName: `CA ${name}`, ...options })
    const { certificate, hashes, notBefore, notAfter, keyHash } = pki.issuer
    const { admin, derived } = this.isolate
    const ski = hex(keyHash)
    const nowMs = this.clock.nowMs()
    const facts = { name, ski, certificate, hashes, notBefore, notAfter, enabled: true }
    const { id } = await admin.addIssuer({ ...facts, policy: { ...TEST_POLICY, ...policy } }, nowMs)
    const { id: _id, retired: _retired, ...responder } = pki.responderRecord()
    const context = { issuerSKI: ski, responderName: responder.name, spki: responder.spki }
    const wrapped = await wrapKey(pki.responder.pkcs8, KEK, context)
    await admin.addResponder(id, responder, wrapped, nowMs)
    const record = await admin.findIssuer(name)
    if (record === undefined) throw new Error(`${name} was not recorded`)
    await derived.writeIssuerPage(id, encodeIssuerPage(record))
    await this.publish()
    return { pki, record }
  }

  async setPolicy({ record }: CA, policy: Partial<IssuerPolicy>): Promise<void> {
    await this.isolate.admin.updateIssuer(
      record.id,
      { policy: { ...record.policy, ...policy } },
      this.clock.nowMs(),
    )
    await this.pass(60)
  }

  async add({ record }: CA, rows: readonly NewCertificate[]): Promise<void> {
    const outcomes = await this.isolate.admin.addCertificates(record.id, rows, this.clock.nowMs())
    const refused = outcomes.filter((outcome) => typeof outcome === 'object')
    if (refused.length > 0) throw new Error(JSON.stringify(refused))
    this.isolate.live.absent.clear()
    await this.publish()
  }

  async change({ record }: CA, serial: Uint8Array, change: StatusChange): Promise<void> {
    const { admin, publisher } = this.isolate
    const { revision } = await admin.changeStatus(record.id, serial, change, this.clock.nowMs())
    await publishChange(publisher, record.id, revision)
  }

  async publish(): Promise<void> {
    this.clock.advance(1_100)
    await publish(this.isolate.publisher)
  }

  /** Signs whatever is not signed yet. */
  async presign(): Promise<void> {
    this.clock.advance(1_000)
    const { problems } = await presign(this.isolate.presign, { all: true, budget: 100_000 })
    if (problems.length > 0) throw new Error(problems.join('; '))
  }

  /** Time passes, with a heartbeat at its end. */
  async pass(seconds: number): Promise<void> {
    this.clock.advance(seconds * 1000)
    await this.publish()
  }

  /** One HTTP exchange, and all that it leaves to do. */
  async exchange(asked: Request, isolate: Isolate = this.isolate): Promise<Reply> {
    const response = await serveOCSP(asked, isolate.responder, (answer, method, octets) => {
      this.observed.push({ answer, method, octets })
    })
    await Promise.allSettled(isolate.background.splice(0))
    const body = new Uint8Array(await response.arrayBuffer())
    const isOCSP = response.headers.get('Content-Type') === 'application/ocsp-response'
    return { status: response.status, headers: response.headers, body, said: isOCSP ? said(body) : '' }
  }

  post(body: Uint8Array, headers: Record<string, string> = {}, isolate?: Isolate): Promise<Reply> {
    const bytes = Uint8Array.from(body)
    return this.exchange(new Request(`${ORIGIN}/`, { method: 'POST', body: bytes, headers }), isolate)
  }

  get(der: Uint8Array, headers: Record<string, string> = {}, isolate?: Isolate): Promise<Reply> {
    return this.exchange(new Request(ORIGIN + pathOf(der), { headers }), isolate)
  }
}

/** `/` and the data of a GET, escaped. */
export function pathOf(der: Uint8Array): string {
  return `/${encodeURIComponent(Buffer.from(der).toString('base64'))}`
}

/** The parts of a CertID of this issuer, for the builders of test/fixtures/requests.ts. */
export function about(
  issuer: CA | Readonly<Record<HashAlgorithm, IssuerHashes>>,
  serial: Uint8Array,
  hash: HashAlgorithm = 'SHA-256',
): RequestParts {
  const { issuerNameHash, issuerKeyHash } = 'record' in issuer ? issuer.record.hashes[hash] : issuer[hash]
  return {
    algorithm: encodeAlgorithmIdentifier(hashAlgorithmIdentifier(hash)),
    nameHash: issuerNameHash,
    keyHash: issuerKeyHash,
    serial: tlv(0x02, serial),
  }
}

/** DER of a request about one certificate. */
export function question(issuer: CA, serial: Uint8Array, hash?: HashAlgorithm): Uint8Array {
  return request(about(issuer, serial, hash))
}

/** The response in a reply. @throws for an error */
export function basicOf({ body }: Reply): BasicOCSPResponse {
  return decodeSuccessfulResponse(body)
}

/** The only SingleResponse, with the times that every one of ours has. */
export function singleOf(reply: Reply): SingleResponse & {
  readonly nextUpdate: UnixSeconds
  readonly producedAt: UnixSeconds
} {
  const { responses, producedAt } = basicOf(reply).tbsResponseData
  const [single, ...more] = responses
  if (single?.nextUpdate === undefined || more.length > 0)
    throw new Error('not one SingleResponse with its times')
  return { ...single, nextUpdate: single.nextUpdate, producedAt }
}

function said(body: Uint8Array): string {
  const { responseStatus } = decodeOCSPResponse(body)
  if (responseStatus !== 'successful') return responseStatus
  const { responses } = decodeSuccessfulResponse(body).tbsResponseData
  return responses.map(({ certStatus }) => certStatus.type).join(' ')
}
