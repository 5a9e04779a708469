/** CAs made by `openssl` with their index.txt, delegates and requests: what answers are made of without a server. */
import { expect } from 'vitest'
import { OpenSSL } from '../support/openssl.ts'
import { type Run, type RunOptions, runProgram } from './support.ts'

/** Arguments of `openssl req` for a new key. */
const KEYS = {
  'P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  RSA: ['-newkey', 'rsa:2048'],
} as const

export type KeyKind = keyof typeof KEYS

export const SERIALS = {
  good: '0A1B2C3D4E5F6071',
  revoked: '0A1B2C3D4E5F6072',
  hold: '0A1B2C3D4E5F6073',
  never: '0A1B2C3D4E5F60FF',
} as const

const INDEX = `V\t491231235959Z\t\t${SERIALS.good}\tunknown\t/CN=good
R\t491231235959Z\t260102030405Z,superseded\t${SERIALS.revoked}\tunknown\t/CN=revoked
R\t491231235959Z\t260203040506Z,certificateHold\t${SERIALS.hold}\tunknown\t/CN=hold
`

export class OpenSSLCA {
  readonly openssl = new OpenSSL()

  constructor(ca: KeyKind, delegate: KeyKind) {
    this.write('index.txt', INDEX)
    this.write(
      'extensions',
      `[ocsp]
extendedKeyUsage = OCSPSigning
keyUsage = critical, digitalSignature
noCheck = ignored
authorityKeyIdentifier = keyid
[bare]
keyUsage = critical, digitalSignature
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
`,
    )
    this.selfSigned('ca', '/CN=Home CA', ca)
    this.certify('ocsp', '/CN=Home OCSP', delegate, 'ocsp')
  }

  get folder(): string {
    return this.openssl.folder
  }

  /** @returns the path */
  write(name: string, content: string | Uint8Array): string {
    return this.openssl.write(name, content)
  }

  /** Runs `openssl` and fails when it does. @returns what it printed */
  ok(...args: readonly string[]): string {
    const { status, stdout, stderr } = this.openssl.run(...args)
    expect([status, stderr], `openssl ${args.join(' ')}`).toEqual([0, expect.anything()])
    return stdout + stderr
  }

  selfSigned(name: string, subject: string, kind: KeyKind): void {
    const files = ['-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject]
    this.ok('req', '-new', ...KEYS[kind], ...files)
    const to = ['-signkey', `${name}.key`, '-out', `${name}.pem`, '-days', '3650']
    this.ok('x509', '-req', '-in', `${name}.csr`, ...to, '-extfile', 'extensions', '-extensions', 'ca')
  }

  /** A certificate by the CA, with a section of the file of extensions. */
  certify(name: string, subject: string, kind: KeyKind, section: 'ocsp' | 'bare', days = 90): void {
    const files = ['-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject]
    this.ok('req', '-new', ...KEYS[kind], ...files)
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', String(days)]
    const to = ['-extfile', 'extensions', '-extensions', section, '-out', `${name}.pem`]
    this.ok('x509', '-req', '-in', `${name}.csr`, ...by, ...to)
  }

  /** Writes an OCSP request, without a nonce unless it is wanted. */
  request(
    name: string,
    serials: readonly string[],
    { issuer = 'ca', hash = 'sha1', nonce = false } = {},
  ): void {
    const asked = serials.flatMap((serial) => ['-serial', `0x${serial}`])
    const how = [nonce ? '-nonce' : '-no_nonce', `-${hash}`]
    this.ok('ocsp', ...how, '-issuer', `${issuer}.pem`, ...asked, '-reqout', name)
  }

  /** What `openssl ocsp` makes of a response to a request: its output, on both streams. */
  judge(request: string, response: string): string {
    const files = ['-issuer', 'ca.pem', '-CAfile', 'ca.pem', '-reqin', request, '-respin', response]
    const { stdout, stderr } = this.openssl.run('ocsp', ...files, '-resp_text')
    return stdout + stderr
  }

  /** `edge-ocsp ...` in the folder. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return runProgram(args, { cwd: this.folder, ...options })
  }

  close(): void {
    this.openssl.close()
  }
}
