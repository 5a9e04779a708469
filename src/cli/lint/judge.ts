/** The gate of src/lint over a response from anywhere, in the context of the files that are at hand. */

import type { CertificateFacts } from '../../lint/context.ts'
import {
  checks,
  type LintContext,
  type LintFinding,
  type LintLevel,
  type LintProfile,
  type LintReport,
  lint,
  lintSignature,
  type Need,
  needsOf,
} from '../../lint/index.ts'
import { offsetOf } from '../../lint/where.ts'
import {
  type BasicOCSPResponse,
  type OCSPRequest,
  type OCSPResponseStatus,
  requestNonce,
} from '../../ocsp/index.ts'
import { type CertificateView, issuerHashes, keyHash, readCertificate } from '../../x509/index.ts'
import { adviceOf } from './advice.ts'
import { findSigner, judgeSigner, type Signer, verifyBasic } from './signer.ts'

/** What is at hand beside the response. */
export interface Sources {
  /** DER of the certificate of the CA that issued the certificates in question. */
  readonly issuer?: Uint8Array
  /** DER of the responder's certificate; without it, the signer is sought in the response. */
  readonly responder?: Uint8Array
  readonly request?: OCSPRequest
  /** Certificates that the response is about. */
  readonly certificates?: readonly CertificateFacts[]
  readonly profile?: LintProfile
  readonly now: number
}

export interface JudgedFinding {
  /** Number of the requirement. */
  readonly id: string
  readonly check: string
  readonly level: LintLevel
  /** The field; '' is the whole response. */
  readonly path: string
  /** Where the field begins in the response, counted from 0. */
  readonly offset: number
  readonly message: string
  readonly todo: string
}

export interface NotRun {
  readonly id: string
  readonly check: string
  readonly reason: string
}

export interface Judgement {
  readonly octets: number
  /** undefined when it is no OCSPResponse. */
  readonly status: OCSPResponseStatus | undefined
  readonly basic: BasicOCSPResponse | undefined
  readonly signer: Signer | undefined
  readonly signature: 'verified' | 'wrong' | 'not verified'
  readonly findings: readonly JudgedFinding[]
  readonly notRun: readonly NotRun[]
  /** How many checks there are. */
  readonly checks: number
}

/** Never throws for what the response is like. */
export async function judge(der: Uint8Array, sources: Sources): Promise<Judgement> {
  const { basic } = lint(der)
  const issuer = sources.issuer && readCertificate(sources.issuer)
  const known = sources.responder && readCertificate(sources.responder)
  const signer = basic && (await findSigner(basic, issuer, known))
  const report = lint(der, await contextOf(sources, issuer, signer))
  const verdict = await verdictOf(report, signer)
  const signed = await lintSignature(report, () => verdict !== 'bad')
  const delegation =
    issuer === undefined || signer === undefined
      ? []
      : await judgeSigner(signer, issuer, sources.profile ?? 'private', sources.now)
  const findings = [
    ...report.findings.map((found) => located(der, found)),
    ...signed.map((found) => located(der, found)),
    ...delegation.map(({ id, check, level, message }) => ({
      ...{ id, check, level, message },
      path: 'certs',
      offset: offsetOf(der, 'certs'),
      todo: 'Have the responder given another certificate, or renew this one.',
    })),
  ]
  return {
    octets: der.length,
    status: report.status,
    basic,
    signer,
    signature: verdict === 'good' ? 'verified' : verdict === 'bad' ? 'wrong' : 'not verified',
    findings: findings.sort((a, b) => rank(a) - rank(b) || a.offset - b.offset),
    notRun: notRunOf(report, sources, verdict),
    checks: checks.length,
  }
}

function rank({ level }: JudgedFinding): number {
  return level === 'error' ? 0 : 1
}

async function contextOf(
  { request, certificates, profile, now }: Sources,
  issuer: CertificateView | undefined,
  signer: Signer | undefined,
): Promise<LintContext> {
  return {
    now,
    ...(profile === undefined ? {} : { profile }),
    ...(issuer === undefined
      ? {}
      : {
          issuer: {
            hashes: await issuerHashes(issuer),
            notBefore: issuer.notBefore,
            notAfter: issuer.notAfter,
          },
        }),
    ...responderOf(issuer, signer, await keyHashOf(signer?.certificate ?? issuer)),
    ...(request === undefined ? {} : { question: questionOf(request) }),
    ...(certificates === undefined ? {} : { certificates }),
  }
}

