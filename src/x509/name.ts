/** One-line text of a distinguished name, for people: RFC 4514 order and escapes, with more names of attributes. */
import { type BaseBlock, ObjectIdentifier, Sequence, Set as SetBlock } from 'asn1js'

const ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
])

/** @param name parsed Name; anything that is not one gives what can be read of it */
export function formatName(name: BaseBlock): string {
  return childrenOf(name).reverse().map(formatRDN).join(',')
}

function formatRDN(rdn: BaseBlock): string {
  return childrenOf(rdn).map(formatAttribute).join('+')
}

function formatAttribute(attribute: BaseBlock): string {
  const [type, value] = childrenOf(attribute)
  const oid = type instanceof ObjectIdentifier ? type.getValue() : '?'
  return `${ATTRIBUTES.get(oid) ?? oid}=${value === undefined ? '' : formatValue(value)}`
}

function formatValue(value: BaseBlock): string {
  const text = textOf(value)
  if (text === undefined)
    return `#${Array.from(value.valueBeforeDecodeView, (octet) => octet.toString(16).padStart(2, '0')).join('')}`
  return (
    text
      .replace(/[,+"\\<>;=]/g, '\\$&')
      .replace(/^[ #]| $/g, '\\$&')
      // Control and format characters could rewrite a terminal's line; unpaired surrogates have no UTF-8.
      .replace(/\p{C}/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
  )
}

/** Every string type of asn1js has getValue; so have types whose value is no text. */
function textOf(block: BaseBlock): string | undefined {
  if (!('getValue' in block) || typeof block.getValue !== 'function') return undefined
  const text: unknown = block.getValue()
  return typeof text === 'string' ? text : undefined
}

function childrenOf(block: BaseBlock): BaseBlock[] {
  return block instanceof Sequence || block instanceof SetBlock ? [...block.valueBlock.value] : []
}
