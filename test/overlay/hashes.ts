import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { HASH_LENGTH } from '../../src/pkix/algorithm-identifier.ts'
import type { IssuerHashes } from '../../src/ports/records.ts'

const one = (hash: HashAlgorithm): IssuerHashes => ({
  issuerNameHash: new Uint8Array(HASH_LENGTH[hash]).fill(0x11),
  issuerKeyHash: new Uint8Array(HASH_LENGTH[hash]).fill(0x22),
})

/** Hashes of an issuer, where it does not matter of which. */
export const TEST_HASHES: Readonly<Record<HashAlgorithm, IssuerHashes>> = {
  'SHA-1': one('SHA-1'),
  'SHA-256': one('SHA-256'),
  'SHA-384': one('SHA-384'),
  'SHA-512': one('SHA-512'),
}
