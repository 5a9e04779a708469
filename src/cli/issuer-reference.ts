/** How people name an issuer: certificate file, subject key identifier in hex, or short name. */
import type { Issuer, IssuerList } from '../admin-api/contract.ts'
import { parsePEM } from '../pkix/pem.ts'
import {
  type CertificateFile,
  describeCertificate,
  loadCertificate,
  parseCertificate,
} from './certificate.ts'
import type { AdminClient } from './client.ts'
import { CLIError, EXIT, usageError } from './exit.ts'
import { isFile } from './serial.ts'

const NAME = /^[a-z0-9-]{1,64}$/
const KEY_IDENTIFIER = /^([0-9a-f]{2}:?){4,64}$/i

/** @returns what stands for {issuer} in a path of the admin API. @throws CLIError (usage) */
export function issuerReference(text: string): string {
  if (isFile(text)) {
    try {
      return loadCertificate(text).ski
    } catch (error) {
      // A folder of the CA may well hold a file called as the issuer is.
      if (!NAME.test(text)) throw error
    }
  }
  if (NAME.test(text)) return text
  if (KEY_IDENTIFIER.test(text)) return text.replaceAll(':', '').toLowerCase()
  throw usageError(
    `--issuer: "${text}" is no file, no subject key identifier in hex and no short name`,
    'Name the issuer by its certificate file, or see "edge-ocsp issuer list".',
  )
}

/** So many of the issuers there are, for whoever has to choose one. */
const NAMED = 20

/** All issuers, page by page. @throws CLIError */
export async function* eachIssuer(client: AdminClient): AsyncGenerator<Issuer, void> {
  let after: number | null = 0
  while (after !== null) {
    const page: IssuerList = await client.callPatiently('listIssuers', { query: { after } })
    yield* page.issuers
    after = page.next
  }
}

/** The first that is meant. @throws CLIError */
export async function findIssuer(
  client: AdminClient,
  isMeant: (issuer: Issuer) => boolean,
): Promise<Issuer | undefined> {
  for await (const issuer of eachIssuer(client)) if (isMeant(issuer)) return issuer
  return undefined
}

/**
 * The issuer that is named; without a name the one that issued `certificate`, or the only one there is.
 * @throws CLIError
 */
export async function resolveIssuer(
  client: AdminClient,
  text: string | undefined,
  certificate?: CertificateFile,
): Promise<string> {
  if (text !== undefined) return issuerReference(text)
  if (certificate !== undefined) {
    const match = await findIssuer(client, (issuer) => isIssuedBy(certificate, issuer))
    if (match !== undefined) return match.name
    throw new CLIError(
      EXIT.no,
      `${certificate.path}: none of the issuers at ${client.url} issued ${describeCertificate(certificate)}`,
      'Add its CA with "edge-ocsp issuer add --cert CA.pem ...", or see "edge-ocsp issuer list".',
    )
  }
  const { issuers } = await client.call('listIssuers', { query: { limit: NAMED } })
  const [only, second] = issuers
  if (only !== undefined && second === undefined) return only.name
  const names = issuers.map((issuer) => issuer.name).join(', ')
  throw usageError(
    only === undefined
      ? `there is no issuer at ${client.url} yet`
      : '--issuer is missing, and there are several',
    only === undefined ? 'Add one with "edge-ocsp issuer add --cert CA.pem ...".' : `One of: ${names}`,
  )
}

/** By signature, not by name. */
export function isIssuedBy(certificate: CertificateFile, issuer: Issuer): boolean {
  const ca = issuerCertificate(issuer)
  return (
    ca !== undefined && certificate.x509.checkIssued(ca.x509) && certificate.x509.verify(ca.x509.publicKey)
  )
}

function issuerCertificate(issuer: Issuer): CertificateFile | undefined {
  const [block] = parsePEM(issuer.certificate)
  return block === undefined ? undefined : parseCertificate(block.der, issuer.name)
}

/** @throws CLIError (1) when the certificate is somebody else's */
export function checkIssuedBy(certificate: CertificateFile, issuer: Issuer): void {
  if (isIssuedBy(certificate, issuer)) return
  throw new CLIError(
    EXIT.no,
    `${certificate.path}: ${describeCertificate(certificate)} was not issued by ${issuer.name}`,
    `Its issuer is ${certificate.x509.issuer.split('\n').join(', ')}; name that one with --issuer.`,
  )
}
