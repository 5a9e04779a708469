/** A responder (certificate and key) as options of `issuer add` and `responder add`. */
import { type Command, Option } from 'commander'
import { type ResponderInput, SignatureAlgorithmName } from '../admin-api/contract.ts'
import { formatPEM } from '../pkix/pem.ts'
import { type CertificateFile, checkKeyMatches, loadCertificate, loadPrivateKey } from './certificate.ts'
import { usageError } from './exit.ts'

/** `issuer add` spells certificate and key of the responder out; `responder add` has nothing else to name. */
export interface ResponderOptions {
  readonly responderCert?: string
  readonly responderKey?: string
  readonly responderName?: string
  readonly signWithCa?: boolean
  readonly key?: string
  readonly secretName?: string
  readonly algorithm?: ResponderInput['algorithm']
}

export function addResponderOptions(command: Command, on: 'issuer' | 'responder'): Command {
  if (on === 'issuer') {
    command
      .option('--responder-cert <file>', 'delegated responder certificate')
      .option('--responder-key <file>', 'its private key (PKCS#8, SEC 1 or PKCS#1, not encrypted)')
      .option('--responder-name <name>', 'name of the responder (default: made of its notAfter)')
      .option('--key <file>', "the CA's private key, with --sign-with-ca")
  } else {
    command
      .option('--cert <file>', 'delegated responder certificate')
      .option('--key <file>', "its private key, or the CA's with --sign-with-ca")
      .option('--name <name>', 'name of the responder (default: made of its notAfter)')
  }
  return command
    .option('--sign-with-ca', "the CA's own key signs the responses")
    .option(
      '--secret-name <NAME>',
      'custody "secret": Worker secret that holds the key, instead of a key file',
    )
    .addOption(
      new Option('--algorithm <name>', 'signature algorithm (default: by the key)').choices(
        SignatureAlgorithmName.options,
      ),
    )
}

/**
 * Reads and checks the files before anything is sent.
 * @param issuer the CA's certificate when it is at hand: what --sign-with-ca must match
 * @returns undefined when no responder was named
 * @throws CLIError
 */
export function readResponder(
  options: ResponderOptions,
  issuer: CertificateFile | undefined,
): ResponderInput | undefined {
  const { responderCert, signWithCa, secretName } = options
  const keyPath = responderCert === undefined ? options.key : (options.responderKey ?? options.key)
  if (responderCert === undefined && signWithCa !== true) {
    const stray = [options.responderKey ?? options.key, secretName].find((value) => value !== undefined)
    if (stray === undefined) return undefined
    throw usageError(
      `there is a key (${stray}) but nobody to sign with it`,
      "Add the responder certificate, or --sign-with-ca when it is the CA's own key.",
    )
  }
  if (responderCert !== undefined && signWithCa === true) {
    throw usageError(
      'a responder certificate and --sign-with-ca exclude each other',
      'Choose who signs the responses.',
    )
  }
  if ((keyPath === undefined) === (secretName === undefined)) {
    throw usageError(
      keyPath === undefined
        ? 'the private key of the responder is missing'
        : 'a key file and --secret-name exclude each other',
      'Give a key file (it is sent and kept encrypted), or --secret-name NAME for a key that is a Worker secret.',
    )
  }
  const certificate = responderCert === undefined ? undefined : loadCertificate(responderCert)
  const signer = certificate ?? issuer
  const custody = keyPath === undefined ? { secretName } : { key: readKey(keyPath, signer) }
  return {
    ...(options.responderName === undefined ? {} : { name: options.responderName }),
    ...(certificate === undefined
      ? { signWithCA: true }
      : { certificate: formatPEM('CERTIFICATE', certificate.der) }),
    ...custody,
    ...(options.algorithm === undefined ? {} : { algorithm: options.algorithm }),
  }
}

function readKey(path: string, signer: CertificateFile | undefined): string {
  const { key, pem } = loadPrivateKey(path)
  if (signer !== undefined) checkKeyMatches(signer, key, path)
  return pem
}
