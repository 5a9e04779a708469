/** What is known of signature algorithms by their object identifiers: parameters, strength, keys, forms. */
import { DERReader } from '../asn1/der-reader.ts'
import { OID } from '../asn1/oid.ts'
import type { AlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { isNullParameters, readAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { sameOctets } from './octets.ts'

const PKCS1 = '1.2.840.113549.1.1.'
const ECDSA = '1.2.840.10045.4.'
const EC_KEY = '1.2.840.10045.2.1'
const ED448 = '1.3.101.113'
/** ML-DSA (.17 to .19) and SLH-DSA (.20 to .31). */
const NIST_SIGNATURES = '2.16.840.1.101.3.4.3.'
/** md2, md4, md5 and sha1 with RSA; sha1 with ECDSA and DSA. */
const WEAK = new Set(
  ['2', '3', '4', '5'].map((last) => PKCS1 + last).concat(`${ECDSA}1`, '1.2.840.10040.4.3'),
)

/** Curve of a key -> the hash that the Baseline Requirements pair with it. */
const CURVES = new Map<string, string>([
  ['1.2.840.10045.3.1.7', OID.ecdsaWithSHA256],
  ['1.3.132.0.34', OID.ecdsaWithSHA384],
  ['1.3.132.0.35', OID.ecdsaWithSHA512],
])

/** BR 7.1.3.2: RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256, SHA-384 and SHA-512; ECDSA with the same. */
const PUBLIC_ALGORITHMS: readonly Uint8Array[] = [
  ...['0b', '0c', '0d'].map((last) => octetsOf(`300d06092a864886f70d0101${last}0500`)),
  ...['02', '03', '04'].map((last) => octetsOf(`300a06082a8648ce3d0403${last}`)),
  ...['01 20', '02 30', '03 40'].map(pss),
]

/** Parameters of RSASSA-PSS in the one form that is allowed: hash in both places with NULL, salt as long as the hash. */
function pss(hashAndSalt: string): Uint8Array {
  const [hash = '', salt = ''] = hashAndSalt.split(' ')
  const identifier = `300d06096086480165030402${hash}0500`
  return octetsOf(
    `304106092a864886f70d01010a3034a00f${identifier}a11c301a06092a864886f70d010108${identifier}a2030201${salt}`,
  )
}

export function isPublicAlgorithm(identifier: Uint8Array): boolean {
  return PUBLIC_ALGORITHMS.some((known) => sameOctets(known, identifier))
}

export function hasOddParameters({ algorithm, parameters }: AlgorithmIdentifier): boolean {
  if (algorithm.startsWith(PKCS1) && algorithm !== OID.rsassaPss)
    return parameters === undefined || !isNullParameters(parameters)
  const hasNone = algorithm.startsWith(ECDSA) || isEdwards(algorithm) || algorithm.startsWith(NIST_SIGNATURES)
  return hasNone && parameters !== undefined
}

/** SHA-1 is also the default of RSASSA-PSS (RFC 4055 3.1). */
export function isWeakAlgorithm({ algorithm, parameters }: AlgorithmIdentifier): string | false {
  if (algorithm !== OID.rsassaPss) return WEAK.has(algorithm) && algorithm
  let hash: string | undefined
  try {
    hash = new DERReader(parameters ?? new Uint8Array(0)).sequence((fields) => {
      const found = fields.optionalExplicit(0, readAlgorithmIdentifier)?.algorithm
      while (!fields.atEnd) fields.raw()
      return found
    })
  } catch {
    hash = undefined
  }
  return (hash === undefined || hash === OID.sha1) && 'RSASSA-PSS with SHA-1'
}

/** @param spki DER of SubjectPublicKeyInfo */
export function fitsKey(algorithm: string, spki: Uint8Array | undefined): boolean {
  const key = keyOf(spki)?.algorithm
  if (key === undefined) return false
  if (algorithm.startsWith(PKCS1)) return key === `${PKCS1}1` || (key === OID.rsassaPss && algorithm === key)
  return algorithm.startsWith(ECDSA) ? key === EC_KEY : key === algorithm
}

export function fitsCurve(algorithm: string, spki: Uint8Array | undefined): boolean {
  const key = keyOf(spki)
  if (key?.algorithm !== EC_KEY || key.parameters === undefined || !algorithm.startsWith(ECDSA)) return true
  try {
    return CURVES.get(new DERReader(key.parameters).oid()) === algorithm
  } catch {
    return false
  }
}

function keyOf(spki: Uint8Array | undefined): AlgorithmIdentifier | undefined {
  try {
    return (
      spki &&
      new DERReader(spki).sequence((key) => {
        const algorithm = readAlgorithmIdentifier(key)
        key.raw()
        return algorithm
      })
    )
  } catch {
    return undefined
  }
}

/** Ecdsa-Sig-Value in DER, or octets of the right number, as far as the algorithm says it. */
export function signatureProblem(algorithm: string, signature: Uint8Array): string | false {
  const { length } = signature
  if (algorithm.startsWith(ECDSA)) return !isECDSAForm(signature) && 'no Ecdsa-Sig-Value in DER'
  const meant = algorithm === OID.ed25519 ? 64 : algorithm === ED448 ? 114 : undefined
  const isRight = meant === undefined ? length > 0 : length === meant
  return !isRight && `${length} octets`
}

/** SEQUENCE of two positive INTEGERs, whatever the curve; no longer than that of P-521. Stands in the signing loop. */
function isECDSAForm(der: Uint8Array): boolean {
  const isLong = der[1] === 0x81
  let at = isLong ? 3 : 2
  const length = der[at - 1] ?? 0
  if (der[0] !== 0x30 || at + length !== der.length || length < 0x80 === isLong) return false
  for (let i = 0; i < 2; i += 1) {
    const [size, first, second] = [der[at + 1] ?? 0, der[at + 2] ?? 0x80, der[at + 3] ?? 0]
    if (der[at] !== 0x02 || size === 0 || first > 0x7f) return false
    if (first === 0 && (size === 1 || second < 0x80)) return false
    at += 2 + size
  }
  return at === der.length
}

function isEdwards(algorithm: string): boolean {
  return algorithm === OID.ed25519 || algorithm === ED448
}

function octetsOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  )
}
