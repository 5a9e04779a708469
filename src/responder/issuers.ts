/**
 * The issuer directory: CertID -> issuer. Which issuers exist stands in the overlay root and in the immutable pages that it names,
 * so that one heartbeat vouches for statuses and issuers alike: absent from a readable root and from its page means "not ours",
 * and nothing else does. The record behind an id comes from memory, KV or D1, and must be as new as the root or the page says.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import { OCSPDecodeError } from '../ocsp/error.ts'
import { MAX_RFC8954_NONCE_OCTETS, type Nonce } from '../ocsp/nonce.ts'
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import { requestNonce } from '../ocsp/ocsp-request.ts'
import { preferredSignatureAlgorithms } from '../ocsp/preferred-algorithms.ts'
import type { RootIssuer } from '../overlay/root.ts'
import type { MissingPage, OverlayView, UnreadPages } from '../overlay/view.ts'
import { type HashAlgorithm, hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { RequestRefused, StorageError } from '../ports/errors.ts'
import type { DerivedStore, StatusStore } from '../ports/ports.ts'
import type { IssuerPolicy, IssuerRecord } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import { equalOctets } from './equal-octets.ts'
import type { Asked, Query } from './query.ts'
import { ask, isElsewhere } from './query.ts'
import type { Seen } from './seen.ts'
import { chooseAlgorithm } from './signature-choice.ts'

export interface IssuerPorts {
  readonly derived: Pick<DerivedStore, 'readIssuerPage'>
  readonly status: Pick<StatusStore, 'readIssuer'>
  /** @throws StorageError.corrupt */
  readonly decodePage: (bytes: Uint8Array) => IssuerRecord
  readonly background: (work: Promise<unknown>) => void
  /** How many of these share an isolate's memory, as with several databases. Default 1. */
  readonly of?: number
}

/** Records in memory: an isolate of a deployment with 10,000 issuers is asked about few of them. */
const MAX_RECORDS = 1_000
const MAX_BYTES = 16 * 1024 * 1024
/** What a record weighs beside its certificates: names, hashes, policy, objects. */
const RECORD_OVERHEAD_BYTES = 4_000

/** The issuer whose record has to be loaded. */
interface MissingRecord {
  readonly unknown: RootIssuer
}

/** The issuer that was meant. */
interface Owner {
  readonly record: IssuerRecord
  readonly at: RootIssuer
}

export class IssuerDirectory {
  readonly #ports: IssuerPorts
  /** The least recently used stands first, as far as there is not room for all. */
  readonly #records = new Map<number, IssuerRecord>()
  readonly #maxBytes: number
  #bytes = 0
  readonly #flights: SingleFlight<IssuerRecord>

  constructor(ports: IssuerPorts) {
    this.#ports = ports
    this.#maxBytes = MAX_BYTES / (ports.of ?? 1)
    this.#flights = new SingleFlight(ports.background)
  }

  /**
   * The question as this responder understands it.
   * @throws RequestRefused.{unsupportedHash, unknownIssuer, mixedIssuers}, StorageError; OCSPDecodeError and DERError for an
   *   extension that is read only now
   */
  async resolve(request: OCSPRequest, root: OverlayView, seen: Seen, now: UnixSeconds): Promise<Query> {
    const tried = new Set<string>()
    for (;;) {
      const found = this.#match(request, root, seen, now, tried)
      if ('issuer' in found) return found
      if ('missing' in found) await root.load(found)
      else if ('unknown' in found) await this.#load(found.unknown)
      else {
        for (const name of found.unread) tried.add(name)
        await root.read(found)
      }
    }
  }

  /**
   * The same without waiting; undefined when a record, or a page that the root names, is not in memory.
   * @throws as above, but StorageError
   */
  resolveAtOnce(request: OCSPRequest, root: OverlayView, seen: Seen, now: UnixSeconds): Query | undefined {
    const found = this.#match(request, root, seen, now)
    return 'issuer' in found ? found : undefined
  }

