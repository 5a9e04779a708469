import { DERReader } from '../asn1/der-reader.ts'
import { DERWriter } from '../asn1/der-writer.ts'

/**
 * Extension ::= SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
 * @see RFC 5280 4.1
 */
export interface Extension {
  /** Dotted. */
  readonly extnID: string
  readonly critical: boolean
  /** Content of the OCTET STRING. */
  readonly extnValue: Uint8Array
}

/** Called for each extension as it is read: `offset` is where it begins, `earlier` what stood before it. */
export type ExtensionCheck = (extension: Extension, offset: number, earlier: readonly Extension[]) => void

/**
 * Extensions ::= SEQUENCE SIZE (1..MAX) OF Extension. An empty SEQUENCE is read as an empty list: real clients send it (R1.9).
 * @throws DERError, and whatever `check` throws
 */
export function readExtensions(reader: DERReader, check?: ExtensionCheck): Extension[] {
  const list: Extension[] = []
  reader.sequence((r) => {
    while (!r.atEnd) {
      const offset = r.offset
      const extension = r.sequence(readExtension)
      check?.(extension, offset, list)
      list.push(extension)
    }
  })
  return list
}

function readExtension(reader: DERReader): Extension {
  return { extnID: reader.oid(), critical: reader.optionalTrue(), extnValue: reader.octetString() }
}

export function writeExtensions(list: readonly Extension[], writer: DERWriter): void {
  writer.sequenceOf(list, writeExtension)
}

function writeExtension(extension: Extension, writer: DERWriter): void {
  writer.sequence((w) => {
    w.oid(extension.extnID)
    if (extension.critical) w.boolean(true)
    w.octetString(extension.extnValue)
  })
}

/** Reads a whole Extensions element. @throws DERError */
export function decodeExtensions(der: Uint8Array): Extension[] {
  const reader = new DERReader(der)
  const list = readExtensions(reader)
  reader.finish()
  return list
}

/** DER of an Extensions element. */
export function encodeExtensions(list: readonly Extension[]): Uint8Array {
  const writer = new DERWriter()
  writeExtensions(list, writer)
  return writer.finish()
}
