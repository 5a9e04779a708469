/**
 * How clients ask: one way of asking has a value for each thing in which clients differ, and is written out as the octets
 * that such a client sends. test/support/client-behaviour-table.ts says which client has which ways.
 */
import fc from 'fast-check'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'

/** What becomes of base64 on its way into a path (R5.1..R5.10). */
export const SPELLINGS = {
  escaped: (text: string) => encodeURIComponent(text),
  'lower-case escapes': (text: string) =>
    encodeURIComponent(text).replaceAll(/%../g, (octet) => octet.toLowerCase()),
  raw: (text: string) => text,
  '/ alone escaped': (text: string) => text.replaceAll('/', '%2F'),
  '+ and = alone escaped': (text: string) => text.replaceAll('+', '%2B').replaceAll('=', '%3D'),
  '+ raw': (text: string) => encodeURIComponent(text).replaceAll('%2B', '+'),
  'space for +': (text: string) => encodeURIComponent(text).replaceAll('%2B', '%20'),
  'escaped twice': (text: string) => encodeURIComponent(encodeURIComponent(text)),
  '+ escaped twice': (text: string) => text.replaceAll('+', '%252B'),
  unpadded: (text: string) => encodeURIComponent(text).replaceAll('%3D', ''),
  base64url: (text: string) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
  'slashes merged': (text: string) => text.replaceAll(/\/{2,}/g, '/'),
} as const
export type Spelling = keyof typeof SPELLINGS

/** Elements of a request that change no answer. */
export type Extra = 'none' | 'empty Extensions' | 'response types' | 'service locator' | 'unknown extension'

/** What is asked. */
export interface Wording {
  readonly hash: HashAlgorithm
  readonly parameters: 'NULL' | 'absent'
  readonly certIDs: 1 | 2 | 3
  /** Octets; 0: none is sent. */
  readonly nonce: number
  /** `raw`: extnValue is the nonce itself, not an OCTET STRING (R3.11). */
  readonly nonceForm: 'octet string' | 'raw' | 'critical'
  readonly versionWritten: boolean
  readonly requestorName: 'none' | 'directoryName' | 'rfc822Name'
  readonly extra: Extra
  readonly prefers: readonly SignatureAlgorithm[]
  readonly signed: boolean
}

/** How it is sent. */
export interface Sending {
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** What stands before the data of a GET, or is the path of a POST. */
  readonly path: string
  readonly spelling: Spelling
  /** After the data of a GET. */
  readonly suffix: string
  /** The target names scheme and host, as for a proxy (R5.17). */
  readonly absolute: boolean
  readonly version: '1.0' | '1.1'
  /** Undefined: the header is left out. */
  readonly connection: 'close' | 'keep-alive' | undefined
  /** `bare`: without the port. */
  readonly host: 'with port' | 'bare' | 'none'
  readonly contentType: string | undefined
  readonly framing: 'length' | 'chunked'
  /** Expect: 100-continue, and the body when the 100 is there. */
  readonly expects: boolean
  /** A copy is at hand, and is only asked for whether it still holds. */
  readonly validator: 'none' | 'ETag' | 'date'
  /** The next question is sent before this one is answered. */
  readonly pipelined: boolean
  /** Header lines as the client writes them. */
  readonly headers: readonly string[]
}

export interface Way extends Wording, Sending {}

/** The values that occur, each with any of the others. */
export type Ways = { readonly [K in keyof Way]?: readonly Way[K][] }

export interface Client {
  readonly name: string
  /** Requirements that it stands for, or how it is known to ask so. */
  readonly source: string
  /** One entry for each way it goes about it, such as one for GET and one for POST. */
  readonly ways: readonly Ways[]
}

const USUAL: { readonly [K in keyof Way]: readonly Way[K][] } = {
  method: ['GET'],
  path: ['/'],
  spelling: ['escaped'],
  suffix: [''],
  absolute: [false],
  hash: ['SHA-1'],
  parameters: ['NULL'],
  certIDs: [1],
  nonce: [0],
  nonceForm: ['octet string'],
  versionWritten: [false],
  requestorName: ['none'],
  extra: ['none'],
  prefers: [[]],
  signed: [false],
  version: ['1.1'],
  connection: [undefined],
  host: ['with port'],
  contentType: ['application/ocsp-request'],
  framing: ['length'],
  expects: [false],
  validator: ['none'],
  pipelined: [false],
  headers: [[]],
}

