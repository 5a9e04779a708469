/**
 * The same cryptography without its threads: a world makes thousands of digests and signatures of a few octets, and the way
 * to another thread and back costs more than each of them. Nothing is faked: OpenSSL signs and verifies; what depends on its
 * arguments alone (keys imported, derived or unwrapped; whether the same octets verify again) is kept.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

type Subtle = (...values: unknown[]) => Promise<unknown>

const HASHES: Readonly<Record<string, string>> = {
  'SHA-1': 'sha1',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
}

let isDone = false

/** From now on in this thread. */
export function cryptoWithoutThreads(): void {
  if (isDone) return
  isDone = true
  replace('digest', (real) => async (algorithm, data) => {
    const name = HASHES[nameOf(algorithm)]
    if (name === undefined) return real(algorithm, data)
    return Uint8Array.from(createHash(name).update(octets(data)).digest()).buffer
  })
  replace('sign', (real) => async (algorithm, key, data) => {
    const known = keyObject(algorithm, key)
    return known === undefined
      ? real(algorithm, key, data)
      : Uint8Array.from(sign(known.hash, octets(data), known.object)).buffer
  })
  replace('verify', (real) =>
    keeping(async (algorithm, key, signature, data) => {
      const known = keyObject(algorithm, key)
      return known === undefined
        ? real(algorithm, key, signature, data)
        : verify(known.hash, octets(data), known.object, octets(signature))
    }),
  )
  for (const name of ['deriveKey', 'deriveBits', 'decrypt']) replace(name, keeping)
  replace('importKey', (real) => keeping(async (...values) => imported(await real(...values), values)))
}

function replace(name: string, make: (real: Subtle) => Subtle): void {
  const original: unknown = Reflect.get(crypto.subtle, name)
  if (typeof original !== 'function') throw new TypeError(`no crypto.subtle.${name}`)
  const real: Subtle = async (...values) => {
    const result: unknown = await Reflect.apply(original, crypto.subtle, values)
    return result
  }
  Object.defineProperty(crypto.subtle, name, { configurable: true, value: make(real) })
}

/** A function of its arguments alone, computed once for each. */
function keeping(real: Subtle): Subtle {
  const known = new Map<string, Promise<unknown>>()
  return async (...values) => {
    const key = values.map(written).join('|')
    const made = known.get(key) ?? real(...values)
    if (!known.has(key)) {
      if (known.size > 2_000) known.clear()
      known.set(key, made)
    }
    const result = await made
    return result instanceof ArrayBuffer ? result.slice(0) : result
  }
}

let keys = 0
const named = new WeakMap<CryptoKey, number>()

function written(value: unknown): string {
  if (value instanceof CryptoKey) {
    const name = named.get(value) ?? ++keys
    named.set(value, name)
    return `key ${name}`
  }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return octets(value).toString('hex')
  if (Array.isArray(value)) return `[${value.map(written).join()}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([name, inner]) => `${name}:${written(inner)}`)
      .join()}}`
  return String(value)
}

const objects = new WeakMap<CryptoKey, KeyObject>()

/** What node:crypto calls the hash of an algorithm with deterministic signatures. */
const DETERMINISTIC: Readonly<Record<string, 'sha256' | null>> = {
  Ed25519: null,
  'RSASSA-PKCS1-v1_5': 'sha256',
}

/** Such a key is made for node:crypto too. */
function imported(key: unknown, [format, data, algorithm]: unknown[]): unknown {
  if (
    key instanceof CryptoKey &&
    nameOf(algorithm) in DETERMINISTIC &&
    (format === 'pkcs8' || format === 'spki')
  ) {
    const der = octets(data)
    const object =
      format === 'pkcs8'
        ? createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
        : createPublicKey({ key: der, format: 'der', type: 'spki' })
    objects.set(key, object)
  }
  return key
}

/** Of a key imported for the hash that the responders use. */
function keyObject(
  algorithm: unknown,
  key: unknown,
): { object: KeyObject; hash: 'sha256' | null } | undefined {
  const hash = DETERMINISTIC[nameOf(algorithm)]
  const object = key instanceof CryptoKey ? objects.get(key) : undefined
  return hash === undefined || object === undefined ? undefined : { object, hash }
}

function nameOf(algorithm: unknown): string {
  if (typeof algorithm === 'string') return algorithm
  return typeof algorithm === 'object' && algorithm !== null && 'name' in algorithm
    ? String(algorithm.name)
    : ''
}

function octets(data: unknown): Buffer {
  if (data instanceof ArrayBuffer) return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  throw new TypeError('not octets')
}
