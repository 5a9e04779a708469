/** An OCSP responder of which every part can be bent, to see what a client makes of it. */
import {
  type CertStatus,
  encodeResponseData,
  type OCSPRequest,
  type ResponderID,
  type SingleResponse,
} from '../../src/ocsp/index.ts'
import { assembleOCSPResponse } from '../../src/ocsp/single-response-template.ts'
import type { Signer } from '../../src/signing/webcrypto-signer.ts'
import type { TestPKI } from '../support/pki.ts'

export const NOW = Math.floor(Date.now() / 1000)

/** What the responder does with a request; each test bends one thing. */
export interface Behaviour {
  status: CertStatus
  thisUpdate: number
  nextUpdate: number | undefined
  responderID: ResponderID
  signer: Signer
  certs: readonly Uint8Array[]
  nonce: 'echo' | 'ignore' | Uint8Array
  single(single: SingleResponse): SingleResponse
  bytes(response: Uint8Array): Uint8Array
}

export function truthful(by: TestPKI): Behaviour {
  return {
    status: { type: 'good' },
    thisUpdate: NOW - 60,
    nextUpdate: NOW + 3600,
    responderID: { byKey: by.responder.keyHash },
    signer: by.responder.signer,
    certs: by.responder.certificate === undefined ? [] : [by.responder.certificate],
    nonce: 'echo',
    single: (single) => single,
    bytes: (response) => response,
  }
}

export async function respond(request: OCSPRequest, behaviour: Behaviour): Promise<Uint8Array> {
  const { status, thisUpdate, nextUpdate, responderID, signer, certs, nonce, single, bytes } = behaviour
  const [first] = request.tbsRequest.requestList
  if (first === undefined) throw new Error('no request')
  const sent = request.tbsRequest.requestExtensions ?? []
  const extensions =
    nonce === 'ignore' ? [] : sent.map((one) => (nonce === 'echo' ? one : { ...one, extnValue: nonce }))
  const tbs = encodeResponseData({
    versionExplicit: false,
    responderID,
    producedAt: NOW - 30,
    responses: [
      single({
        certID: first.reqCert,
        certStatus: status,
        thisUpdate,
        ...(nextUpdate === undefined ? {} : { nextUpdate }),
      }),
    ],
    ...(extensions.length > 0 && { responseExtensions: extensions }),
  })
  return bytes(assembleOCSPResponse(tbs, signer.signatureAlgorithm, await signer.sign(tbs), certs))
}
