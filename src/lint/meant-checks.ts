/** Whether a response says what was meant, no more and no less (law 5, R8.1, R8.2). */
import { hashAlgorithmOf } from '../pkix/algorithm-identifier.ts'
import type { Extension } from '../pkix/extensions.ts'
import { encodeExtensions } from '../pkix/extensions.ts'
import type { LintCheck } from './check.ts'
import { NEED, response, single } from './check.ts'
import { sameOctets } from './octets.ts'
import { sameStatus } from './status-checks.ts'

export const MEANT_CHECKS: readonly LintCheck[] = [
  response(
    'R8.1',
    'meant-count',
    'error',
    NEED.meant,
    'there have to be as many SingleResponses as were meant',
    ({ data, context }) => {
      const meant = context.meant?.length ?? 0
      return data.responses.length !== meant && `${data.responses.length}, not ${meant}`
    },
  ),
  single(
    'R8.2',
    'meant-cert-id',
    'error',
    NEED.meant,
    'the CertID has to be the one that was meant',
    ({ certID }, { context }, i) => {
      const meant = context.meant?.[i]
      return (
        meant !== undefined &&
        !(
          hashAlgorithmOf(certID.hashAlgorithm.algorithm) === meant.hashAlgorithm &&
          sameOctets(certID.serialNumber, meant.serialNumber) &&
          sameOctets(certID.issuerKeyHash, meant.issuerKeyHash) &&
          sameOctets(certID.issuerNameHash, meant.issuerNameHash)
        )
      )
    },
  ),
  single(
    'R8.1',
    'meant-status',
    'error',
    NEED.meant,
    'the status has to be the one that was meant',
    ({ certStatus }, { context }, i) => {
      const meant = context.meant?.[i]
      return (
        meant !== undefined &&
        !sameStatus(certStatus, meant.certStatus) &&
        `${certStatus.type}, not ${meant.certStatus.type}`
      )
    },
  ),
  single(
    'R8.1',
    'meant-times',
    'error',
    NEED.meant,
    'thisUpdate and nextUpdate have to be those that were meant',
    ({ thisUpdate, nextUpdate }, { context }, i) => {
      const meant = context.meant?.[i]
      return meant !== undefined && (thisUpdate !== meant.thisUpdate || nextUpdate !== meant.nextUpdate)
    },
  ),
  single(
    'R8.1',
    'meant-single-extensions',
    'error',
    NEED.meant,
    'singleExtensions have to be those that were meant',
    ({ singleExtensions }, { context }, i) => {
      const meant = context.meant?.[i]
      return meant !== undefined && !isSame(singleExtensions, meant.singleExtensions)
    },
  ),
  response(
    'R8.1',
    'meant-response-extensions',
    'error',
    NEED.meantExtensions,
    'responseExtensions have to be those that were meant',
    ({ data, context }) => {
      const { meantExtensions = [] } = context
      return !isSame(
        data.responseExtensions,
        meantExtensions.length === 0 ? undefined : encodeExtensions(meantExtensions),
      )
    },
  ),
]

/** @param der of the Extensions that are meant */
function isSame(found: readonly Extension[] | undefined, der: Uint8Array | undefined): boolean {
  return found === undefined ? der === undefined : sameOctets(encodeExtensions(found), der)
}
