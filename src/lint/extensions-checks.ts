/** responseExtensions and singleExtensions: where each may stand, and its form (R1.71, R1.8x, R3.x, R4.2x, R4.5x). */
import { OID } from '../asn1/oid.ts'
import { MAX_NONCE_OCTETS } from '../ocsp/nonce.ts'
import type { LintCheck } from './check.ts'
import { NEED, response, single, WHERE } from './check.ts'
import {
  among,
  certHash,
  crlReference,
  find,
  isForm,
  isNotRevokedWith,
  isOtherCertHash,
  isOtherForm,
  nonceOf,
  octetString,
  sctList,
  time,
  timeOf,
  twice,
} from './extension-forms.ts'
import { extensionsOf } from './judged.ts'
import { sameOctets } from './octets.ts'

const CERTIFICATE_ISSUER = '2.5.29.29'
/** What only a SingleResponse may carry. */
const OF_SINGLES = new Set<string>([
  OID.ocspCRL,
  OID.ocspArchiveCutoff,
  OID.certHash,
  OID.sctList,
  OID.invalidityDate,
  OID.crlReasonCode,
  CERTIFICATE_ISSUER,
])
const OF_RESPONSES = new Set<string>([OID.ocspNonce, OID.ocspExtendedRevoke])
const OF_REQUESTS = new Set<string>([
  OID.ocspResponse,
  OID.ocspServiceLocator,
  OID.ocspPreferredSignatureAlgorithms,
])

