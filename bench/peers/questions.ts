/** What the rows ask, and what they take for a true answer. */
import { randomBytes } from 'node:crypto'
import { decodeSuccessfulResponse } from '../../src/ocsp/index.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { Exchange } from '../load.ts'
import { checkAnswer, getPath, question, type World } from '../world.ts'
import type { Names } from './contest.ts'

/** Exchanges under way when a measurement ended: asked, and not counted. */
const UNCOUNTED = 64

/** Questions in a circle: each measurement goes on where the one before ended. */
export class Ring<T> {
  readonly #items: readonly T[]
  readonly #once: boolean
  #at = 0

  /** @param once no item may be asked for twice */
  constructor(items: readonly T[], { once = false }: { once?: boolean } = {}) {
    this.#items = items
    this.#once = once
  }

  /** @throws Error when they have all been asked, and each is for one time only */
  next(): readonly T[] {
    const { length } = this.#items
    if (!this.#once) {
      const from = this.#at % length
      return [...this.#items.slice(from), ...this.#items.slice(0, from)]
    }
    if (this.#at >= length) throw new Error(`all ${length} questions were asked before the end`)
    return this.#items.slice(this.#at)
  }

  /** So many were asked, and answered. */
  asked(count: number): void {
    this.#at += count + UNCOUNTED
  }
}

/** One serial number in one spelling: what any method makes an exchange of. */
export interface Asking {
  readonly serial: Uint8Array
  readonly hash: HashAlgorithm
  readonly nonce?: Uint8Array
}

export function exchangeOf(world: World, method: Names['method'], asking: Asking): Exchange {
  const der = question(world.pki, [asking.serial], asking.nonce, asking.hash)
  return method === 'GET' ? { path: getPath(der) } : { path: '/', body: der }
}

export function withNonces(askings: readonly Asking[]): Asking[] {
  return askings.map((asking) => ({ ...asking, nonce: new Uint8Array(randomBytes(32)) }))
}

/**
 * Whether Go's router takes the GET for what it is: it answers a path with two slashes side by side by a redirect. All rows
 * ask for serial numbers that every responder can answer.
 */
export function isForAllRouters(world: World, serial: Uint8Array): boolean {
  return !Buffer.from(question(world.pki, [serial]))
    .toString('base64')
    .includes('//')
}

/** @returns a check of answers out of the load: about one of these questions, good, signed, with its nonce if it had one */
export function checkerOf(world: World, askings: readonly Asking[]): (der: Uint8Array) => void {
  const key = (octets: Uint8Array) => Buffer.from(octets).toString('latin1')
  const hasNonce = askings.some(({ nonce }) => nonce !== undefined)
  const bySerial = new Set(askings.map(({ serial }) => key(serial)))
  const nonces = new Map(
    askings.flatMap(({ serial, nonce }) => (nonce ? [[key(nonce), serial] as const] : [])),
  )
  return (der) => {
    const { responses, responseExtensions = [] } = decodeSuccessfulResponse(der).tbsResponseData
    const told = responses[0]?.certID.serialNumber ?? new Uint8Array()
    if (!hasNonce) {
      if (!bySerial.has(key(told))) throw new Error('an answer is about a serial that was not asked for')
      return checkAnswer(der, world.pki, [told])
    }
    // An OCTET STRING of 32 octets within the extension's value.
    const [nonce] = responseExtensions.flatMap(({ extnValue }) => {
      const value = extnValue.subarray(2)
      return nonces.has(key(value)) ? [value] : []
    })
    if (nonce === undefined) throw new Error('an answer has no nonce that was asked with')
    checkAnswer(der, world.pki, [nonces.get(key(nonce)) ?? told], new Uint8Array(nonce))
  }
}
