/**
 * The page `i/{issuer}` in KV: one IssuerRecord. "EOIP", version (1 octet), CRC-32 of the rest (4 octets, big-endian), then
 * JSON in UTF-8 with octet strings as hex. It holds public data only: no wrapped key ever.
 */
import { crc32 } from '../bundle/crc32.ts'
import { StorageError } from '../ports/errors.ts'
import type { IssuerRecord, ResponderRecord } from '../ports/records.ts'
import { encodeHex } from './hex.ts'
import {
  corrupt,
  decodeAlgorithm,
  decodeHashes,
  decodePolicy,
  encodeHashes,
  encodePolicy,
  hexOf,
  parseJSON,
  recordOf,
  timesOf,
} from './record-codec.ts'

const MAGIC = [0x45, 0x4f, 0x49, 0x50]
const VERSION = 1
const HEADER_LENGTH = 9

export function encodeIssuerPage(record: IssuerRecord): Uint8Array {
  const json = JSON.stringify({
    ...record,
    parts: undefined,
    partsDiffer: undefined,
    certificate: encodeHex(record.certificate),
    hashes: parseJSON(encodeHashes(record.hashes)),
    policy: parseJSON(encodePolicy(record.policy)),
    responders: record.responders.map((responder) => ({
      ...responder,
      certificate: responder.certificate === undefined ? undefined : encodeHex(responder.certificate),
      keyHash: encodeHex(responder.keyHash),
      spki: encodeHex(responder.spki),
    })),
  })
  const body = new TextEncoder().encode(json)
  const page = new Uint8Array(HEADER_LENGTH + body.length)
  page.set(MAGIC)
  page[4] = VERSION
  page.set(body, HEADER_LENGTH)
  new DataView(page.buffer).setUint32(5, crc32(body))
  return page
}

/** @throws StorageError corrupt: torn, foreign, or of a version that this code does not know */
export function decodeIssuerPage(bytes: Uint8Array): IssuerRecord {
  if (bytes.length < HEADER_LENGTH || MAGIC.some((octet, i) => bytes[i] !== octet))
    throw broken('is not an issuer page')
  if (bytes[4] !== VERSION) throw broken(`has version ${bytes[4]}, not ${VERSION}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(5) !== crc32(bytes, HEADER_LENGTH)) throw broken('fails its checksum')
  const page = recordOf(parseJSON(new TextDecoder().decode(bytes.subarray(HEADER_LENGTH))), 'issuer page')
  const { responders } = page
  if (!Array.isArray(responders)) throw corrupt('issuer page responders')
  return {
    id: numberOf(page, 'id'),
    name: textOf(page, 'name'),
    ski: textOf(page, 'ski'),
    certificate: hexOf(page['certificate'], 'certificate'),
    hashes: decodeHashes(page['hashes']),
    notBefore: numberOf(page, 'notBefore'),
    notAfter: numberOf(page, 'notAfter'),
    policy: decodePolicy(page['policy']),
    enabled: page['enabled'] === true,
    ...timesOf(optionalNumberOf(page, 'compromisedAt'), optionalNumberOf(page, 'finalAt')),
    configRev: numberOf(page, 'configRev'),
    responders: responders.map(decodeResponder),
  }
}

function optionalNumberOf(record: Record<string, unknown>, field: string): number {
  return record[field] === undefined ? 0 : numberOf(record, field)
}

function decodeResponder(value: unknown): ResponderRecord {
  const r = recordOf(value, 'issuer page responder')
  const custody = r['custody']
  if (custody !== 'wrapped' && custody !== 'secret') throw corrupt('responder custody')
  return {
    id: numberOf(r, 'id'),
    name: textOf(r, 'name'),
    certificate:
      r['certificate'] === undefined ? undefined : hexOf(r['certificate'], 'responder certificate'),
    keyHash: hexOf(r['keyHash'], 'responder keyHash'),
    algorithm: decodeAlgorithm(r['algorithm']),
    custody,
    secretName: r['secretName'] === undefined ? undefined : textOf(r, 'secretName'),
    spki: hexOf(r['spki'], 'responder spki'),
    notBefore: numberOf(r, 'notBefore'),
    notAfter: numberOf(r, 'notAfter'),
    retired: r['retired'] === true,
  }
}

function numberOf(record: Record<string, unknown>, field: string): number {
  const value = record[field]
  if (typeof value !== 'number') throw corrupt(`issuer page ${field}`)
  return value
}

function textOf(record: Record<string, unknown>, field: string): string {
  const value = record[field]
  if (typeof value !== 'string') throw corrupt(`issuer page ${field}`)
  return value
}

function broken(how: string): StorageError {
  return new StorageError('corrupt', `KV: the value ${how}`)
}
