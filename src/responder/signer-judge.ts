/**
 * Who may sign requests: a certificate that the policy names, or one issued directly by a CA that it names, with a key that is
 * fit for it, and not revoked as far as this responder knows. Validity in time is left to the caller, who keeps what is found.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { CertID } from '../ocsp/cert-id.ts'
import type { IssuerPlace, OverlayView } from '../overlay/view.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../pkix/algorithm-identifier.ts'
import { bufferSource } from '../pkix/buffer-source.ts'
import { RequestRefused, StorageError } from '../ports/errors.ts'
import type { StatusStore } from '../ports/ports.ts'
import type { IssuerRecord, Sequence } from '../ports/records.ts'
import type { CertificateView } from '../x509/index.ts'
import { equalOctets } from './equal-octets.ts'
import type { IssuerDirectory } from './issuers.ts'
import { placeOf, type Query } from './query.ts'
import { isStrongIdentifier, isStrongKey } from './request-signature.ts'
import type { Seen } from './seen.ts'

/** Octets of a key identifier that can be the SHA-1 of the issuer's key, as nearly all are (RFC 5280 4.2.1.2). */
const KEY_HASH_OCTETS = 20
/** Critical extensions of a signer that we know: key usage, alternative name, basic constraints, policies, extended key usage. */
const UNDERSTOOD: ReadonlySet<string> = new Set(['15', '17', '19', '32', '37'].map((arc) => `2.5.29.${arc}`))

export interface TrustedSigner {
  readonly spki: Uint8Array
  /** When both it and the CA that vouches for it are valid; both inclusive. */
  readonly notBefore: UnixSeconds
  readonly notAfter: UnixSeconds
}

export interface Judgement {
  /** undefined: it may not sign. */
  readonly signer: TrustedSigner | undefined
  /** Where its status was read, when its issuer is one of ours. */
  readonly recorded?: { readonly issuer: IssuerPlace; readonly serial: Uint8Array; readonly asOf: Sequence }
}

/** Where the status of a certificate is found. */
export interface JudgePorts {
  readonly issuers: Pick<IssuerDirectory, 'resolve'>
  readonly status: Pick<StatusStore, 'readStatuses'>
  readonly seen: Seen
  /**
   * Of several databases: the one that has the certificate, with its overlay. A signer may be anybody's.
   * @throws RequestRefused.unknownIssuer: none serves its issuer; StorageError
   */
  readonly locate?: ((certID: CertID) => Promise<LocatedRecord>) | undefined
}

export interface LocatedRecord extends Pick<JudgePorts, 'issuers' | 'status' | 'seen'> {
  readonly root: OverlayView
}

type X509 = typeof import('../x509/index.ts')

const UNTRUSTED: Judgement = { signer: undefined }

export class SignerJudge {
  readonly #ports: JudgePorts
  /** The requestors of a policy, parsed once; a certificate that cannot be read vouches for nobody. */
  readonly #parsed = new WeakMap<IssuerRecord, readonly CertificateView[]>()

  constructor(ports: JudgePorts) {
    this.#ports = ports
  }

  /**
   * @param certificate DER, from the request
   * @throws StorageError when the record cannot tell whether it is revoked (law 4)
   */
  async judge(
    certificate: Uint8Array,
    query: Query,
    root: OverlayView,
    now: UnixSeconds,
  ): Promise<Judgement> {
    const x509 = await import('../x509/index.ts')
    const { issuer } = query
    const view = read(x509, certificate)
    if (view === undefined || !isFit(view)) return UNTRUSTED
    const requestors = this.#requestors(x509, issuer)
    const issuedBy = await issuerAmong(x509, validFirst(requestors.filter(isIssuing), now), view)
    const isNamed = issuer.policy.requestors.some((der) => equalOctets(der, certificate))
    if (!isNamed && issuedBy === undefined) return UNTRUSTED
    const vouching = isNamed ? view : (issuedBy ?? view)
    const signer: TrustedSigner = {
      spki: view.spki,
      notBefore: Math.max(view.notBefore, vouching.notBefore),
      notAfter: Math.min(view.notAfter, vouching.notAfter),
    }
    if (await isOfItsOwnMaking(x509, view)) return { signer } // nobody revokes it
    const certID = await this.#certID(x509, view, issuedBy, issuer)
    return certID === undefined ? { signer } : this.#ifNotRevoked(signer, certID, root, now)
  }

