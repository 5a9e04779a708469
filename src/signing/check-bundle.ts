/**
 * Nothing is published unchecked (law 5): every response of a bundle is rebuilt from its bytes, parsed and compared with
 * what was meant, and one signature per window and hash is verified with the public key.
 */

import type { BundleEntry } from '../bundle/bundle-format.ts'
import { Bundle } from '../bundle/bundle-format.ts'
import type { BundleContent } from '../bundle/bundle-writer.ts'
import { serialHash } from '../bundle/slot.ts'
import type { BasicOCSPResponse } from '../ocsp/basic-response.ts'
import { encodeResponseData } from '../ocsp/basic-response.ts'
import { decodeSuccessfulResponse } from '../ocsp/ocsp-response.ts'
import { SigningError } from '../ports/errors.ts'
import type { IssuerRecord } from '../ports/records.ts'
import { equalOctets } from '../responder/equal-octets.ts'
import { importVerifier } from './webcrypto-signer.ts'

/** @throws SigningError.selfCheckFailed */
export async function checkBundle(
  bytes: Uint8Array,
  content: BundleContent,
  issuer: IssuerRecord,
): Promise<void> {
  const bundle = Bundle.open(bytes)
  if (bundle.count !== content.entries.length) failed('the bundle has lost entries')
  const verified = new Set<number>()
  for (const meant of content.entries) {
    const entry = bundle.find(meant.serial, serialHash(meant.serial))
    if (entry === undefined) failed('an entry cannot be found again')
    for (let variant = 0; variant < content.variants.length; variant += 1) {
      const der = bundle.response(entry, variant)
      if (der === undefined) failed('a variant is missing')
      const response = decodeSuccessfulResponse(der)
      checkResponse(response, meant, variant, content, issuer)
      const key = meant.window * content.variants.length + variant
      if (verified.has(key)) continue
      verified.add(key)
      await checkSignature(response, meant, content, issuer)
    }
  }
}

function checkResponse(
  { tbsResponseData }: BasicOCSPResponse,
  meant: BundleEntry,
  variant: number,
  content: BundleContent,
  issuer: IssuerRecord,
): void {
  const single = tbsResponseData.responses[0]
  const window = content.windows[meant.window]
  const asked = content.variants[variant]
  if (
    single === undefined ||
    window === undefined ||
    asked === undefined ||
    tbsResponseData.responses.length !== 1
  )
    failed('a response must have exactly one SingleResponse')
  const { certID, certStatus, thisUpdate, nextUpdate } = single
  if (!equalOctets(certID.serialNumber, meant.serial)) failed('a response is about another serial')
  if (!equalOctets(certID.issuerKeyHash, asked.issuerKeyHash)) failed('a response is about another issuer')
  if (!equalOctets(certID.issuerNameHash, asked.issuerNameHash)) failed('a response is about another issuer')
  if (certStatus.type !== meant.certStatus.type) failed('a response has another status')
  if (certStatus.type === 'unknown') failed('a bundle never says unknown')
  if (certStatus.type === 'revoked' && certStatus.revocationTime > thisUpdate)
    failed('revoked after thisUpdate (R1.31)')
  if (thisUpdate !== window.thisUpdate || nextUpdate !== window.nextUpdate)
    failed('a response has other times')
  if (thisUpdate > tbsResponseData.producedAt || nextUpdate <= thisUpdate)
    failed('times out of order (R1.62)')
  if (nextUpdate > issuer.notAfter) failed('a response outlives its issuer (R1.66)')
}

async function checkSignature(
  response: BasicOCSPResponse,
  meant: BundleEntry,
  content: BundleContent,
  issuer: IssuerRecord,
): Promise<void> {
  const responderId = content.responders[content.windows[meant.window]?.responder ?? -1]?.id
  const responder = issuer.responders.find(({ id }) => id === responderId)
  if (responder === undefined) failed('a response names a responder that the issuer does not have')
  const verify = await importVerifier(responder.spki, responder.algorithm)
  if (!(await verify(encodeResponseData(response.tbsResponseData), response.signature)))
    failed('a signature does not verify with the responder certificate')
}

function failed(message: string): never {
  throw new SigningError('selfCheckFailed', message)
}