  /** @returns the query, or what has to be loaded before one can tell: a page, or the record of an issuer */
  #match(
    request: OCSPRequest,
    root: OverlayView,
    seen: Seen,
    now: UnixSeconds,
    tried?: ReadonlySet<string>,
  ): Query | MissingPage | MissingRecord | UnreadPages {
    const { requestList, requestExtensions } = request.tbsRequest
    let issuer: IssuerRecord | undefined
    let standing: RootIssuer | undefined
    const asked: Asked[] = []
    for (const { reqCert } of requestList) {
      const hashAlgorithm = hashAlgorithmOf(reqCert.hashAlgorithm.algorithm)
      if (hashAlgorithm === undefined) throw new RequestRefused('unsupportedHash') // R5.42
      const found = this.#owner(reqCert, hashAlgorithm, root)
      if (found === undefined)
        throw new RequestRefused(issuer === undefined ? 'unknownIssuer' : 'mixedIssuers')
      if (!('record' in found)) return found
      const { record } = found
      if (issuer !== undefined && issuer.id !== record.id) throw new RequestRefused('mixedIssuers') // R1.11
      issuer = record
      standing = found.at
      const one = ask(reqCert, hashAlgorithm, root, standing, seen)
      if (isElsewhere(standing, one.hash))
        throw new StorageError('elsewhere', `issuer ${record.id}: another database has the certificate`)
      const unread = root.unread(standing, one.serial, one.hash, tried)
      if (unread !== undefined) return unread
      asked.push(one)
    }
    const first = asked[0]
    const at = standing
    if (issuer === undefined || first === undefined || at === undefined)
      throw new RequestRefused('unknownIssuer')
    if (requestExtensions === undefined) return { issuer, at, first, asked, nonce: undefined }
    const nonce = nonceFor(request, issuer.policy.nonce)
    const algorithm = chooseAlgorithm(issuer, preferredSignatureAlgorithms(request), undefined, now)
    return algorithm === undefined
      ? { issuer, at, first, asked, nonce }
      : { issuer, at, first, asked, nonce, algorithm }
  }

  /** Whose certificate it is; undefined: nobody's of this directory. */
  #owner(
    certID: CertID,
    algorithm: HashAlgorithm,
    root: OverlayView,
  ): Owner | MissingPage | MissingRecord | undefined {
    for (const id of root.candidates(algorithm, certID.issuerKeyHash)) {
      const at = root.issuer(id)
      const owner = at === undefined ? undefined : this.#ifNamed(at, certID, algorithm)
      if (owner !== undefined) return owner
    }
    const paged = root.pagedCandidates(algorithm, certID.issuerKeyHash)
    if ('missing' in paged) return paged
    for (const at of paged) {
      const owner = this.#ifNamed(at, certID, algorithm)
      if (owner !== undefined) return owner
    }
    return undefined
  }

  #ifNamed(at: RootIssuer, certID: CertID, algorithm: HashAlgorithm): Owner | MissingRecord | undefined {
    const record = this.#known(at)
    if (record === undefined) return { unknown: at }
    return isNamed(record, certID, algorithm) ? { record, at } : undefined
  }

  /** What this directory says of the issuer of a certificate, wherever its certificates are. @throws StorageError */
  async find(certID: CertID, algorithm: HashAlgorithm, root: OverlayView): Promise<RootIssuer | undefined> {
    for (;;) {
      const found = this.#owner(certID, algorithm, root)
      if (found === undefined) return undefined
      if ('record' in found) return found.at
      if ('missing' in found) await root.load(found)
      else await this.#load(found.unknown)
    }
  }

  /** The same without waiting; null when it cannot be told at once. */
  findAtOnce(certID: CertID, algorithm: HashAlgorithm, root: OverlayView): RootIssuer | undefined | null {
    const found = this.#owner(certID, algorithm, root)
    return found === undefined ? undefined : 'record' in found ? found.at : null
  }

  #known(at: RootIssuer): IssuerRecord | undefined {
    const record = this.#records.get(at.id)
    if (record === undefined || record.configRev < at.configRev) return undefined
    if (this.#records.size >= MAX_RECORDS / 2 || this.#bytes >= this.#maxBytes / 2) {
      this.#records.delete(at.id)
      this.#records.set(at.id, record)
    }
    return record
  }

  #keep(record: IssuerRecord): void {
    const held = this.#records.get(record.id)
    if (held !== undefined) {
      if (held.configRev > record.configRev) return
      this.#records.delete(record.id)
      this.#bytes -= weight(held)
    }
    this.#records.set(record.id, record)
    this.#bytes += weight(record)
    for (const [id, oldest] of this.#records) {
      if (id === record.id || (this.#records.size <= MAX_RECORDS && this.#bytes <= this.#maxBytes)) break
      this.#records.delete(id)
      this.#bytes -= weight(oldest)
    }
  }

  /** @throws StorageError */
  async #load(at: RootIssuer): Promise<void> {
    const record = await this.#flights.run(`${at.id}`, async () => {
      return (await this.#fromPage(at)) ?? (await this.#ports.status.readIssuer(at.id)) ?? notThere(at)
    })
    if (record.configRev < at.configRev)
      throw new StorageError('unavailable', `issuer ${at.id} in D1 is older than the published overlay`)
    this.#keep(record)
  }

  /** KV is a tier like the others: absent, old or corrupt means "ask D1". */
  async #fromPage(at: RootIssuer): Promise<IssuerRecord | undefined> {
    try {
      const bytes = await this.#ports.derived.readIssuerPage(at.id)
      if (bytes === null) return undefined
      const record = this.#ports.decodePage(bytes)
      return record.id === at.id && record.configRev >= at.configRev ? record : undefined
    } catch {
      return undefined
    }
  }
}

/**
 * The nonce to echo. The longest lawful one is 128 octets (RFC 9654 2.1, checked by the decoder), or 32 where RFC 8954 is
 * asked for (R3.12).
 * @throws OCSPDecodeError.nonceLength
 */
function nonceFor(request: OCSPRequest, policy: IssuerPolicy['nonce']): Nonce | undefined {
  if (policy === 'ignore') return undefined
  const nonce = requestNonce(request)
  if (policy === 'rfc8954' && nonce !== undefined && nonce.length > MAX_RFC8954_NONCE_OCTETS)
    throw new OCSPDecodeError('nonceLength', 0, `${nonce.length} octets, and RFC 8954 allows 32`)
  return nonce
}

function notThere(at: RootIssuer): never {
  throw new StorageError('unavailable', `issuer ${at.id} is in the published overlay but not in D1`)
}

/** By name and key (R1.16). */
function isNamed({ hashes }: IssuerRecord, certID: CertID, algorithm: HashAlgorithm): boolean {
  const { issuerKeyHash, issuerNameHash } = hashes[algorithm]
  return (
    equalOctets(issuerKeyHash, certID.issuerKeyHash) && equalOctets(issuerNameHash, certID.issuerNameHash)
  )
}

function weight({ certificate, responders, policy }: IssuerRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + certificate.length
  for (const responder of responders) bytes += 1_000 + (responder.certificate?.length ?? 0)
  for (const requestor of policy.requestors) bytes += requestor.length
  return bytes
}