  async #ifNotRevoked(
    signer: TrustedSigner,
    certID: CertID,
    root: OverlayView,
    now: UnixSeconds,
  ): Promise<Judgement> {
    const served = await this.#served(certID, root, now)
    if (served === undefined) return { signer }
    const { query, place } = served
    const { issuer, at, first } = query
    if (at.frozen) throw new StorageError('unavailable', 'the record was restored and is not thawed')
    const { asOf, rows } = await place.status.readStatuses(issuer.id, [first])
    if (asOf < Math.max(at.head, first.need))
      throw new StorageError('unavailable', 'D1 is behind the published overlay')
    const status = rows[0]?.status
    // Where only what is revoked is recorded, absence is the operator's word for good (R1.33).
    const isGood =
      status === undefined ? issuer.policy.unknown === 'good' : status === 'good' || status === 'released'
    const judged = isGood && issuer.compromisedAt === undefined ? signer : undefined
    // The overlay of another database is not ours to ask again: the judgement ends by its time.
    if (place.seen !== this.#ports.seen) return { signer: judged }
    return { signer: judged, recorded: { issuer: placeOf(query), serial: first.serial, asOf } }
  }

  /** The question about the signer's own certificate, if this responder serves its issuer. */
  async #served(
    certID: CertID,
    root: OverlayView,
    now: UnixSeconds,
  ): Promise<{ query: Query; place: LocatedRecord } | undefined> {
    const tbsRequest = { versionExplicit: false, requestList: [{ reqCert: certID }] }
    const { locate } = this.#ports
    try {
      const place = locate === undefined ? { ...this.#ports, root } : await locate(certID)
      return { query: await place.issuers.resolve({ tbsRequest }, place.root, place.seen, now), place }
    } catch (error) {
      if (error instanceof RequestRefused) return undefined
      throw error
    }
  }

  /**
   * CertID of the signer's certificate, to look its issuer up by. The issuer's key is that of a CA of the policy, of the issuer
   * that is asked, or by its hash the one that the authority key identifier names; undefined when none of them is known.
   */
  async #certID(
    x509: X509,
    view: CertificateView,
    issuedBy: CertificateView | undefined,
    issuer: IssuerRecord,
  ): Promise<CertID | undefined> {
    const { serialNumber, issuerDER, authorityKeyIdentifier } = view
    const own = issuedBy === undefined ? read(x509, issuer.certificate) : undefined
    const by = issuedBy ?? (own === undefined ? undefined : await issuerAmong(x509, [own], view))
    if (by !== undefined) {
      const hashes = await x509.issuerHashes(by)
      return { hashAlgorithm: hashAlgorithmIdentifier('SHA-256'), ...hashes['SHA-256'], serialNumber }
    }
    if (authorityKeyIdentifier?.length !== KEY_HASH_OCTETS) return undefined
    const issuerNameHash = await digest('SHA-1', issuerDER)
    const hashAlgorithm = hashAlgorithmIdentifier('SHA-1')
    return { hashAlgorithm, issuerNameHash, issuerKeyHash: authorityKeyIdentifier, serialNumber }
  }

  #requestors(x509: X509, issuer: IssuerRecord): readonly CertificateView[] {
    const known = this.#parsed.get(issuer)
    if (known !== undefined) return known
    const parsed = issuer.policy.requestors.flatMap((der) => read(x509, der) ?? [])
    this.#parsed.set(issuer, parsed)
    return parsed
  }
}

function read(x509: X509, der: Uint8Array): CertificateView | undefined {
  try {
    return x509.readCertificate(der)
  } catch (error) {
    if (error instanceof x509.CertificateError) return undefined
    throw error
  }
}

/** Its key may sign, is long enough, and nothing in it demands what we do not know. */
function isFit(view: CertificateView): boolean {
  if (view.keyUsage !== undefined && !view.keyUsage.digitalSignature) return false
  if (view.extensions.some(({ extnID, critical }) => critical && !UNDERSTOOD.has(extnID))) return false
  return isStrongKey(view.spki)
}

function isIssuing(ca: CertificateView): boolean {
  return ca.isCA && ca.keyUsage?.keyCertSign !== false && isStrongKey(ca.spki)
}

/** Signed with its own key; equal names alone are no proof, since a CA may issue a certificate to its own name. */
async function isOfItsOwnMaking(x509: X509, view: CertificateView): Promise<boolean> {
  if (!equalOctets(view.subjectDER, view.issuerDER)) return false
  return (await x509.verifyCertificate(view, view.spki)) === 'good'
}

/** A CA may have several certificates for one key: those that are valid come first, the one that ends last before the others. */
function validFirst(authorities: readonly CertificateView[], now: UnixSeconds): readonly CertificateView[] {
  const isValid = (ca: CertificateView) => (ca.notBefore <= now && now <= ca.notAfter ? 1 : 0)
  return authorities.toSorted((a, b) => isValid(b) - isValid(a) || b.notAfter - a.notAfter)
}

/** Which of these CAs issued the certificate: by name, and by a signature that is good and not weak. */
async function issuerAmong(
  x509: X509,
  authorities: readonly CertificateView[],
  view: CertificateView,
): Promise<CertificateView | undefined> {
  if (!equalOctets(view.signatureAlgorithm, view.tbsSignatureAlgorithm)) return undefined
  if (!isStrongIdentifier(view.signatureAlgorithm)) return undefined
  for (const ca of authorities) {
    if (!equalOctets(ca.subjectDER, view.issuerDER)) continue
    if ((await x509.verifyCertificate(view, ca.spki)) === 'good') return ca
  }
  return undefined
}

async function digest(algorithm: HashAlgorithm, octets: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(algorithm, bufferSource(octets)))
}
