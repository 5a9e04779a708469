/**
 * Nothing is published unchecked (law 5): every response of a bundle is rebuilt from its bytes and passes the gate of
 * src/lint, and one signature per window and hash is verified with the public key.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import type { BundleEntry } from '../bundle/bundle-format.ts'
import { Bundle } from '../bundle/bundle-format.ts'
import type { BundleContent } from '../bundle/bundle-writer.ts'
import { serialHash } from '../bundle/slot.ts'
import { lint, lintSignature } from '../lint/index.ts'
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
  const responders = content.windows.map(({ responder }) =>
    signerOf(content.responders[responder]?.id, issuer),
  )
  const contexts = responders.map((responder, i) =>
    gateContext(issuer, responder, clockOf(now, content.windows[i]?.producedAt)),
  )
  const verifiers = await Promise.all(
    responders.map(({ spki, algorithm }) => importVerifier(spki, algorithm)),
  )
  const verified = new Set<number>()
  for (const meant of content.entries) {
    const entry = bundle.find(meant.serial, serialHash(meant.serial))
    const context = contexts[meant.window]
    const verify: Verifier | undefined = verifiers[meant.window]
    if (entry === undefined || context === undefined || verify === undefined)
      failed('an entry cannot be found again')
    if (meant.certStatus.type === 'unknown') failed('a bundle never says unknown')
    for (let variant = 0; variant < content.variants.length; variant += 1) {
      const der = bundle.response(entry, variant)
      if (der === undefined) failed('a variant is missing')
      const key = meant.window * content.variants.length + variant
      const isEnvelopeJudged = verified.has(key)
      const asMeant = { meant: [meantSingle(meant, variant, content)], meantExtensions: [] }
      const report = lint(der, { ...context, ...asMeant, isEnvelopeJudged })
      refuse(report.findings)
      if (isEnvelopeJudged) continue
      verified.add(key)
      refuse(await lintSignature(report, verify))
    }
  }
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

function meantSingle(entry: BundleEntry, variant: number, content: BundleContent): MeantSingle {
  const window = content.windows[entry.window]
  const asked = content.variants[variant]
  if (window === undefined || asked === undefined) failed('an entry names no window or hash of the bundle')
  const { serial, certStatus, singleExtensions } = entry
  const { thisUpdate, nextUpdate } = window
  return { ...asked, serialNumber: serial, certStatus, thisUpdate, nextUpdate, singleExtensions }
}
