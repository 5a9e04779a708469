/** One OCSP exchange as a client: build the request, send it by GET or POST, read the body. */
import { createHash, randomBytes } from 'node:crypto'
import { type CertID, encodeOCSPRequest, nonceExtension } from '../ocsp/index.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import type { CertificateFile } from './certificate.ts'
import { systemReason } from './client.ts'
import { CLIError, EXIT } from './exit.ts'

/** A requester must send at least 32 octets (RFC 9654 2.1, R3.6). */
const NONCE_OCTETS = 32
/** RFC 9919 section 5: GET when the whole URL has at most 255 octets. */
const MAX_GET_URL = 255
const TIMEOUT_MS = 30_000
const MAX_RESPONSE_BYTES = 1_048_576

export type Method = 'GET' | 'POST'

export interface Question {
  readonly certID: CertID
  /** Content of the nonce extension as sent; undefined without nonce. */
  readonly nonce: Uint8Array | undefined
  readonly der: Uint8Array
}

export interface Exchange {
  readonly method: Method
  readonly httpStatus: number
  readonly headers: Headers
  readonly body: Uint8Array
  readonly milliseconds: number
}

/** @param serialNumber content octets of the INTEGER */
export function makeQuestion(
  issuer: CertificateFile,
  serialNumber: Uint8Array,
  hash: HashAlgorithm,
  withNonce: boolean,
): Question {
  const digest = (bytes: Uint8Array) => createHash(hash.replace('-', '').toLowerCase()).update(bytes).digest()
  const certID: CertID = {
    hashAlgorithm: hashAlgorithmIdentifier(hash),
    issuerNameHash: digest(issuer.subjectDER),
    issuerKeyHash: digest(issuer.publicKeyBits),
    serialNumber,
  }
  const nonce = withNonce
    ? Buffer.concat([Uint8Array.of(0x04, NONCE_OCTETS), randomBytes(NONCE_OCTETS)])
    : undefined
  const der = encodeOCSPRequest({
    tbsRequest: {
      versionExplicit: false,
      requestList: [{ reqCert: certID }],
      ...(nonce === undefined
        ? {}
        : { requestExtensions: [nonceExtension({ extnValue: nonce, length: NONCE_OCTETS })] }),
    },
  })
  return { certID, nonce, der }
}

/** `{url}/{url-encoding of base64}` (RFC 6960 A.1). */
export function getURL(url: string, request: Uint8Array): string {
  return `${url.replace(/\/+$/, '')}/${encodeURIComponent(Buffer.from(request).toString('base64'))}`
}

/** @param method undefined: GET when the URL is short enough. @throws CLIError (3) when there is no answer */
export async function exchange(
  url: string,
  request: Uint8Array,
  method: Method | undefined,
): Promise<Exchange> {
  const target = getURL(url, request)
  const chosen = method ?? (target.length <= MAX_GET_URL ? 'GET' : 'POST')
  const started = performance.now()
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const accept = { accept: 'application/ocsp-response' }
    const response = await (chosen === 'GET'
      ? fetch(target, { headers: accept, signal })
      : fetch(url, {
          method: 'POST',
          headers: { ...accept, 'content-type': 'application/ocsp-request' },
          body: new Uint8Array(request),
          signal,
        }))
    const body = await readBody(response)
    const milliseconds = performance.now() - started
    return { method: chosen, httpStatus: response.status, headers: response.headers, body, milliseconds }
  } catch (error) {
    if (error instanceof CLIError) throw error
    const reason = systemReason(error)
    throw new CLIError(
      EXIT.unknown,
      `no answer from ${url}: ${reason === 'timeout' ? `nothing within ${TIMEOUT_MS / 1000} s` : reason}`,
      'Name the responder with --url. One on this machine is started with "npm start".',
      { cause: error },
    )
  }
}

/** @throws CLIError (3) when it is longer than any answer */
export async function readBody(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_RESPONSE_BYTES) {
      throw new CLIError(
        EXIT.unknown,
        `${response.url} answers with more than ${MAX_RESPONSE_BYTES} octets`,
        'That is no OCSP responder.',
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
