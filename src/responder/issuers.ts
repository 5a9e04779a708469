/**
 * The issuer directory: CertID -> issuer. Which issuers exist stands in the overlay root, so that one heartbeat vouches
 * for statuses and issuers alike: absent from a readable root means "not ours", and nothing else does. The record behind
 * an id comes from memory, KV or D1, and must be as new as the root says.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { OCSPDecodeError } from '../ocsp/error.ts'
import { MAX_RFC8954_NONCE_OCTETS, type Nonce } from '../ocsp/nonce.ts'
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import { requestNonce } from '../ocsp/ocsp-request.ts'
import { preferredSignatureAlgorithms } from '../ocsp/preferred-algorithms.ts'
import type { OverlayRoot, RootIssuer } from '../overlay/root.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { RequestRefused, StorageError } from '../ports/errors.ts'
import type { DerivedStore, StatusStore } from '../ports/ports.ts'
import type { IssuerPolicy, IssuerRecord } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import { equalOctets } from './equal-octets.ts'
import type { Asked, Query } from './query.ts'
import { ask } from './query.ts'
import type { Seen } from './seen.ts'
import { chooseAlgorithm } from './signature-choice.ts'

export interface IssuerPorts {
  readonly derived: Pick<DerivedStore, 'readIssuerPage'>
  readonly status: Pick<StatusStore, 'readIssuer'>
  /** @throws StorageError.corrupt */
  readonly decodePage: (bytes: Uint8Array) => IssuerRecord
  readonly background: (work: Promise<unknown>) => void
}

export class IssuerDirectory {
  readonly #ports: IssuerPorts
  readonly #records = new Map<number, IssuerRecord>()
  readonly #flights: SingleFlight<IssuerRecord>

  constructor(ports: IssuerPorts) {
    this.#ports = ports
    this.#flights = new SingleFlight(ports.background)
  }

  /**
   * The question as this responder understands it.
   * @throws RequestRefused.{unsupportedHash, unknownIssuer, mixedIssuers}, StorageError; OCSPDecodeError and DERError for an
   *   extension that is read only now
   */
  async resolve(request: OCSPRequest, root: OverlayRoot, seen: Seen, now: UnixSeconds): Promise<Query> {
    for (;;) {
      const found = this.#match(request, root, seen, now)
      if ('issuer' in found) return found
      await this.#load(found.missing)
    }
  }

  /**
   * The same without waiting; undefined when a record is not in memory.
   * @throws as above, but StorageError
   */
  resolveAtOnce(request: OCSPRequest, root: OverlayRoot, seen: Seen, now: UnixSeconds): Query | undefined {
    const found = this.#match(request, root, seen, now)
    return 'issuer' in found ? found : undefined
  }

  /** @returns the query, or the issuer whose record has to be loaded before one can tell */
  #match(
    request: OCSPRequest,
    root: OverlayRoot,
    seen: Seen,
    now: UnixSeconds,
  ): Query | { readonly missing: RootIssuer } {
    const { requestList, requestExtensions } = request.tbsRequest
    let issuer: IssuerRecord | undefined
    const asked: Asked[] = []
    for (const { reqCert } of requestList) {
      const hashAlgorithm = hashAlgorithmOf(reqCert.hashAlgorithm.algorithm)
      if (hashAlgorithm === undefined) throw new RequestRefused('unsupportedHash') // R5.42
      let owner: IssuerRecord | undefined
      for (const id of root.candidates(hashAlgorithm, reqCert.issuerKeyHash)) {
        const at = root.issuer(id)
        if (at === undefined) continue
        const record = this.#known(at)
        if (record === undefined) return { missing: at }
        const hashes = record.hashes[hashAlgorithm]
        if (!equalOctets(hashes.issuerKeyHash, reqCert.issuerKeyHash)) continue
        if (!equalOctets(hashes.issuerNameHash, reqCert.issuerNameHash)) continue // R1.16
        owner = record
        asked.push(ask(reqCert, hashAlgorithm, root, at, seen))
        break
      }
      if (owner === undefined)
        throw new RequestRefused(issuer === undefined ? 'unknownIssuer' : 'mixedIssuers')
      if (issuer !== undefined && issuer.id !== owner.id) throw new RequestRefused('mixedIssuers') // R1.11
      issuer = owner
    }
    const first = asked[0]
    const at = issuer === undefined ? undefined : root.issuer(issuer.id)
    if (issuer === undefined || first === undefined || at === undefined)
      throw new RequestRefused('unknownIssuer')
    if (requestExtensions === undefined) return { issuer, at, first, asked, nonce: undefined }
    const nonce = nonceFor(request, issuer.policy.nonce)
    const algorithm = chooseAlgorithm(issuer, preferredSignatureAlgorithms(request), undefined, now)
    return algorithm === undefined
      ? { issuer, at, first, asked, nonce }
      : { issuer, at, first, asked, nonce, algorithm }
  }

  #known(at: RootIssuer): IssuerRecord | undefined {
    const record = this.#records.get(at.id)
    return record !== undefined && record.configRev >= at.configRev ? record : undefined
  }

  /** @throws StorageError */
  async #load(at: RootIssuer): Promise<void> {
    const record = await this.#flights.run(`${at.id}`, async () => {
      return (await this.#fromPage(at)) ?? (await this.#ports.status.readIssuer(at.id)) ?? notThere(at)
    })
    if (record.configRev < at.configRev)
      throw new StorageError('unavailable', `issuer ${at.id} in D1 is older than the published overlay`)
    const held = this.#records.get(at.id)
    if (held === undefined || held.configRev <= record.configRev) this.#records.set(at.id, record)
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
