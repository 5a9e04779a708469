/**
 * Which responder signs for an issuer now, and its key. The newest valid responder of an algorithm that is not retired signs
 * new windows (R8.6); what older ones signed stays until it expires.
 */
import type { UnixSeconds } from '../asn1/generalized-time.ts'
import { SigningError } from '../ports/errors.ts'
import type { KeyStore } from '../ports/ports.ts'
import type { IssuerRecord, ResponderRecord, SignatureAlgorithm } from '../ports/records.ts'
import { responderFor } from '../responder/signature-choice.ts'
import { unwrapSigner } from './key-custody.ts'
import { parsePrivateKey } from './private-key.ts'
import type { Signer } from './webcrypto-signer.ts'
import { importSigner, importVerifier } from './webcrypto-signer.ts'

export interface SignerPorts {
  readonly keys: KeyStore
  /** KEY_ENCRYPTION_KEY: 32 octets, or a SigningError that says what is wrong with it. */
  readonly kek: () => Uint8Array
  /** Value of a Worker secret; undefined when it is not set. */
  readonly secret: (name: string) => string | undefined
}

/** A key that is ready to sign, with the responder it belongs to. */
export interface ReadySigner {
  readonly responder: ResponderRecord
  readonly signer: Signer
  /** Nothing signed by it may outlive this (R1.66). */
  readonly notAfter: UnixSeconds
}

export class SignerPool {
  readonly #ports: SignerPorts
  /** By responder id: an id names one key for ever. */
  readonly #signers = new Map<number, Signer>()

  constructor(ports: SignerPorts) {
    this.#ports = ports
  }

  /**
   * @param algorithm what to sign with, when it is not the issuer's default
   * @throws SigningError.{keyMissing, keyUnreadable, responderExpired}; StorageError when D1 holds the key and is away
   */
  async ready(issuer: IssuerRecord, now: UnixSeconds, algorithm?: SignatureAlgorithm): Promise<ReadySigner> {
    const responder = responderFor(issuer, now, algorithm) ?? noResponder(issuer, algorithm)
    const signer =
      this.#signers.get(responder.id) ?? (await checked(await this.#load(issuer, responder), responder))
    this.#signers.set(responder.id, signer)
    return { responder, signer, notAfter: Math.min(responder.notAfter, issuer.notAfter) }
  }

  async #load(issuer: IssuerRecord, responder: ResponderRecord): Promise<Signer> {
    if (responder.custody === 'secret') {
      const name = responder.secretName ?? ''
      const pem = this.#ports.secret(name)
      if (pem === undefined) throw new SigningError('keyMissing', `the Worker secret ${name} is not set`)
      return importSigner(parsePrivateKey(pem), responder.algorithm)
    }
    const kek = this.#ports.kek()
    const blob = await this.#ports.keys.readWrappedKey(responder.id)
    if (blob === undefined) throw new SigningError('keyMissing', `responder ${responder.id} has no key in D1`)
    const context = { issuerSKI: issuer.ski, responderName: responder.name, spki: responder.spki }
    return unwrapSigner(blob, kek, context, responder.algorithm)
  }
}

/**
 * A key that was swapped since its upload must not sign a thing: one signature is verified with the responder's public key.
 * @throws SigningError.selfCheckFailed
 */
export async function checked(signer: Signer, responder: ResponderRecord): Promise<Signer> {
  const verify = await importVerifier(responder.spki, responder.algorithm)
  const probe = new TextEncoder().encode(`edge-ocsp: may responder ${responder.id} sign?`)
  if (await verify(probe, await signer.sign(probe))) return signer
  throw new SigningError(
    'selfCheckFailed',
    `the key of responder ${responder.id} is not that of its certificate`,
  )
}

function noResponder({ responders }: IssuerRecord, algorithm: SignatureAlgorithm | undefined): never {
  const which = algorithm === undefined ? 'responder' : `responder of the algorithm ${algorithm}`
  if (responders.some((one) => !one.retired && (algorithm === undefined || one.algorithm === algorithm)))
    throw new SigningError(
      'responderExpired',
      `no ${which} has a certificate that is valid now: add a new one`,
    )
  throw new SigningError('keyMissing', `the issuer has no ${which}: add one`)
}
