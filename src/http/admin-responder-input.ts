/** From certificate and key, as they were sent, to a responder's record - or to the reasons against it (R1.54-R1.61, R4.6-R4.9). */
import type * as z from 'zod/mini'
import type { Finding, ResponderInput } from '../admin-api/contract.ts'
import { formatTime } from '../admin-api/contract.ts'
import { decodeBase64 } from '../asn1/base64.ts'
import { SigningError } from '../ports/errors.ts'
import type { IssuerPolicy, ResponderRecord, SignatureAlgorithm } from '../ports/records.ts'
import { wrapKey } from '../signing/key-custody.ts'
import { algorithmFor, parsePrivateKey } from '../signing/private-key.ts'
import { keyMatches } from '../signing/webcrypto-signer.ts'
import type { CertificateView } from '../x509/index.ts'
import type { AdminDeps } from './admin-deps.ts'
import { AdminError } from './admin-error.ts'
import { hexOf } from './admin-hex.ts'
import { algorithmFindings, refuseErrors } from './admin-policy.ts'

export interface PreparedResponder {
  readonly record: Omit<ResponderRecord, 'id' | 'retired'>
  readonly wrappedKey: Uint8Array | undefined
  readonly warnings: readonly Finding[]
}

const PRECERTIFICATE_POISON = '1.3.6.1.4.1.11129.2.4.3'
/** Apache and Traffic Server hold a staple in 10,240 octets (R5.47). Nothing that is sent here reaches the 64 KiB of R7.4. */
const STAPLE_OCTETS = 10_000
/** A response but for signature and certificate: a CertID of SHA-512, a nonce of 32 octets, no other extension. */
const OTHER_OCTETS = 500
const ECDSA_OCTETS = {
  'ecdsa-with-SHA256': 72,
  'ecdsa-with-SHA384': 104,
  'ecdsa-with-SHA512': 139,
  Ed25519: 64,
} as const

/** Secrets of the Worker that are no responder keys. */
const OWN_SECRETS = new Set(['ADMIN_TOKEN', 'KEY_ENCRYPTION_KEY'])

/** PEM text as it is; base64 of DER as octets. @throws AdminError certificateUnreadable, keyUnreadable */
function pemOrDER(
  text: string,
  field: string,
  code: 'certificateUnreadable' | 'keyUnreadable',
): string | Uint8Array {
  if (text.includes('-----BEGIN')) return text
  const der = decodeBase64(text.replace(/\s+/g, ''))
  if (der !== undefined && der.length > 0) return der
  throw new AdminError(422, code, `${field}: neither PEM nor base64 of DER`, {
    field,
    hint: 'send the text of the PEM file, from -----BEGIN to -----END',
  })
}

/** @throws AdminError certificateUnreadable */
export async function readCertificateText(text: string, field: string): Promise<CertificateView> {
  const { CertificateError, readCertificate } = await import('../x509/index.ts')
  const input = pemOrDER(text, field, 'certificateUnreadable')
  let view: CertificateView
  try {
    view = readCertificate(input)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    throw new AdminError(422, 'certificateUnreadable', `${field}: ${error.message}`, {
      field,
      hint: 'send one X.509 certificate; openssl x509 -in FILE -outform PEM makes PEM of it',
    })
  }
  if (view.extensions.some(({ extnID }) => extnID === PRECERTIFICATE_POISON)) {
    throw new AdminError(422, 'certificateRefused', `${field}: a precertificate, which nobody may accept`, {
      field,
      hint: 'send the certificate that was issued after it (RFC 6962 3.1)',
    })
  }
  return view
}

/** How large the responses of a responder become (R7.4, R5.47). What some servers cannot staple is no certificate for public trust. */
export function sizeFindings(
  { certificate, algorithm, spki }: Pick<ResponderRecord, 'certificate' | 'algorithm' | 'spki'>,
  profile: IssuerPolicy['profile'],
): Finding[] {
  // An RSA signature is as long as the modulus, which is nearly all of the key.
  const isRSA = algorithm === 'sha256WithRSAEncryption' || algorithm === 'rsassaPss-sha256'
  const signature = isRSA ? spki.length : ECDSA_OCTETS[algorithm]
  const octets = OTHER_OCTETS + signature + (certificate?.length ?? 0)
  if (octets <= STAPLE_OCTETS) return []
  const message = `responses would have some ${octets} octets, and servers that staple hold ${STAPLE_OCTETS}: use a smaller responder certificate (R7.4)`
  return [{ level: profile === 'public-trust' ? 'error' : 'warning', code: 'responsesTooLarge', message }]
}

function keyError(field: string, message: string): AdminError {
  return new AdminError(422, 'keyUnreadable', `${field}: ${message}`, {
    field,
    hint: 'send an unencrypted PKCS#8 key: openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pk8',
  })
}

/** @throws AdminError keyUnreadable, secretMissing */
function readKey(input: z.output<typeof ResponderInput>, deps: AdminDeps, at: string): Uint8Array {
  const field = `${at}${input.secretName === undefined ? 'key' : 'secretName'}`
  let text = input.key
  if (input.secretName !== undefined) {
    if (OWN_SECRETS.has(input.secretName)) throw keyError(field, `${input.secretName} is not a responder key`)
    text = deps.secret(input.secretName)
    if (text === undefined || text.trim() === '') {
      throw new AdminError(422, 'secretMissing', `${field}: the Worker has no secret ${input.secretName}`, {
        field,
        hint: `wrangler secret put ${input.secretName} < key.pk8, then repeat the call`,
      })
    }
  }
  const source = pemOrDER(text ?? '', field, 'keyUnreadable')
  try {
    return parsePrivateKey(source)
  } catch (error) {
    // A SigningError is written not to quote its input; of any other we know nothing.
    throw keyError(
      field,
      error instanceof SigningError ? error.message : 'not a private key that we can read',
    )
  }
}

