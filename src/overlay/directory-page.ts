/**
 * A page of the issuer directory: the issuers whose key hash under one CertID hash algorithm begins with one octet, as they stood
 * when this version was written. Immutable: another state is another version, under another name. Read in place; all integers
 * are big-endian.
 *
 *   0  magic "EODP"      4      16  hash algorithm           1 (place in SHA-1, SHA-256, SHA-384, SHA-512)
 *   4  total length      4      17  first octet of the hash  1
 *   8  version           8      18  0                        2
 *                               20  issuer count             4
 *                               24  CRC-32 of all the rest   4
 *                               28  0                        4
 *  then the issuers, 40 octets each, ascending by prefix and id:
 *  key hash prefix 8 | id 4 | k 1 | flags 1 | away 2 | head 8 | floor 8 | configRev 8     (flags and away as in root-layout.ts)
 */
import { crc32 } from '../bundle/crc32.ts'
import type { HashAlgorithm } from '../pkix/algorithm-identifier.ts'
import { HASH_ALGORITHMS } from '../pkix/algorithm-identifier.ts'
import type { DirectoryPage as NamedPage, OverlayIssuer } from '../ports/records.ts'
import type { RootIssuer } from './root.ts'
import { readSequence, readStanding, writeSequence, writeStanding } from './root-layout.ts'

const MAGIC = 0x454f4450
const HEADER_BYTES = 32
const ENTRY_BYTES = 40
const CHECKSUM_AT = 24

/** The value is not the page that its name says: torn, foreign or of another version. */
export class DirectoryPageFault extends Error {
  override readonly name = 'DirectoryPageFault'
}

/** Key in KV and in the data centre's cache. */
export function directoryPageName({ algorithm, octet, version }: NamedPage): string {
  return `d/${algorithm}/${octet.toString(16).padStart(2, '0')}/${version}`
}

/** What a name says. @throws DirectoryPageFault */
export function parseDirectoryPageName(name: string): NamedPage {
  const [, of, octet, version] = /^d\/([A-Z0-9-]+)\/([0-9a-f]{2})\/(\d+)$/.exec(name) ?? []
  const algorithm = HASH_ALGORITHMS.find((one) => one === of)
  if (algorithm === undefined || octet === undefined || version === undefined)
    throw new DirectoryPageFault(`no name of a page: ${name}`)
  return { algorithm, octet: Number.parseInt(octet, 16), version: Number(version) }
}

export class DirectoryPage {
  readonly #view: DataView
  readonly #count: number
  /** Made when first asked for. */
  readonly #issuers: (RootIssuer | undefined)[] = []

  private constructor(view: DataView, count: number) {
    this.#view = view
    this.#count = count
  }

  /** @throws DirectoryPageFault */
  static open(bytes: Uint8Array, name: string): DirectoryPage {
    const { algorithm, octet, version } = parseDirectoryPageName(name)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < HEADER_BYTES || view.getUint32(0) !== MAGIC) throw new DirectoryPageFault('badMagic')
    const count = view.getUint32(20)
    if (view.getUint32(4) !== bytes.length || bytes.length !== HEADER_BYTES + count * ENTRY_BYTES)
      throw new DirectoryPageFault('badLength')
    if (checksum(bytes) !== view.getUint32(CHECKSUM_AT)) throw new DirectoryPageFault('badChecksum')
    const isNamed =
      view.getUint8(16) === HASH_ALGORITHMS.indexOf(algorithm) &&
      view.getUint8(17) === octet &&
      readSequence(view, 8) === version
    if (!isNamed) throw new DirectoryPageFault('badName')
    return new DirectoryPage(view, count)
  }

  /** Octets; what is made of them while it is used comes to about as much again. */
  get byteLength(): number {
    return this.#view.byteLength * 2
  }

  get size(): number {
    return this.#count
  }

  /** Issuers whose key hash begins like this one, disabled ones too: the caller compares name and key hash in full (R1.16). */
  issuersOf(keyHash: Uint8Array): readonly RootIssuer[] {
    const found: RootIssuer[] = []
    for (let index = this.#find(keyHash); this.#matches(index, keyHash); index += 1)
      found.push(this.#issuer(index))
    return found
  }

  /** One issuer, by what it was found by. */
  issuer(id: number, keyHash: Uint8Array): RootIssuer | undefined {
    for (let index = this.#find(keyHash); this.#matches(index, keyHash); index += 1)
      if (this.#view.getUint32(at(index) + 8) === id) return this.#issuer(index)
    return undefined
  }

  /** First entry that is not below the hash. */
  #find(keyHash: Uint8Array): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#compare(middle, keyHash) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #matches(index: number, keyHash: Uint8Array): boolean {
    return index < this.#count && this.#compare(index, keyHash) === 0
  }

  #compare(index: number, keyHash: Uint8Array): number {
    for (let i = 0; i < 8; i += 1) {
      const difference = this.#view.getUint8(at(index) + i) - (keyHash[i] ?? 0)
      if (difference !== 0) return difference
    }
    return 0
  }

  #issuer(index: number): RootIssuer {
    const known = this.#issuers[index]
    if (known !== undefined) return known
    const view = this.#view
    const from = at(index)
    const issuer = {
      id: view.getUint32(from + 8),
      ...readStanding(view, from + 12),
      head: readSequence(view, from + 16),
      floor: readSequence(view, from + 24),
      configRev: readSequence(view, from + 32),
    }
    this.#issuers[index] = issuer
    return issuer
  }
}

/** @param issuers any; those of the page are taken */
export function encodeDirectoryPage(
  { algorithm, octet, version }: NamedPage,
  issuers: readonly OverlayIssuer[],
): Uint8Array {
  const own = issuers
    .map((issuer) => ({ issuer, keyHash: issuer.hashes[algorithm].issuerKeyHash }))
    .filter(({ keyHash }) => keyHash[0] === octet)
    .sort((a, b) => compareOctets(a.keyHash, b.keyHash) || a.issuer.id - b.issuer.id)
  const bytes = new Uint8Array(HEADER_BYTES + own.length * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, bytes.length)
  writeSequence(view, 8, version)
  view.setUint8(16, HASH_ALGORITHMS.indexOf(algorithm))
  view.setUint8(17, octet)
  view.setUint32(20, own.length)
  own.forEach(({ issuer, keyHash }, index) => {
    const from = at(index)
    bytes.set(keyHash.subarray(0, 8), from)
    view.setUint32(from + 8, issuer.id)
    writeStanding(view, from + 12, issuer)
    writeSequence(view, from + 16, issuer.head)
    writeSequence(view, from + 24, issuer.floor)
    writeSequence(view, from + 32, issuer.configRev)
  })
  view.setUint32(CHECKSUM_AT, checksum(bytes))
  return bytes
}

function at(index: number): number {
  return HEADER_BYTES + index * ENTRY_BYTES
}

/** By the prefix alone, as it is looked up. */
function compareOctets(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 8; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function checksum(bytes: Uint8Array): number {
  return (crc32(bytes, CHECKSUM_AT + 4, bytes.length) ^ crc32(bytes, 0, CHECKSUM_AT)) >>> 0
}

/** Which page an issuer stands in. */
export function octetOf(algorithm: HashAlgorithm, issuer: OverlayIssuer): number {
  return issuer.hashes[algorithm].issuerKeyHash[0] ?? 0
}