export const EXTENSIONS_CHECKS: readonly LintCheck[] = [
  response(
    'R1.50',
    'response-extensions-empty',
    'error',
    WHERE.responseExtensions,
    'Extensions without one are left out',
    ({ data }) => data.responseExtensions?.length === 0,
  ),
  response(
    'R1.50',
    'response-extension-twice',
    'error',
    WHERE.responseExtensions,
    'an extension may stand there once',
    ({ extensions }) => twice(extensions),
  ),
  response(
    'R1.71',
    'response-extension-critical',
    'error',
    WHERE.responseExtensions,
    'no extension of a response is critical',
    ({ extensions }) =>
      extensions.find(({ critical, extnID }) => critical && !OF_RESPONSES.has(extnID))?.extnID ?? false,
  ),
  response(
    'R1.84',
    'response-extension-misplaced',
    'error',
    WHERE.responseExtensions,
    'it belongs into singleExtensions',
    ({ extensions }) => among(extensions, OF_SINGLES),
  ),
  response(
    'R2.4',
    'response-extension-needless',
    'warning',
    WHERE.responseExtensions,
    'only nonce and extended-revoke should stand in responseExtensions',
    ({ extensions }) =>
      extensions.find(
        ({ extnID }) => !OF_RESPONSES.has(extnID) && !OF_SINGLES.has(extnID) && !OF_REQUESTS.has(extnID),
      )?.extnID ?? false,
  ),
  response(
    'R1.85',
    'response-extension-of-requests',
    'warning',
    WHERE.responseExtensions,
    'it is an extension of requests',
    ({ extensions }) => among(extensions, OF_REQUESTS),
  ),
  response(
    'R3.8',
    'nonce-critical',
    'error',
    WHERE.responseExtensions,
    'the nonce must not be critical',
    ({ extensions }) => find(extensions, OID.ocspNonce)?.critical === true,
  ),
  response(
    'R3.5',
    'nonce-length',
    'error',
    WHERE.responseExtensions,
    `a nonce has 1 to ${MAX_NONCE_OCTETS} octets`,
    ({ extensions }) => {
      const octets = nonceOf(extensions)
      return (
        octets !== undefined &&
        (octets.length === 0 || octets.length > MAX_NONCE_OCTETS) &&
        `${octets.length} octets`
      )
    },
  ),
  response(
    'R3.11',
    'nonce-form',
    'warning',
    WHERE.responseExtensions,
    'a nonce should be an OCTET STRING within extnValue',
    ({ extensions, context }) => {
      const nonce = find(extensions, OID.ocspNonce)?.extnValue
      return nonce !== undefined && !isForm(nonce, octetString) && !sameOctets(nonce, context.question?.nonce)
    },
  ),
  response(
    'R3.9',
    'nonce-unasked',
    'error',
    NEED.question | WHERE.responseExtensions,
    'no nonce where none was asked',
    ({ extensions, context }) =>
      context.question?.nonce === undefined && find(extensions, OID.ocspNonce) !== undefined,
  ),
  response(
    'R3.3',
    'nonce-other',
    'error',
    NEED.question | WHERE.responseExtensions,
    'the nonce has to be that of the request, octet for octet',
    ({ extensions, context }) => {
      const [nonce, asked] = [find(extensions, OID.ocspNonce)?.extnValue, context.question?.nonce]
      return nonce !== undefined && asked !== undefined && !sameOctets(nonce, asked)
    },
  ),
  response(
    'R1.36',
    'extended-revoke-critical',
    'error',
    WHERE.responseExtensions,
    'extended-revoke must not be critical',
    ({ extensions }) => find(extensions, OID.ocspExtendedRevoke)?.critical === true,
  ),
  response(
    'R1.90',
    'extended-revoke-value',
    'error',
    WHERE.responseExtensions,
    'the value of extended-revoke has to be NULL (05 00)',
    ({ extensions }) => {
      const value = find(extensions, OID.ocspExtendedRevoke)?.extnValue
      return value !== undefined && !(value.length === 2 && value[0] === 5 && value[1] === 0)
    },
  ),
  response(
    'R1.37',
    'extended-revoke-profile',
    'error',
    NEED.publicTrust | WHERE.responseExtensions,
    'extended-revoke is not for public trust',
    ({ extensions }) => find(extensions, OID.ocspExtendedRevoke) !== undefined,
  ),

  single(
    'R1.50',
    'single-extensions-empty',
    'error',
    WHERE.singleExtensions,
    'Extensions without one are left out',
    ({ singleExtensions }) => singleExtensions?.length === 0,
  ),
  single(
    'R1.50',
    'single-extension-twice',
    'error',
    WHERE.singleExtensions,
    'an extension may stand there once',
    (one) => twice(extensionsOf(one)),
  ),
  single(
    'R1.71',
    'single-extension-critical',
    'error',
    WHERE.singleExtensions,
    'no extension of a response is critical',
    (one) => extensionsOf(one).find(({ critical }) => critical)?.extnID ?? false,
  ),
  single(
    'R3.7',
    'nonce-in-single',
    'error',
    WHERE.singleExtensions,
    'the nonce belongs into responseExtensions',
    (one) => find(extensionsOf(one), OID.ocspNonce) !== undefined,
  ),
  single(
    'R1.36',
    'extended-revoke-in-single',
    'error',
    WHERE.singleExtensions,
    'extended-revoke belongs into responseExtensions',
    (one) => find(extensionsOf(one), OID.ocspExtendedRevoke) !== undefined,
  ),
  single(
    'R1.85',
    'single-extension-of-requests',
    'warning',
    WHERE.singleExtensions,
    'it is an extension of requests',
    (one) => among(extensionsOf(one), OF_REQUESTS),
  ),
  single(
    'R4.20',
    'reason-code-in-single',
    'public-trust',
    WHERE.singleExtensions,
    'reasonCode does not belong into singleExtensions',
    (one) => find(extensionsOf(one), OID.crlReasonCode) !== undefined,
  ),
  single(
    'R1.83',
    'archive-cutoff-form',
    'error',
    WHERE.singleExtensions,
    'archiveCutoff has to be a GeneralizedTime',
    (one) => isOtherForm(one, OID.ocspArchiveCutoff, time),
  ),
  single(
    'R1.83',
    'archive-cutoff-late',
    'error',
    WHERE.singleExtensions,
    'archiveCutoff must not lie after producedAt',
    (one, { producedAt }) => (timeOf(one, OID.ocspArchiveCutoff) ?? Number.NaN) > producedAt,
  ),
  single(
    'R4.51',
    'archive-cutoff-value',
    'warning',
    NEED.archiveCutoff | NEED.issuerNotBefore | WHERE.singleExtensions,
    "archiveCutoff should be what the policy says: producedAt less the retention, or the issuer's notBefore",
    (one, { context, producedAt }) => {
      const { archiveCutoff, issuer } = context
      const meant = typeof archiveCutoff === 'number' ? producedAt - archiveCutoff : issuer?.notBefore
      const found = timeOf(one, OID.ocspArchiveCutoff)
      return found !== undefined && found !== meant
    },
  ),
  single(
    'R1.81',
    'crl-reference-form',
    'error',
    WHERE.singleExtensions,
    'a CRL reference is a SEQUENCE of [0] url, [1] number and [2] time',
    (one) => isOtherForm(one, OID.ocspCRL, crlReference),
  ),
  single(
    'R1.81',
    'crl-reference-not-revoked',
    'error',
    WHERE.singleExtensions,
    'a CRL reference is for revoked certificates',
    (one) => isNotRevokedWith(one, OID.ocspCRL),
  ),
  single(
    'R1.84',
    'invalidity-date-form',
    'error',
    WHERE.singleExtensions,
    'invalidityDate has to be a GeneralizedTime',
    (one) => isOtherForm(one, OID.invalidityDate, time),
  ),
  single(
    'R1.84',
    'invalidity-date-not-revoked',
    'error',
    WHERE.singleExtensions,
    'invalidityDate is for revoked certificates',
    (one) => isNotRevokedWith(one, OID.invalidityDate),
  ),
  single(
    'R4.53',
    'cert-hash-form',
    'error',
    WHERE.singleExtensions,
    'certHash is a SEQUENCE of AlgorithmIdentifier and OCTET STRING, of the length of that hash',
    (one) => isOtherForm(one, OID.certHash, certHash),
  ),
  single(
    'R4.53',
    'cert-hash-unknown',
    'error',
    WHERE.singleExtensions,
    'certHash must not stand beside unknown',
    (one) => one.certStatus.type === 'unknown' && find(extensionsOf(one), OID.certHash) !== undefined,
  ),
  single(
    'R4.53',
    'cert-hash-value',
    'error',
    NEED.certificates | WHERE.singleExtensions,
    'certHash has to be the hash of the whole certificate',
    (one, judged) => isOtherCertHash(one, judged.certificateOf(one)),
  ),
  single(
    'R1.91',
    'sct-list-form',
    'error',
    WHERE.singleExtensions,
    'an SCT list is an OCTET STRING with a list in the encoding of TLS, not empty',
    (one) => isOtherForm(one, OID.sctList, sctList),
  ),
]
