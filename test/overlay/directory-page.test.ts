import { describe, expect, test } from 'vitest'
import {
  DirectoryPage,
  DirectoryPageFault,
  directoryPageName,
  encodeDirectoryPage,
  parseDirectoryPageName,
} from '../../src/overlay/directory-page.ts'
import { HASH_ALGORITHMS, type HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { OverlayIssuer } from '../../src/ports/records.ts'
import { manyHashes, overlayIssuer } from './issuers.ts'

const ISSUERS = Array.from({ length: 600 }, (_, i) => overlayIssuer(i + 1))
const VERSION = 1_795_230_000_123

const stated = ({ hashes: _, ...issuer }: OverlayIssuer) => issuer

const firstOctet = (algorithm: HashAlgorithm) => manyHashes(1)[algorithm].issuerKeyHash[0] ?? 0

describe('a page of the directory', () => {
  test.each(HASH_ALGORITHMS)(
    'of %s holds the issuers of its octet, and says of each what was encoded',
    (algorithm) => {
      let found = 0
      for (let octet = 0; octet < 256; octet += 1) {
        const named = { algorithm, octet, version: VERSION }
        const page = DirectoryPage.open(encodeDirectoryPage(named, ISSUERS), directoryPageName(named))
        const keyHash = (issuer: OverlayIssuer) => issuer.hashes[algorithm].issuerKeyHash
        const own = ISSUERS.filter((issuer) => keyHash(issuer)[0] === octet)
        expect(own.flatMap((issuer) => page.issuersOf(keyHash(issuer)))).toEqual(own.map(stated))
        expect(own.map((issuer) => page.issuer(issuer.id, keyHash(issuer)))).toEqual(own.map(stated))
        const others = ISSUERS.filter((issuer) => keyHash(issuer)[0] !== octet)
        expect(others.some((issuer) => page.issuersOf(keyHash(issuer)).length > 0)).toBe(false)
        found += own.length
      }
      expect(found).toBe(ISSUERS.length)
    },
  )

  test('keeps apart issuers of one key, as a CA with two names has', () => {
    const named = { algorithm: 'SHA-1', octet: 0x22, version: 5 } as const
    const hashes = {
      ...manyHashes(1),
      'SHA-1': { issuerNameHash: new Uint8Array(20), issuerKeyHash: new Uint8Array(20).fill(0x22) },
    }
    const both = [overlayIssuer(9, { hashes, enabled: false }), overlayIssuer(4, { hashes, frozen: true })]
    const page = DirectoryPage.open(encodeDirectoryPage(named, both), directoryPageName(named))
    const { issuerKeyHash } = hashes['SHA-1']
    expect(page.issuersOf(issuerKeyHash).map(({ id }) => id)).toEqual([4, 9])
    expect(page.issuer(9, issuerKeyHash)).toMatchObject({ enabled: false, frozen: false })
    expect(page.issuer(4, issuerKeyHash)).toMatchObject({ enabled: true, frozen: true })
    expect(page.issuer(5, issuerKeyHash)).toBeUndefined()
  })

  test('takes 32 octets and 40 an issuer', () => {
    const named = { algorithm: 'SHA-512', octet: firstOctet('SHA-512'), version: 1 } as const
    const count = ISSUERS.filter(({ hashes }) => hashes['SHA-512'].issuerKeyHash[0] === named.octet).length
    expect(count).toBeGreaterThan(0)
    expect(encodeDirectoryPage(named, ISSUERS)).toHaveLength(32 + 40 * count)
    expect(encodeDirectoryPage(named, [])).toHaveLength(32)
  })

  test('with any octet changed, cut off or added is refused', () => {
    const named = { algorithm: 'SHA-256', octet: firstOctet('SHA-256'), version: VERSION } as const
    const bytes = encodeDirectoryPage(named, ISSUERS)
    const name = directoryPageName(named)
    for (let i = 0; i < bytes.length; i += 1) {
      const broken = Uint8Array.from(bytes)
      broken[i] = (broken[i] ?? 0) ^ 0x40
      expect(() => DirectoryPage.open(broken, name)).toThrow(DirectoryPageFault)
    }
    for (const torn of [bytes.subarray(1), bytes.subarray(0, -1), bytes.subarray(0, 10), new Uint8Array(0)])
      expect(() => DirectoryPage.open(torn, name)).toThrow(DirectoryPageFault)
    expect(() => DirectoryPage.open(Uint8Array.of(...bytes, 0), name)).toThrow(DirectoryPageFault)
  })

  test('under the name of another is refused', () => {
    const named = { algorithm: 'SHA-256', octet: firstOctet('SHA-256'), version: VERSION } as const
    const bytes = encodeDirectoryPage(named, ISSUERS)
    const others = [
      { ...named, octet: (named.octet + 1) % 256 },
      { ...named, version: VERSION + 1 },
      { ...named, algorithm: 'SHA-1' as const },
    ]
    for (const other of others)
      expect(() => DirectoryPage.open(bytes, directoryPageName(other))).toThrow('badName')
    expect(DirectoryPage.open(bytes, directoryPageName(named)).size).toBeGreaterThan(0)
  })

  test('has a name that can be read back, and nothing else can', () => {
    for (const algorithm of HASH_ALGORITHMS)
      for (const octet of [0, 9, 255]) {
        const named = { algorithm, octet, version: VERSION }
        expect(parseDirectoryPageName(directoryPageName(named))).toEqual(named)
      }
    for (const name of ['d/SHA-2/00/1', 'd/SHA-1/0/1', 'd/SHA-1/00/', 's/SHA-1/00/1', 'd/SHA-1/00/1/2'])
      expect(() => parseDirectoryPageName(name)).toThrow(DirectoryPageFault)
  })
})