async function keyHashOf(certificate: CertificateView | undefined): Promise<Uint8Array | undefined> {
  return certificate && keyHash(certificate)
}

/** When ResponderID names nobody at hand, it is compared with the issuer: so it is told that it names somebody else. */
function responderOf(
  issuer: CertificateView | undefined,
  signer: Signer | undefined,
  hash: Uint8Array | undefined,
): Pick<LintContext, 'responder'> {
  const named = signer?.certificate ?? issuer
  if (named === undefined || hash === undefined) return {}
  const name = { keyHash: hash, subject: named.subjectDER }
  if (signer === undefined) return { responder: name }
  const { der, notBefore, notAfter, spki } = signer.certificate
  return {
    responder: {
      ...name,
      certificate: signer.is === 'issuer' ? 'none' : der,
      ...{ notBefore, notAfter, spki },
    },
  }
}

function questionOf(request: OCSPRequest): NonNullable<LintContext['question']> {
  return {
    certIDs: request.tbsRequest.requestList.map(({ reqCert }) => reqCert),
    nonce: requestNonce(request)?.extnValue,
  }
}

async function verdictOf(
  { basic, octets }: LintReport,
  signer: Signer | undefined,
): Promise<'good' | 'bad' | 'unsupported' | 'no signer'> {
  if (basic === undefined || octets === undefined || signer === undefined) return 'no signer'
  return verifyBasic(basic, octets, signer.certificate)
}

function located(der: Uint8Array, found: LintFinding): JudgedFinding {
  const { id, check, level, message, offset } = found
  const { field, todo } = adviceOf(check)
  // A fault of the octets names its field itself, as far as it could be followed.
  const path = offset === undefined ? [found.path, field].filter((part) => part !== '').join('.') : found.path
  return {
    ...{ id, check, level, message, todo },
    path,
    offset: offset ?? offsetOf(der, path),
  }
}

const MISSING: Readonly<Partial<Record<Need, string>>> = {
  issuer: 'needs the issuer: --issuer',
  issuerNotBefore: 'needs the issuer: --issuer',
  issuerNotAfter: 'needs the issuer: --issuer',
  responderKey: 'needs the signer: --issuer or --responder',
  responderCertificate: 'needs the signer: --issuer or --responder',
  responderValidity: 'needs the signer: --issuer or --responder',
  responderNotAfter: 'needs the signer: --issuer or --responder',
  spki: 'needs the signer: --issuer or --responder',
  question: 'needs the request: --request',
  certificates: 'needs the certificate in question: --cert',
  publicTrust: 'is of public trust: --profile public-trust',
  meant: 'only the responder knows what it meant to say',
  meantExtensions: 'only the responder knows what it meant to say',
  algorithm: 'only the responder knows which algorithm it has to use',
  archiveCutoff: 'only the responder knows its policy',
}

function notRunOf(
  { status, basic, notJudged }: LintReport,
  { issuer, responder }: Sources,
  verdict: Awaited<ReturnType<typeof verdictOf>>,
): NotRun[] {
  const whole =
    basic !== undefined
      ? undefined
      : status === undefined || status === 'successful'
        ? 'the response cannot be read'
        : 'an error has no content'
  const hasNames = issuer !== undefined || responder !== undefined
  const reasonOf = (needs: readonly Need[]) => {
    const reasons = needs.flatMap((need) => MISSING[need] ?? [])
    // The rarer reason tells more than one that an option would mend.
    const reason = reasons.find((text) => text.startsWith('only')) ?? reasons[0] ?? 'something is not known'
    return reason.startsWith('needs the signer') && hasNames
      ? 'its signer is nobody at hand: --responder'
      : reason
  }
  const list = notJudged
    .filter(({ name }) => name !== 'signature-value')
    .map((check) => ({ id: check.id, check: check.name, reason: whole ?? reasonOf(needsOf(check)) }))
  if (verdict === 'good' || verdict === 'bad') return list
  const reason =
    whole ??
    (verdict === 'unsupported'
      ? 'its algorithm, or the kind of key, is not supported here'
      : reasonOf(['responderKey']))
  return [...list, { id: 'R1.51', check: 'signature-value', reason }]
}
