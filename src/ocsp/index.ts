export { DERError, type DERErrorReason } from '../asn1/error.ts'
export type { UnixSeconds } from '../asn1/generalized-time.ts'
export {
  type BasicOCSPResponse,
  decodeBasicOCSPResponse,
  encodeBasicOCSPResponse,
  encodeResponseData,
  type ResponseData,
  type SingleResponse,
  signedOctets,
} from './basic-response.ts'
export { type CertID, encodeCertID } from './cert-id.ts'
export type { CertStatus } from './cert-status.ts'
export { OCSPDecodeError, type OCSPDecodeErrorReason } from './error.ts'
export { decodeGetTarget, MAX_GET_TARGET } from './get-path.ts'
export { decodeNonce, MAX_NONCE_OCTETS, type Nonce, nonceExtension } from './nonce.ts'
export {
  decodeOCSPRequest,
  encodeOCSPRequest,
  encodeTBSRequest,
  type OCSPRequest,
  type RequestLimits,
  requestNonce,
  type SingleRequest,
  type TBSRequest,
} from './ocsp-request.ts'
export {
  decodeOCSPResponse,
  decodeSuccessfulResponse,
  encodeOCSPResponse,
  type OCSPResponse,
  type ResponseBytes,
} from './ocsp-response.ts'
export { type PreferredSignatureAlgorithm, preferredSignatureAlgorithms } from './preferred-algorithms.ts'
export type { ResponderID } from './responder-id.ts'
export {
  ERROR_RESPONSES,
  type ErrorStatus,
  type OCSPResponseStatus,
  statusCode,
  statusOfCode,
} from './response-status.ts'
export type { Signature } from './signature.ts'
