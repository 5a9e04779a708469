/** Extensions that are recorded with a certificate, as DER of Extensions: checked, and merged with what was there. */
import { DERError } from '../asn1/error.ts'
import { decodeExtensions, type Extension, encodeExtensions } from '../pkix/extensions.ts'
import { StorageError } from '../ports/errors.ts'

/** As the CHECK of the column has it. */
export const MAX_EXTENSIONS_OCTETS = 4096

/** @returns undefined when they can be recorded, else why not */
export function extensionsRefusal(der: Uint8Array): string | undefined {
  let list: readonly Extension[]
  try {
    list = decodeExtensions(der)
  } catch (error) {
    if (error instanceof DERError) return 'the extensions are not DER of Extensions'
    throw error
  }
  if (list.length === 0) return 'the extensions are an empty list'
  if (list.some(({ critical }) => critical)) return 'an extension is critical'
  if (new Set(list.map(({ extnID }) => extnID)).size < list.length) return 'an extension comes twice'
  if (der.length > MAX_EXTENSIONS_OCTETS)
    return `the extensions have ${der.length} octets, more than ${MAX_EXTENSIONS_OCTETS}`
  return undefined
}

/**
 * The newer of each kind (OID), each in the place it had, so that merging the same once more changes nothing.
 * @param recorded DER of Extensions; empty = none
 * @throws StorageError corrupt when what is recorded cannot be read
 */
export function mergeExtensions(recorded: Uint8Array, added: Uint8Array): Uint8Array {
  if (recorded.length === 0) return added
  const newer = new Map(decodeExtensions(added).map((extension) => [extension.extnID, extension]))
  const merged = new Map(decodeRecorded(recorded).map((extension) => [extension.extnID, extension]))
  for (const [extnID, extension] of newer) merged.set(extnID, extension)
  return encodeExtensions([...merged.values()])
}

function decodeRecorded(der: Uint8Array): readonly Extension[] {
  try {
    return decodeExtensions(der)
  } catch (error) {
    throw new StorageError('corrupt', 'stored record: certificates.extensions is not what it should be', {
      cause: error,
    })
  }
}
