/**
 * X.509 off the request path: reached only by `await import(...)` from administration, and by the command line. The public
 * names of this folder.
 */
import { evaluations } from './evaluations.ts'

evaluations.count += 1

export { type CertificateView, readCertificate } from './certificate.ts'
export { checkDirectSigner, checkIssuerCertificate, type Profile } from './check-issuer.ts'
export { checkResponderCertificate } from './check-responder.ts'
export { CertificateError, type Finding } from './error.ts'
export type { CertificateExtensions, KeyUsage, RawExtension } from './extensions.ts'
export { issuerHashes, keyHash, subjectKeyIdentifierHex } from './issuer-hashes.ts'
export { type SignedOctets, verifyCertificate, verifySigned } from './verify.ts'
