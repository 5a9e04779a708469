/** Names the field at an octet of an OCSPResponse, for octets that the strict reader refuses. Never throws. */

/** Fields of a structure in their order, by identifier octet; a missing one is passed over. */
type Fields = readonly (readonly [tag: number, name: string, inside?: Fields | 'list'])[]

const SINGLE: Fields = [
  [
    0x30,
    'certID',
    [
      [0x30, 'hashAlgorithm'],
      [0x04, 'issuerNameHash'],
      [0x04, 'issuerKeyHash'],
      [0x02, 'serialNumber'],
    ],
  ],
  [0x80, 'certStatus'],
  [0x82, 'certStatus'],
  [0xa1, 'certStatus'],
  [0x18, 'thisUpdate'],
  [0xa0, 'nextUpdate'],
  [0xa1, 'singleExtensions'],
]
const DATA: Fields = [
  [0xa0, 'version'],
  [0xa1, 'responderID'],
  [0xa2, 'responderID'],
  [0x18, 'producedAt'],
  [0x30, 'responses', 'list'],
  [0xa1, 'responseExtensions'],
]
const BASIC: Fields = [
  [0x30, 'tbsResponseData', DATA],
  [0x30, 'signatureAlgorithm'],
  [0x03, 'signature'],
  [0xa0, 'certs'],
]

export interface Element {
  readonly start: number
  readonly content: number
  readonly end: number
}

/** Such as `responses[1].certStatus`; '' for what stands outside of a BasicOCSPResponse. */
export function fieldAt(der: Uint8Array, offset: number): string {
  const basic = basicAt(der)
  if (basic === undefined || offset < basic.start) return ''
  const path = descend(der, basic, offset, BASIC)
  return path.replace('tbsResponseData.', '')
}

/** OCSPResponse { responseStatus, [0] ResponseBytes { responseType, OCTET STRING { BasicOCSPResponse } } } */
function basicAt(der: Uint8Array): Element | undefined {
  const outer = elementAt(der, 0)
  const status = outer && elementAt(der, outer.content)
  const tagged = status && elementAt(der, status.end)
  const bytes = tagged && elementAt(der, tagged.content)
  const type = bytes && elementAt(der, bytes.content)
  const response = type && elementAt(der, type.end)
  return response && elementAt(der, response.content)
}

/**
 * The other way round: where a field begins; when it is not there, what it would stand in.
 * @param path as `fieldAt` and findings have it, with the name of a field behind it or not
 */
export function offsetOf(der: Uint8Array, path: string): number {
  const basic = basicAt(der)
  if (basic === undefined) return 0
  const [first = '', ...rest] = path.split('.')
  const isOfData = first !== 'tbsResponseData' && DATA.some(([, name]) => name === nameOf(first))
  const steps = isOfData ? ['tbsResponseData', first, ...rest] : [first, ...rest]
  let [element, fields]: [Element, Fields] = [basic, BASIC]
  for (const step of steps) {
    const found = childOf(der, element, fields, nameOf(step))
    if (found === undefined) break
    element = found.element
    if (found.inside === 'list') {
      const index = /\[(\d+)\]$/.exec(step)?.[1]
      const item = index === undefined ? undefined : itemOf(der, element, Number(index))
      if (item === undefined) break
      element = item
      fields = SINGLE
    } else fields = found.inside ?? []
  }
  return element.start
}

function nameOf(step: string): string {
  return step.replace(/\[\d+\]$/, '')
}

function childOf(
  der: Uint8Array,
  parent: Element,
  fields: Fields,
  name: string,
): { readonly element: Element; readonly inside: Fields | 'list' | undefined } | undefined {
  let [at, next] = [parent.content, 0]
  while (at < parent.end) {
    const found = fields.findIndex(([tag], i) => i >= next && tag === der[at])
    const element = elementAt(der, at)
    const field = fields[found]
    if (field === undefined || element === undefined) return undefined
    if (field[1] === name) return { element, inside: field[2] }
    next = found + 1
    while (fields[next]?.[1] === field[1]) next += 1
    at = element.end
  }
  return undefined
}

function itemOf(der: Uint8Array, list: Element, index: number): Element | undefined {
  let item = elementAt(der, list.content)
  for (let i = 0; i < index && item !== undefined; i += 1) item = elementAt(der, item.end)
  return item
}

function descend(der: Uint8Array, parent: Element, offset: number, fields: Fields): string {
  let [at, next] = [parent.content, 0]
  while (at < parent.end) {
    const found = fields.findIndex(([tag], i) => i >= next && tag === der[at])
    const [, name = '', inside] = fields[found] ?? []
    const element = elementAt(der, at)
    if (found < 0 || element === undefined) return name
    if (offset >= element.end) {
      // certStatus is one of three, responderID one of two.
      next = found + 1
      while (fields[next]?.[1] === name && name !== '') next += 1
      at = element.end
      continue
    }
    if (offset === element.start || inside === undefined) return name
    return dotted(
      name,
      inside === 'list' ? inList(der, element, offset) : descend(der, element, offset, inside),
    )
  }
  return ''
}

function inList(der: Uint8Array, list: Element, offset: number): string {
  let at = list.content
  for (let index = 0; at < list.end; index += 1) {
    const element = elementAt(der, at)
    if (element === undefined || offset < element.end)
      return dotted(`[${index}]`, element === undefined ? '' : descend(der, element, offset, SINGLE))
    at = element.end
  }
  return ''
}

function dotted(name: string, rest: string): string {
  return rest === '' || rest.startsWith('[') ? name + rest : `${name}.${rest}`
}

/** Forgiving: whatever the length octets say, cut at the end of the input. */
export function elementAt(der: Uint8Array, start: number): Element | undefined {
  const first = der[start + 1]
  if (first === undefined) return undefined
  const octets = first > 0x80 ? first & 0x7f : 0
  if (octets > 4) return undefined
  let length = octets === 0 ? first & 0x7f : 0
  for (let i = 0; i < octets; i += 1) length = length * 256 + (der[start + 2 + i] ?? 0)
  const content = start + 2 + octets
  return { start, content, end: Math.min(content + length, der.length) }
}
