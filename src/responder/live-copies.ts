/**
 * Copies of live-signed answers in the data centre's cache, under keys of our own: issuer, its configuration, hash, serial,
 * and the algorithm that a client prefers. A copy is eight octets of asOf and the response; all else is read from the response itself and checked.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { decodeSuccessfulResponse } from '../ocsp/ocsp-response.ts'
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import { formatSerial } from '../pkix/serial-number.ts'
import type { EdgeCache } from '../ports/ports.ts'
import type { StatusAnswer } from './answer.ts'
import { statusAnswer } from './answer.ts'
import { equalOctets } from './equal-octets.ts'
import type { Query } from './query.ts'
import { isCurrent, refreshAt } from './windows.ts'

const MAX_SECONDS = 3_600
const TWO_32 = 0x1_0000_0000

export class LiveCopies {
  readonly #cache: EdgeCache
  readonly #background: (work: Promise<unknown>) => void

  constructor(cache: EdgeCache, background: (work: Promise<unknown>) => void) {
    this.#cache = cache
    this.#background = background
  }

  /** Never rejects. */
  async find(query: Query, now: UnixSeconds): Promise<StatusAnswer | undefined> {
    try {
      const copy = await this.#cache.match(keyOf(query))
      return copy === undefined ? undefined : await checked(copy, query, now)
    } catch {
      return undefined // an optional tier: whatever is wrong with it, the next one answers
    }
  }

  keep(query: Query, answer: StatusAnswer, now: UnixSeconds): void {
    if (answer.unrecorded) return // it would outlive the recording of the certificate in other isolates
    if (answer.until !== undefined) return // the copy would not know of it
    const seconds = Math.min(refreshAt(answer) - now, MAX_SECONDS)
    if (seconds < 1) return
    const copy = new Uint8Array(8 + answer.der.length)
    const view = new DataView(copy.buffer)
    view.setUint32(0, Math.floor(answer.asOf / TWO_32))
    view.setUint32(4, answer.asOf % TWO_32)
    copy.set(answer.der, 8)
    this.#background(this.#cache.put(keyOf(query), copy, seconds).catch(() => undefined))
  }
}

function keyOf({ issuer, first, algorithm }: Query): string {
  const key = `a/${issuer.id}/${issuer.configRev}/${first.hashAlgorithm}/${formatSerial(first.serial)}`
  return algorithm === undefined ? key : `${key}/${algorithm}`
}

async function checked(copy: Uint8Array, query: Query, now: UnixSeconds): Promise<StatusAnswer | undefined> {
  const { issuer, first } = query
  const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength)
  const asOf = view.getUint32(0) * TWO_32 + view.getUint32(4)
  const der = copy.subarray(8)
  const { producedAt, responses } = decodeSuccessfulResponse(der).tbsResponseData
  const only = responses.length === 1 ? responses[0] : undefined
  if (only?.nextUpdate === undefined || asOf < first.need) return undefined
  if (hashAlgorithmOf(only.certID.hashAlgorithm.algorithm) !== first.hashAlgorithm) return undefined
  if (!equalOctets(only.certID.serialNumber, first.serial)) return undefined
  if (!equalOctets(only.certID.issuerKeyHash, first.certID.issuerKeyHash)) return undefined
  const window = { thisUpdate: only.thisUpdate, producedAt, nextUpdate: only.nextUpdate }
  if (!isCurrent(window, issuer.policy.profile, now)) return undefined
  const { policy } = issuer
  return statusAnswer({
    der,
    origin: 'cache',
    issuer: issuer.id,
    certStatus: only.certStatus.type,
    hashAlgorithm: first.hashAlgorithm,
    window,
    told: [{ asOf, revision: asOf }],
    personal: false,
    policy,
  })
}