/** @throws AdminError certificateRefused */
function chooseAlgorithm(
  spki: Uint8Array,
  wanted: SignatureAlgorithm | undefined,
  at: string,
): SignatureAlgorithm {
  const field = `${at}${wanted === undefined ? 'certificate' : 'algorithm'}`
  let message = 'the key is of a kind that cannot sign here'
  try {
    const [chosen] = algorithmFor(spki, wanted)
    if (chosen !== undefined) return chosen
  } catch (error) {
    if (!(error instanceof SigningError)) throw error
    message = error.message
  }
  throw new AdminError(422, 'certificateRefused', `${field}: ${message}`, {
    field,
    hint: 'use RSA of 2048 to 4096 bits, ECDSA on P-256, P-384 or P-521, or Ed25519',
  })
}

/** Exactly one of two. */
function requireOne(first: unknown, second: unknown, names: string, field: string): void {
  if ((first === undefined) !== (second === undefined)) return
  throw new AdminError(400, 'invalidField', `${field}: exactly one of ${names} is needed`, {
    field,
    hint: `send one of ${names}`,
  })
}

/**
 * @param at prefix of field names in errors, e.g. `responder.`
 * @throws AdminError certificateRefused, certificateUnreadable, keyMismatch, keyUnreadable (422), secretMissing (422 or 503)
 */
export async function prepareResponder(
  input: z.output<typeof ResponderInput>,
  issuer: { readonly view: CertificateView; readonly ski: string },
  profile: IssuerPolicy['profile'],
  now: number,
  deps: AdminDeps,
  at = '',
): Promise<PreparedResponder> {
  requireOne(input.certificate, input.signWithCA, 'certificate and signWithCA', `${at}certificate`)
  requireOne(input.key, input.secretName, 'key and secretName', `${at}key`)
  const { checkResponderCertificate, keyHash: keyHashOf } = await import('../x509/index.ts')
  const delegate =
    input.certificate === undefined
      ? undefined
      : await readCertificateText(input.certificate, `${at}certificate`)
  const signer = delegate ?? issuer.view
  // The issuer's own certificate is checked as that of a CA which signs itself (R1.59, R4.6).
  const findings = [...(await checkResponderCertificate(signer, issuer.view, profile, now))]
  const algorithm = chooseAlgorithm(signer.spki, input.algorithm, at)
  findings.push(...algorithmFindings(algorithm, profile))
  findings.push(...sizeFindings({ certificate: delegate?.der, algorithm, spki: signer.spki }, profile))
  refuseErrors(findings, 'certificateRefused', 'the responder is refused', `${at}certificate`)

  const keyHash = await keyHashOf(signer)
  const expiry = formatTime(signer.notAfter).slice(0, 10)
  const name =
    input.name ?? `${delegate === undefined ? 'ca' : 'ocsp'}-${expiry}-${hexOf(keyHash).slice(0, 8)}`
  const pkcs8 = readKey(input, deps, at)
  try {
    await requireMatch(pkcs8, signer.spki, algorithm, input, at)
    const custody = input.secretName === undefined ? 'wrapped' : 'secret'
    const wrappedKey =
      custody === 'wrapped'
        ? await wrap(pkcs8, deps.kek, { ski: issuer.ski, name, spki: signer.spki })
        : undefined
    return {
      record: {
        name,
        certificate: delegate?.der,
        keyHash,
        algorithm,
        custody,
        secretName: input.secretName,
        spki: signer.spki,
        notBefore: signer.notBefore,
        notAfter: signer.notAfter,
      },
      wrappedKey,
      warnings: findings,
    }
  } finally {
    pkcs8.fill(0)
  }
}

/** Signs and verifies once: the only proof that two halves belong together. */
async function requireMatch(
  pkcs8: Uint8Array,
  spki: Uint8Array,
  algorithm: SignatureAlgorithm,
  input: z.output<typeof ResponderInput>,
  at: string,
): Promise<void> {
  const field = `${at}${input.secretName === undefined ? 'key' : 'secretName'}`
  const whose = input.signWithCA === true ? 'CA certificate' : 'responder certificate'
  let matches: boolean
  try {
    matches = await keyMatches(pkcs8, spki, algorithm)
  } catch (error) {
    // A key of another kind cannot even be imported for the certificate's algorithm: a mismatch as well.
    if (!(error instanceof SigningError)) throw error
    if (error.reason === 'signFailed') throw error
    matches = false
  }
  if (matches) return
  throw new AdminError(422, 'keyMismatch', `${field}: the private key does not belong to the ${whose}`, {
    field,
    hint: 'compare: openssl pkey -in KEY -pubout and openssl x509 -in CERT -noout -pubkey print the same',
  })
}

async function wrap(
  pkcs8: Uint8Array,
  kek: Uint8Array | undefined,
  context: { ski: string; name: string; spki: Uint8Array },
): Promise<Uint8Array> {
  if (kek === undefined) {
    throw new AdminError(
      503,
      'secretMissing',
      'the secret KEY_ENCRYPTION_KEY is not set to base64 of 32 octets',
      {
        hint: 'openssl rand -base64 32 | wrangler secret put KEY_ENCRYPTION_KEY, or name a secretName instead of a key',
      },
    )
  }
  return wrapKey(pkcs8, kek, { issuerSKI: context.ski, responderName: context.name, spki: context.spki })
}
