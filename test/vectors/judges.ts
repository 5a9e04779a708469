import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromBER } from 'asn1js'
import * as pkijs from 'pkijs'
import { OID } from '../../src/asn1/oid.ts'
import {
  DERError,
  decodeOCSPRequest,
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  encodeBasicOCSPResponse,
  encodeOCSPRequest,
  encodeOCSPResponse,
  OCSPDecodeError,
} from '../../src/ocsp/index.ts'

export type Message = 'request' | 'response'

/** What our codec says: the re-encoded octets, or the typed error. Anything else that is thrown goes on up. */
export function judgeOurs(message: Message, der: Uint8Array): Uint8Array | DERError | OCSPDecodeError {
  try {
    return message === 'request' ? encodeOCSPRequest(decodeOCSPRequest(der)) : reencodeResponse(der)
  } catch (error) {
    if (error instanceof DERError || error instanceof OCSPDecodeError) return error
    throw error
  }
}

function reencodeResponse(der: Uint8Array): Uint8Array {
  const outer = decodeOCSPResponse(der)
  if (outer.responseStatus !== 'successful' || outer.responseBytes.responseType !== OID.ocspBasic) {
    return encodeOCSPResponse(outer)
  }
  const response = encodeBasicOCSPResponse(decodeSuccessfulResponse(der))
  return encodeOCSPResponse({ ...outer, responseBytes: { ...outer.responseBytes, response } })
}

/** Whether pkijs parses it. */
export function pkijsAccepts(message: Message, der: Uint8Array): boolean {
  try {
    const parsed = fromBER(der)
    if (parsed.offset < 0) return false
    if (message === 'request') return new pkijs.OCSPRequest({ schema: parsed.result }) !== undefined
    const outer = new pkijs.OCSPResponse({ schema: parsed.result })
    if (outer.responseBytes?.responseType !== OID.ocspBasic) return true
    const inner = fromBER(outer.responseBytes.response.valueBlock.valueHexView)
    return inner.offset >= 0 && new pkijs.BasicOCSPResponse({ schema: inner.result }) !== undefined
  } catch {
    return false
  }
}

/** The version line of openssl, undefined when it is not installed. */
export function opensslVersion(): string | undefined {
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

/** Whether `openssl ocsp` parses each of the messages. */
export async function opensslAccepts(
  messages: readonly { message: Message; der: Uint8Array }[],
): Promise<boolean[]> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ocsp-vectors-'))
  const verdicts = messages.map(() => false)
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < messages.length; i = next++) {
      const job = messages[i]
      if (job === undefined) return
      const path = join(folder, `${i}.der`)
      writeFileSync(path, job.der)
      verdicts[i] = await runOpenssl(job.message, path)
    }
  }
  try {
    await Promise.all([work(), work(), work()])
  } finally {
    rmSync(folder, { recursive: true })
  }
  return verdicts
}

function runOpenssl(message: Message, path: string): Promise<boolean> {
  const args =
    message === 'request' ? ['-reqin', path, '-req_text'] : ['-respin', path, '-resp_text', '-noverify']
  return new Promise((resolve) => {
    execFile('openssl', ['ocsp', ...args], (_error, stdout, stderr) => {
      resolve(stdout !== '' && !/Error (parsing|reading)/i.test(stderr))
    })
  })
}