/** All values of one entry of a client. */
export function valuesOf(ways: Ways): typeof USUAL {
  return { ...USUAL, ...ways }
}

const oneOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

function someWording(ways: Ways): fc.Arbitrary<Wording> {
  const all = valuesOf(ways)
  return fc.record({
    hash: oneOf(all.hash),
    parameters: oneOf(all.parameters),
    certIDs: oneOf(all.certIDs),
    nonce: oneOf(all.nonce),
    nonceForm: oneOf(all.nonceForm),
    versionWritten: oneOf(all.versionWritten),
    requestorName: oneOf(all.requestorName),
    extra: oneOf(all.extra),
    prefers: oneOf(all.prefers),
    signed: oneOf(all.signed),
  })
}

function someSending(ways: Ways): fc.Arbitrary<Sending> {
  const all = valuesOf(ways)
  return fc.record({
    method: oneOf(all.method),
    path: oneOf(all.path),
    spelling: oneOf(all.spelling),
    suffix: oneOf(all.suffix),
    absolute: oneOf(all.absolute),
    version: oneOf(all.version),
    connection: oneOf(all.connection),
    host: oneOf(all.host),
    contentType: oneOf(all.contentType),
    framing: oneOf(all.framing),
    expects: oneOf(all.expects),
    validator: oneOf(all.validator),
    pipelined: oneOf(all.pipelined),
    headers: oneOf(all.headers),
  })
}

const mixed = (wording: Ways, sending: Ways): fc.Arbitrary<Way> =>
  fc.tuple(someWording(wording), someSending(sending)).map(([asked, sent]) => ({ ...asked, ...sent }))

export const ISSUERS = ['plain', 'itself', 'extended', 'several', 'verifying', 'requiring'] as const
export type IssuerName = (typeof ISSUERS)[number]
export const CERTIFICATES = ['good', 'revoked', 'hold', 'expired', 'never'] as const
export type CertificateName = (typeof CERTIFICATES)[number]

/** One question of a client. */
export interface Asking {
  readonly issuer: IssuerName
  /** As many as there are CertIDs. */
  readonly certificates: readonly CertificateName[]
  readonly way: Way
  /** Seed of the nonce's octets. */
  readonly noise: number
  /** The request arrives in two parts; the first has this share of its octets. */
  readonly cut: number
}

/** All that goes over one connection. */
export type Conversation = readonly Asking[]

const noise = fc.noShrink(fc.nat())

function asking(way: fc.Arbitrary<Way>): fc.Arbitrary<Asking> {
  return way.chain((chosen) =>
    fc.record({
      issuer: oneOf(ISSUERS),
      certificates: fc.array(oneOf(CERTIFICATES), { minLength: chosen.certIDs, maxLength: chosen.certIDs }),
      way: fc.constant(chosen),
      noise,
      cut: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  )
}

/** Where a proxy merged slashes, only a short question about a recorded certificate tells which of several was meant. */
const isAnswerable = ({ way, certificates }: Asking) =>
  way.spelling !== 'slashes merged' ||
  (way.hash === 'SHA-1' && way.nonce === 0 && !way.signed && `${certificates}` !== 'never')

/** Whether a client leaves the connection open for another question. */
export const keepsAlive = ({ version, connection }: Way): boolean =>
  version === '1.1' && connection !== 'close'

function conversation(ways: readonly fc.Arbitrary<Way>[]): fc.Arbitrary<Conversation> {
  const one = fc.oneof(...ways.map((way) => asking(way).filter(isAnswerable)))
  return fc.array(one, { minLength: 1, maxLength: 4 }).map((all) => {
    const last = all.findIndex(({ way }) => !keepsAlive(way))
    return last < 0 ? all : all.slice(0, last + 1)
  })
}

/** What this client may say. */
export function conversationOf({ ways }: Client): fc.Arbitrary<Conversation> {
  return conversation(ways.map((entry) => mixed(entry, entry)))
}

/** A client that nobody has seen: one asks what another sends. */
export function anyConversation(clients: readonly Client[]): fc.Arbitrary<Conversation> {
  const entries = clients.flatMap(({ ways }) => ways)
  const way = fc.tuple(oneOf(entries), oneOf(entries)).chain(([asks, sends]) => mixed(asks, sends))
  return conversation([way])
}
