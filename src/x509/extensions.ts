/** The certificate extensions that matter to a responder. @see RFC 5280 4.2, RFC 6960 4.2.2.2.1 */
import {
  type BaseBlock,
  BitString,
  Boolean as BooleanBlock,
  ObjectIdentifier,
  OctetString,
  Sequence,
} from 'asn1js'
import { AuthorityKeyIdentifier, BasicConstraints, InfoAccess } from 'pkijs'
import { CertificateError } from './error.ts'
import { parseElement } from './parse.ts'

export interface KeyUsage {
  readonly critical: boolean
  readonly digitalSignature: boolean
  readonly nonRepudiation: boolean
  readonly keyEncipherment: boolean
  readonly dataEncipherment: boolean
  readonly keyAgreement: boolean
  readonly keyCertSign: boolean
  readonly cRLSign: boolean
  readonly encipherOnly: boolean
  readonly decipherOnly: boolean
}

export interface CertificateExtensions {
  readonly subjectKeyIdentifier: Uint8Array | undefined
  /** keyIdentifier field of AuthorityKeyIdentifier. */
  readonly authorityKeyIdentifier: Uint8Array | undefined
  readonly keyUsage: KeyUsage | undefined
  /** OIDs; undefined without the extension. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly basicConstraints:
    | { readonly critical: boolean; readonly cA: boolean; readonly value: Uint8Array }
    | undefined
  /** basicConstraints says cA TRUE. */
  readonly isCA: boolean
  /** id-pkix-ocsp-nocheck; `value` is the content of the OCTET STRING, `05 00` as it should be. */
  readonly ocspNoCheck: { readonly critical: boolean; readonly value: Uint8Array } | undefined
  /** URLs of OCSP responders in AuthorityInfoAccess. */
  readonly ocspURLs: readonly string[]
  /** All extensions in order, these included. */
  readonly extensions: readonly RawExtension[]
}

export interface RawExtension {
  readonly extnID: string
  readonly critical: boolean
  /** Content of the OCTET STRING. */
  readonly value: Uint8Array
}

export const EXTENSION_OID = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  cRLDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
} as const

const ACCESS_METHOD_OCSP = '1.3.6.1.5.5.7.48.1'
/** [6] of GeneralName. */
const UNIFORM_RESOURCE_IDENTIFIER = 6

/**
 * @param block Extensions, undefined for a certificate without any
 * @throws CertificateError.badExtension
 */
export function readCertificateExtensions(block: BaseBlock | undefined): CertificateExtensions {
  const extensions = block === undefined ? [] : childrenOf(block, 'extensions').map(readExtension)
  const find = (name: keyof typeof EXTENSION_OID): RawExtension | undefined => {
    const found = extensions.filter((extension) => extension.extnID === EXTENSION_OID[name])
    if (found.length > 1) throw malformed(`${name} occurs ${found.length} times (RFC 5280 4.2 allows one)`)
    return found[0]
  }
  const basicConstraints = readAs(
    find('basicConstraints'),
    'basicConstraints',
    ({ critical, value }, schema) => ({
      critical,
      cA: new BasicConstraints({ schema }).cA,
      value,
    }),
  )
  return {
    extensions,
    subjectKeyIdentifier: readAs(find('subjectKeyIdentifier'), 'subjectKeyIdentifier', (_, value) =>
      octetsOf(value),
    ),
    authorityKeyIdentifier: readAs(find('authorityKeyIdentifier'), 'authorityKeyIdentifier', (_, schema) => {
      const { keyIdentifier } = new AuthorityKeyIdentifier({ schema })
      return keyIdentifier?.valueBlock.valueHexView
    }),
    keyUsage: readAs(find('keyUsage'), 'keyUsage', ({ critical }, value) => readKeyUsage(critical, value)),
    extendedKeyUsage: readAs(find('extendedKeyUsage'), 'extendedKeyUsage', (_, value) =>
      childrenOf(value, 'extendedKeyUsage').map(oidOf),
    ),
    basicConstraints,
    isCA: basicConstraints?.cA === true,
    ocspNoCheck: find('ocspNoCheck'),
    ocspURLs:
      readAs(find('authorityInfoAccess'), 'authorityInfoAccess', (_, schema) => ocspURLs(schema)) ?? [],
  }
}

/** Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue }; a written FALSE is not DER, but common. */
function readExtension(block: BaseBlock): RawExtension {
  const fields = childrenOf(block, 'an extension')
  const extnID = oidOf(fields[0])
  const second = fields[1]
  const critical = second instanceof BooleanBlock && second.valueBlock.value
  return { extnID, critical, value: octetsOf(second instanceof BooleanBlock ? fields[2] : second) }
}

function readAs<T>(
  extension: RawExtension | undefined,
  name: string,
  read: (extension: RawExtension, value: BaseBlock) => T,
): T | undefined {
  if (extension === undefined) return undefined
  const parsed = parseElement(extension.value)
  if (typeof parsed === 'string') throw malformed(`the value of ${name} is not DER`)
  try {
    return read(extension, parsed)
  } catch (error) {
    if (error instanceof CertificateError) throw error
    throw malformed(`the value of ${name} is not of its type`)
  }
}

function readKeyUsage(critical: boolean, value: BaseBlock): KeyUsage {
  if (!(value instanceof BitString)) throw malformed('keyUsage is not a BIT STRING')
  const [first = 0, second = 0] = value.valueBlock.valueHexView
  return {
    critical,
    digitalSignature: (first & 0x80) !== 0,
    nonRepudiation: (first & 0x40) !== 0,
    keyEncipherment: (first & 0x20) !== 0,
    dataEncipherment: (first & 0x10) !== 0,
    keyAgreement: (first & 0x08) !== 0,
    keyCertSign: (first & 0x04) !== 0,
    cRLSign: (first & 0x02) !== 0,
    encipherOnly: (first & 0x01) !== 0,
    decipherOnly: (second & 0x80) !== 0,
  }
}

function ocspURLs(schema: BaseBlock): string[] {
  return new InfoAccess({ schema }).accessDescriptions
    .filter(({ accessMethod }) => accessMethod === ACCESS_METHOD_OCSP)
    .flatMap(({ accessLocation }) => {
      const value: unknown = accessLocation.value
      return accessLocation.type === UNIFORM_RESOURCE_IDENTIFIER && typeof value === 'string' ? [value] : []
    })
}

function childrenOf(block: BaseBlock, what: string): readonly BaseBlock[] {
  if (!(block instanceof Sequence)) throw malformed(`${what} is not a SEQUENCE`)
  return block.valueBlock.value
}

function oidOf(block: BaseBlock | undefined): string {
  if (!(block instanceof ObjectIdentifier)) throw malformed('an OBJECT IDENTIFIER is missing')
  return block.getValue()
}

function octetsOf(block: BaseBlock | undefined): Uint8Array {
  if (!(block instanceof OctetString)) throw malformed('an OCTET STRING is missing')
  return block.valueBeforeDecodeView.subarray(block.idBlock.blockLength + block.lenBlock.blockLength)
}

function malformed(message: string): CertificateError {
  return new CertificateError('badExtension', `the certificate's extensions are malformed: ${message}`)
}
