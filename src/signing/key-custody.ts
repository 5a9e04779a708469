/**
 * Custody `wrapped`: PKCS#8 keys encrypted under a key derived, for each blob, from one Worker secret.
 *
 *     blob = version (1 octet, 1) | salt (32) | iv (12) | AES-256-GCM ciphertext and tag (16)
 *     context = version | label | issuer SKI | responder name | SHA-256(SubjectPublicKeyInfo)
 *     key = HKDF-SHA-256(KEK, salt, info = context), AAD = context
 *
 * Every field of the context after the version is preceded by its length, so that no two contexts are the same bytes. A blob moved to
 * another issuer, responder or certificate does not open.
 * @see RFC 5869, NIST SP 800-38D
 */
import { bufferSource } from '../pkix/buffer-source.ts'
import { SigningError } from '../ports/errors.ts'
import type { SignatureAlgorithm } from '../ports/records.ts'
import { importSigner, type Signer } from './webcrypto-signer.ts'

/** What a wrapped key belongs to. */
export interface CustodyContext {
  /** Subject key identifier of the issuer, lower-case hex (IssuerRecord.ski). */
  readonly issuerSKI: string
  /** ResponderRecord.name. */
  readonly responderName: string
  /** DER SubjectPublicKeyInfo of the responder (ResponderRecord.spki). */
  readonly spki: Uint8Array
}

export const KEK_BYTES = 32

const VERSION = 1
const SALT_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
const LABEL = 'edge-ocsp wrapped responder key'

/**
 * The key-encryption key from its secret: base64 or base64url of 32 octets, white space around it ignored.
 * @throws SigningError.keyMissing naming the command that sets it; never quotes the text
 */
export function parseKeyEncryptionKey(secret: string | undefined): Uint8Array {
  const remedy = 'set it with: openssl rand -base64 32 | npx wrangler secret put KEY_ENCRYPTION_KEY'
  const text = (secret ?? '').trim().replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')
  if (text === '') throw new SigningError('keyMissing', `KEY_ENCRYPTION_KEY is not set; ${remedy}`)
  let binary: string
  try {
    binary = atob(text)
  } catch {
    throw new SigningError('keyMissing', `KEY_ENCRYPTION_KEY is not base64; ${remedy}`)
  }
  if (binary.length !== KEK_BYTES)
    throw new SigningError(
      'keyMissing',
      `KEY_ENCRYPTION_KEY is base64 of ${binary.length} octets, not of ${KEK_BYTES}; ${remedy}`,
    )
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

/**
 * Encrypts a private key for D1. Fresh salt and IV each time: two blobs of one key differ.
 * @param pkcs8 DER PrivateKeyInfo
 * @param kek 32 octets
 * @throws SigningError.keyMissing when the KEK is not 32 octets
 */
export async function wrapKey(
  pkcs8: Uint8Array,
  kek: Uint8Array,
  context: CustodyContext,
): Promise<Uint8Array> {
  const bound = await encodeContext(context)
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES))
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const key = await deriveKey(kek, salt, bound, 'encrypt')
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: bound },
    key,
    bufferSource(pkcs8),
  )
  return concat(Uint8Array.of(VERSION), salt, iv, new Uint8Array(sealed))
}

/**
 * Decrypts what `wrapKey` made. Prefer `unwrapSigner`, which lets nobody see the key.
 * @returns DER PrivateKeyInfo; overwrite it when done
 * @throws SigningError.keyUnreadable when the blob is damaged, belongs to another context, or the KEK is another one:
 *   which of these it is, the cryptography does not tell
 * @throws SigningError.keyMissing when the KEK is not 32 octets
 */
export async function unwrapKey(
  blob: Uint8Array,
  kek: Uint8Array,
  context: CustodyContext,
): Promise<Uint8Array> {
  const overhead = 1 + SALT_BYTES + IV_BYTES + TAG_BYTES
  if (blob.length <= overhead)
    throw new SigningError('keyUnreadable', `the wrapped key is cut short: ${blob.length} octets`)
  if (blob[0] !== VERSION)
    throw new SigningError('keyUnreadable', `the wrapped key has format version ${blob[0]}, not ${VERSION}`)
  const bound = await encodeContext(context)
  const salt = blob.subarray(1, 1 + SALT_BYTES)
  const iv = blob.subarray(1 + SALT_BYTES, 1 + SALT_BYTES + IV_BYTES)
  const key = await deriveKey(kek, salt, bound, 'decrypt')
  try {
    const opened = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv: bufferSource(iv), additionalData: bound },
      key,
      bufferSource(blob.subarray(1 + SALT_BYTES + IV_BYTES)),
    )
    return new Uint8Array(opened)
  } catch {
    throw new SigningError(
      'keyUnreadable',
      `the wrapped key of responder ${context.responderName} does not open: KEY_ENCRYPTION_KEY is not the one it was ` +
        'wrapped under, or the record was altered; add the responder again with its private key',
    )
  }
}

/**
 * Wrapped key to signer; the bytes in between are overwritten.
 * @throws SigningError.keyUnreadable, SigningError.keyMissing
 */
export async function unwrapSigner(
  blob: Uint8Array,
  kek: Uint8Array,
  context: CustodyContext,
  algorithm: SignatureAlgorithm,
): Promise<Signer> {
  const pkcs8 = await unwrapKey(blob, kek, context)
  try {
    return await importSigner(pkcs8, algorithm)
  } finally {
    pkcs8.fill(0)
  }
}

async function deriveKey(
  kek: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array<ArrayBuffer>,
  usage: 'encrypt' | 'decrypt',
): Promise<CryptoKey> {
  if (kek.length !== KEK_BYTES)
    throw new SigningError('keyMissing', `KEY_ENCRYPTION_KEY has ${kek.length} octets, not ${KEK_BYTES}`)
  const base = await crypto.subtle.importKey('raw', bufferSource(kek), 'HKDF', false, ['deriveKey'])
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: bufferSource(salt), info },
    base,
    { name: 'AES-GCM', length: 256 },
    false,
    [usage],
  )
}

async function encodeContext(context: CustodyContext): Promise<Uint8Array<ArrayBuffer>> {
  const text = new TextEncoder()
  const spkiHash = new Uint8Array(await crypto.subtle.digest('SHA-256', bufferSource(context.spki)))
  const fields = [
    text.encode(LABEL),
    text.encode(context.issuerSKI),
    text.encode(context.responderName),
    spkiHash,
  ]
  return concat(Uint8Array.of(VERSION), ...fields.flatMap((field) => [lengthOf(field), field]))
}

function lengthOf(field: Uint8Array): Uint8Array {
  return Uint8Array.of(field.length >> 8, field.length & 0xff)
}

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
