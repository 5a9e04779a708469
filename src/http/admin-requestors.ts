/** The certificates of a policy's `requestors`: who may sign requests, and CAs whose certificates may (R1.25). */
import type { Finding } from '../admin-api/contract.ts'
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { isStrongKey } from '../responder/request-signature.ts'
import type { CertificateView } from '../x509/index.ts'
import { readCertificateText } from './admin-responder-input.ts'

export interface Requestors {
  /** DER, each once, in the order given. */
  readonly certificates: readonly Uint8Array[]
  readonly findings: readonly Finding[]
}

/**
 * @param field where they stand, e.g. `policy.requestors`
 * @throws AdminError certificateUnreadable, certificateRefused (a precertificate), naming the one at fault
 */
export async function readRequestors(
  texts: readonly string[],
  now: UnixSeconds,
  field: string,
): Promise<Requestors> {
  const certificates: Uint8Array[] = []
  const findings: Finding[] = []
  const known = new Set<string>()
  for (const [index, text] of texts.entries()) {
    const view = await readCertificateText(text, `${field}[${index}]`)
    const key = view.der.join()
    if (known.has(key)) continue
    known.add(key)
    certificates.push(view.der)
    findings.push(...check(view, now, `requestor ${index} (${view.subject || 'without a name'})`))
  }
  return { certificates, findings }
}

/** What the judge of signed requests would never accept is told here, not by every client that is refused. */
function check(view: CertificateView, now: UnixSeconds, who: string): Finding[] {
  const findings: Finding[] = []
  const issues = view.isCA && view.keyUsage?.keyCertSign !== false
  const signs = view.keyUsage === undefined || view.keyUsage.digitalSignature
  if (!issues && !signs) {
    const message = `${who} may neither sign (keyUsage digitalSignature) nor is it a CA that may issue those who do`
    findings.push({ level: 'error', code: 'requestorCannotSign', message })
  }
  if (!isStrongKey(view.spki)) {
    const message = `${who} has an RSA key of less than 2048 bits, or one that cannot be read`
    findings.push({ level: 'error', code: 'requestorKeyWeak', message })
  }
  if (view.notAfter < now) {
    const message = `${who} expired at ${new Date(view.notAfter * 1000).toISOString()}: leave it out, or send its successor`
    findings.push({ level: 'error', code: 'requestorExpired', message })
  }
  if (view.notBefore > now) {
    const message = `${who} is not valid before ${new Date(view.notBefore * 1000).toISOString()}: until then what it signs is refused`
    findings.push({ level: 'warning', code: 'requestorNotYetValid', message })
  }
  return findings
}
