/** Issuers as the overlay knows them, however many, with key hashes spread like real ones. */
import { createHash } from 'node:crypto'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { NewIssuer } from '../../src/ports/admin-store.ts'
import type { IssuerHashes, OverlayIssuer } from '../../src/ports/records.ts'
import { newIssuer } from '../storage/fixtures.ts'

const NODE_NAMES: Readonly<Record<HashAlgorithm, string>> = {
  'SHA-1': 'sha1',
  'SHA-256': 'sha256',
  'SHA-384': 'sha384',
  'SHA-512': 'sha512',
}

function hashesOf(hash: HashAlgorithm, n: number): IssuerHashes {
  const digest = (what: string) =>
    Uint8Array.from(createHash(NODE_NAMES[hash]).update(`${what} ${n}`).digest())
  return { issuerNameHash: digest('name'), issuerKeyHash: digest('key') }
}

export function manyHashes(n: number): Readonly<Record<HashAlgorithm, IssuerHashes>> {
  return {
    'SHA-1': hashesOf('SHA-1', n),
    'SHA-256': hashesOf('SHA-256', n),
    'SHA-384': hashesOf('SHA-384', n),
    'SHA-512': hashesOf('SHA-512', n),
  }
}

export function overlayIssuer(id: number, over: Partial<OverlayIssuer> = {}): OverlayIssuer {
  return {
    id,
    head: id * 1_000 + 7,
    floor: id * 1_000 + 1,
    k: id % 25,
    configRev: id * 1_000 + 3,
    enabled: true,
    frozen: false,
    hashes: manyHashes(id),
    ...over,
  }
}

/** To be recorded; names, key identifiers and hashes of its own. */
export function manyIssuers(count: number, from = 1): NewIssuer[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i
    const ski = createHash('sha1').update(`ski ${n}`).digest('hex')
    return newIssuer({ name: `ca-${n}`, ski, hashes: manyHashes(n) })
  })
}
