/**
 * The issuer directory: CertID -> issuer. Which issuers exist stands in the overlay root, so that one heartbeat vouches
 * for statuses and issuers alike: absent from a readable root means "not ours", and nothing else does. The record behind
 * an id comes from memory, KV or D1, and must be as new as the root says.
 */
import type { OCSPRequest } from '../ocsp/ocsp-request.ts'
import { requestNonce } from '../ocsp/ocsp-request.ts'
import type { OverlayRoot, RootIssuer } from '../overlay/root.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { RequestRefused, StorageError } from '../ports/errors.ts'
import type { DerivedStore, StatusStore } from '../ports/ports.ts'
import type { IssuerRecord } from '../ports/records.ts'
import { SingleFlight } from '../ports/single-flight.ts'
import { equalOctets } from './equal-octets.ts'
import type { Asked, Query } from './query.ts'
import { ask } from './query.ts'
import type { Seen } from './seen.ts'

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
   * @throws RequestRefused.{unsupportedHash, unknownIssuer, mixedIssuers} and StorageError
   */
  async resolve(request: OCSPRequest, root: OverlayRoot, seen: Seen): Promise<Query> {
    for (;;) {
      const found = this.#match(request, root, seen)
      if ('issuer' in found) return found
      await this.#load(found.missing)
    }
  }

  /**
   * The same without waiting; undefined when a record is not in memory.
   * @throws RequestRefused as above
   */
  resolveAtOnce(request: OCSPRequest, root: OverlayRoot, seen: Seen): Query | undefined {
    const found = this.#match(request, root, seen)
    return 'issuer' in found ? found : undefined
  }

  /** @returns the query, or the issuer whose record has to be loaded before one can tell */
  #match(request: OCSPRequest, root: OverlayRoot, seen: Seen): Query | { readonly missing: RootIssuer } {
    const { requestList } = request.tbsRequest
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
    const nonce = issuer.policy.nonce === 'echo' ? requestNonce(request) : undefined
    return { issuer, at, first, asked, nonce }
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

function notThere(at: RootIssuer): never {
  throw new StorageError('unavailable', `issuer ${at.id} is in the published overlay but not in D1`)
}
