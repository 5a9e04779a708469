/** A question as octets: the DER of one way of wording it, and the HTTP of one way of sending it. */
import { encodeAlgorithmIdentifier, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { hex, seq, tlv } from '../fixtures/octets.ts'
import {
  CRITICAL,
  certID,
  extension,
  NONCE_OID,
  NULL,
  requestExtensions,
  singleExtensions,
  UNKNOWN_OID,
} from '../fixtures/requests.ts'
import { type Sending, SPELLINGS, type Wording } from './client-behaviour.ts'
import type { Requestor, Subject } from './client-behaviour-world.ts'
import { Random } from './clock.ts'

const NOTHING = new Uint8Array(0)
const PKIX_OCSP = '2b06010505073001'
const oid = (suffix: number) => hex(`06 09 ${PKIX_OCSP} 0${suffix}`)
const RESPONSE_TYPES = extension(oid(4), seq(oid(1)))
const SERVICE_LOCATOR = extension(
  oid(7),
  seq(seq(), seq(seq(hex(`06 08 ${PKIX_OCSP}`), tlv(0x86, Buffer.from('http://a'))))),
)
const UNKNOWN = extension(UNKNOWN_OID, NULL)

/** DER of an OCSPRequest, and the parts of it that the answer must repeat. */
export interface Worded {
  readonly der: Uint8Array
  /** DER of each CertID. */
  readonly certIDs: readonly Uint8Array[]
  /** extnValue of the nonce. */
  readonly nonce: Uint8Array | undefined
}

/** @param noise seed of the nonce's octets */
export async function word(
  wording: Wording,
  subjects: readonly Subject[],
  requestor: Requestor,
  noise: number,
): Promise<Worded> {
  const certIDs = subjects.map((subject) => certIDOf(wording, subject))
  const nonce = nonceOf(wording, noise)
  const one = wording.extra === 'empty Extensions' ? hex('a0 02 30 00') : singles(wording)
  const tbs = seq(
    wording.versionWritten ? hex('a0 03 02 01 00') : NOTHING,
    requestorNameOf(wording, requestor),
    seq(...certIDs.map((id) => seq(id, one))),
    extensionsOf(wording, nonce),
  )
  return { der: wording.signed ? seq(tbs, await signatureOf(tbs, requestor)) : seq(tbs), certIDs, nonce }
}

function certIDOf({ hash, parameters }: Wording, { hashes, serial }: Subject): Uint8Array {
  const { issuerNameHash: nameHash, issuerKeyHash: keyHash } = hashes[hash]
  const { algorithm } = hashAlgorithmIdentifier(hash)
  const identifier = encodeAlgorithmIdentifier({
    algorithm,
    parameters: parameters === 'NULL' ? NULL : undefined,
  })
  return certID({ algorithm: identifier, nameHash, keyHash, serial: tlv(0x02, serial) })
}

function nonceOf({ nonce, nonceForm }: Wording, noise: number): Uint8Array | undefined {
  if (nonce === 0) return undefined
  const octets = new Random(noise).octets(nonce)
  // A raw nonce must not look like an OCTET STRING.
  return nonceForm === 'raw' ? Uint8Array.of(0x99, ...octets.subarray(1)) : tlv(0x04, octets)
}

function singles({ extra }: Wording): Uint8Array {
  if (extra === 'service locator') return singleExtensions(SERVICE_LOCATOR)
  return extra === 'unknown extension' ? singleExtensions(UNKNOWN) : NOTHING
}

function requestorNameOf({ requestorName, signed }: Wording, { name }: Requestor): Uint8Array {
  // Whoever signs says who it is (R1.96).
  if (signed || requestorName === 'directoryName') return tlv(0xa1, tlv(0xa4, name))
  return requestorName === 'none' ? NOTHING : tlv(0xa1, tlv(0x81, Buffer.from('a@example.com')))
}

function extensionsOf({ extra, prefers, nonceForm }: Wording, nonce: Uint8Array | undefined): Uint8Array {
  const algorithms = prefers.map((name) => seq(SIGNATURE_ALGORITHMS[name].identifier))
  const list = [
    ...(nonce === undefined
      ? []
      : [extension(NONCE_OID, nonce, nonceForm === 'critical' ? CRITICAL : NOTHING)]),
    ...(extra === 'response types' ? [RESPONSE_TYPES] : []),
    ...(extra === 'unknown extension' ? [UNKNOWN] : []),
    ...(algorithms.length === 0 ? [] : [extension(oid(8), seq(...algorithms))]),
  ]
  return list.length > 0 || extra === 'empty Extensions' ? requestExtensions(...list) : NOTHING
}

async function signatureOf(tbs: Uint8Array, { signer, certificate }: Requestor): Promise<Uint8Array> {
  const signature = await signer.sign(tbs)
  return tlv(
    0xa0,
    seq(signer.signatureAlgorithm, tlv(0x03, Uint8Array.of(0), signature), tlv(0xa0, seq(certificate))),
  )
}

/** A copy that a client has, for conditional requests. */
export interface Validators {
  readonly etag: string
  readonly lastModified: string
}

/** Head and body of an HTTP request. */
export interface Sent {
  readonly head: string
  readonly body: Uint8Array
}

/** @param origin such as http://127.0.0.1:8787 */
export function send(sending: Sending, der: Uint8Array, origin: string, copy?: Validators): Sent {
  const { method, version, host, connection, headers, expects } = sending
  const { host: authority, hostname } = new URL(origin)
  const hostLine = { 'with port': [`Host: ${authority}`], bare: [`Host: ${hostname}`], none: [] }[host]
  const lines = [
    `${method} ${sending.absolute ? origin : ''}${targetOf(sending, der)} HTTP/${version}`,
    ...hostLine,
    ...headers,
    ...(connection === undefined ? [] : [`Connection: ${connection}`]),
    ...(method === 'POST' ? bodyLines(sending, der) : []),
    ...(expects ? ['Expect: 100-continue'] : []),
    ...validatorLines(sending, copy),
  ]
  return { head: `${lines.join('\r\n')}\r\n\r\n`, body: method === 'POST' ? bodyOf(sending, der) : NOTHING }
}

function targetOf({ method, path, spelling, suffix }: Sending, der: Uint8Array): string {
  if (method === 'POST') return path
  return `${path}${SPELLINGS[spelling](Buffer.from(der).toString('base64'))}${suffix}`
}

function bodyLines({ contentType, framing }: Sending, { length }: Uint8Array): string[] {
  return [
    ...(contentType === undefined ? [] : [`Content-Type: ${contentType}`]),
    framing === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`,
  ]
}

function bodyOf({ framing }: Sending, der: Uint8Array): Uint8Array {
  if (framing === 'length') return der
  const middle = der.length >> 1
  const chunk = (part: Uint8Array) => [
    Buffer.from(`${part.length.toString(16)}\r\n`),
    part,
    Buffer.from('\r\n'),
  ]
  return Buffer.concat([
    ...chunk(der.subarray(0, middle)),
    ...chunk(der.subarray(middle)),
    Buffer.from('0\r\n\r\n'),
  ])
}

function validatorLines({ method, validator }: Sending, copy: Validators | undefined): string[] {
  if (copy === undefined || method === 'POST' || validator === 'none') return []
  return validator === 'ETag' ? [`If-None-Match: ${copy.etag}`] : [`If-Modified-Since: ${copy.lastModified}`]
}
