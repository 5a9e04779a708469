/**
 * Nothing is published unchecked (law 5): every response of a bundle is rebuilt from its bytes and passes the gate of
 * src/lint, and one signature per window and hash is verified with the public key.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BundleEntry, BundleVariant, BundleWindow } from '../bundle/bundle-format.ts'
import { Bundle } from '../bundle/bundle-format.ts'
import type { BundleContent } from '../bundle/bundle-writer.ts'
import { serialHash } from '../bundle/slot.ts'
import { LintSeries, lintSignature } from '../lint/index.ts'
import type { IssuerRecord, ResponderRecord } from '../ports/records.ts'
import type { MeantSingle } from './check-response.ts'
import { failed, gateContext, refuse } from './check-response.ts'
import type { Verifier } from './webcrypto-signer.ts'
import { importVerifier } from './webcrypto-signer.ts'

const SKEW_SECONDS = 300

/**
 * @param now when it is to be published; without it, nothing is said of responses that are over
 * @throws SigningError.selfCheckFailed
 */
export async function checkBundle(
  bytes: Uint8Array,
  content: BundleContent,
  issuer: IssuerRecord,
  now?: UnixSeconds,
): Promise<void> {
  const bundle = Bundle.open(bytes)
  if (bundle.count !== content.entries.length) failed('the bundle has lost entries')
  const judges = await Promise.all(
    content.windows.map(({ responder, producedAt }) =>
      judgesOf(content, issuer, content.responders[responder]?.id, clockOf(now, producedAt)),
    ),
  )
  for (const meant of content.entries) {
    const entry = bundle.find(meant.serial, serialHash(meant.serial))
    const window = content.windows[meant.window]
    const judgesOfWindow = judges[meant.window]
    if (entry === undefined || window === undefined || judgesOfWindow === undefined)
      failed('an entry cannot be found again')
    if (meant.certStatus.type === 'unknown') failed('a bundle never says unknown')
    for (let variant = 0; variant < content.variants.length; variant += 1) {
      const der = bundle.responseView(entry, variant)
      const judge = judgesOfWindow[variant]
      if (der === undefined || judge === undefined) failed('a variant is missing')
      const report = judge.series.judge(der, meantSingle(meant, window, judge.variant))
      refuse(report.findings)
      if (judge.isVerified) continue
      judge.isVerified = true
      refuse(await lintSignature(report, judge.verify))
    }
  }
}

/** What the responses of one window and hash are judged by, made once: it stands in the signing loop. */
interface Judge {
  readonly variant: BundleVariant
  readonly verify: Verifier
  readonly series: LintSeries
  /** One signature was. */
  isVerified: boolean
}

/** In the order of the variants. */
async function judgesOf(
  { variants }: BundleContent,
  issuer: IssuerRecord,
  responderID: number | undefined,
  now: UnixSeconds | undefined,
): Promise<Judge[]> {
  const responder = signerOf(responderID, issuer)
  const verify = await importVerifier(responder.spki, responder.algorithm)
  const context = gateContext(issuer, responder, now)
  return variants.map((variant) => ({
    variant,
    verify,
    series: new LintSeries({ ...context, meantExtensions: [] }),
    isVerified: false,
  }))
}

/** Clocks of two runs differ: what was kept of the run before may have been produced a moment ahead of ours. */
function clockOf(now: UnixSeconds | undefined, producedAt = 0): UnixSeconds | undefined {
  return now === undefined ? undefined : Math.max(now, Math.min(producedAt, now + SKEW_SECONDS))
}

function signerOf(id: number | undefined, issuer: IssuerRecord): ResponderRecord {
  return (
    issuer.responders.find((responder) => responder.id === id) ??
    failed('a window names no responder of the issuer')
  )
}

function meantSingle(
  { serial, certStatus, singleExtensions }: BundleEntry,
  { thisUpdate, nextUpdate }: BundleWindow,
  { hashAlgorithm, issuerNameHash, issuerKeyHash }: BundleVariant,
): MeantSingle {
  return {
    hashAlgorithm,
    issuerNameHash,
    issuerKeyHash,
    serialNumber: serial,
    certStatus,
    thisUpdate,
    nextUpdate,
    singleExtensions,
  }
}
