/** Programs of other people that ask an OCSP responder, and the plain HTTP exchanges around them. */
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import type { UnixSeconds } from '../../src/asn1/generalized-time.ts'
import { loadCertificate } from '../../src/cli/certificate.ts'
import { makeQuestion } from '../../src/cli/ocsp-exchange.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { PROJECT_ROOT, type TestServer } from './server.ts'

export const DEMO_NAMES = ['good', 'revoked', 'hold', 'expired', 'never'] as const
export type DemoName = (typeof DEMO_NAMES)[number]

/** Set to 1 where every client is installed: then a missing one fails instead of being skipped. */
export const REQUIRE_CLIENTS = 'EDGE_OCSP_REQUIRE_CLIENTS'

export interface ClientRun {
  readonly code: number
  /** Both streams, the first one first. */
  readonly output: string
}

/**
 * Defines the tests of one client, or a single skipped one that says why.
 * @param version what prints its version, such as ['openssl', 'version']
 */
export function describeClient(version: readonly [string, ...string[]], define: () => void): void {
  const [program, ...args] = version
  const found = spawnSync(program, args, { encoding: 'utf8' })
  const line = found.status === 0 ? found.stdout.split('\n')[0]?.trim() : undefined
  if (line !== undefined) {
    describe(line, define)
    return
  }
  const reason = `${program} is not installed: nothing is known about it here`
  test(`${program} is installed`, (context) => {
    if (process.env[REQUIRE_CLIENTS] === '1') throw new Error(reason)
    console.warn(reason)
    context.skip(reason)
  })
}

/** Runs a program to its end; a code other than 0 is no error. */
export function runClient(program: string, args: readonly string[], cwd = PROJECT_ROOT): Promise<ClientRun> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, timeout: 30_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, output: `${stdout}${stderr}` })
    })
  })
}

/** `edge-ocsp ...` as a person runs it. */
export function runEdgeOCSP(server: TestServer, ...args: readonly string[]): Promise<ClientRun> {
  const program = join(PROJECT_ROOT, 'bin/edge-ocsp.js')
  return runClient(process.execPath, [program, ...args, '--state', server.state])
}

/** Files of a server's demonstration. */
export interface DemoFiles {
  readonly issuer: string
  readonly chain: string
  certificate(name: DemoName): string
}

export function demoFiles(server: TestServer): DemoFiles {
  const file = (name: string) => join(server.state, 'demo', name)
  const manifest: unknown = JSON.parse(readFileSync(file('demo.json'), 'utf8'))
  return {
    issuer: file(textField(manifest, 'issuer')),
    chain: file(textField(manifest, 'chain')),
    certificate: (name) => file(`${name}.pem`),
  }
}

/** Serial number of a demonstration certificate, hex. */
export function demoSerial(server: TestServer, name: DemoName): string {
  return loadCertificate(demoFiles(server).certificate(name)).serial
}

/** When a demonstration certificate was revoked or put on hold, by the record of its CA; undefined for the others. */
export function demoRevocationTime(server: TestServer, name: DemoName): UnixSeconds | undefined {
  const manifest: unknown = JSON.parse(readFileSync(join(server.state, 'demo', 'demo.json'), 'utf8'))
  const certificates: unknown = Reflect.get(Object(manifest), 'certificates')
  const all: readonly unknown[] = Array.isArray(certificates) ? certificates : []
  const own = all.find((certificate) => Reflect.get(Object(certificate), 'name') === name)
  const time: unknown = Reflect.get(Object(own), 'revocationTime')
  return typeof time === 'number' && time > 0 ? time : undefined
}

/** What follows "Revocation Time: " in what a client printed; undefined when there is none. */
export function printedRevocationTime({ output }: ClientRun): UnixSeconds | undefined {
  const text = /Revocation [Tt]ime: (.+)/.exec(output)?.[1]
  return text === undefined ? undefined : Date.parse(text) / 1000
}

/** DER of a question about a demonstration certificate. */
export function demoQuestion(
  server: TestServer,
  name: DemoName,
  options: { readonly hash?: HashAlgorithm; readonly nonce?: boolean } = {},
): Uint8Array {
  const files = demoFiles(server)
  const issuer = loadCertificate(files.issuer)
  const { serialNumber } = loadCertificate(files.certificate(name))
  return makeQuestion(issuer, serialNumber, options.hash ?? 'SHA-1', options.nonce ?? false).der
}

/** `/` and the data of a GET, escaped as browsers do (R5.1). */
export function getPath(der: Uint8Array): string {
  return `/${encodeURIComponent(Buffer.from(der).toString('base64'))}`
}

export async function getOCSP(url: string, der: Uint8Array): Promise<Uint8Array> {
  return await octets(await fetch(url + getPath(der)))
}

export async function postOCSP(url: string, der: Uint8Array): Promise<Uint8Array> {
  return await octets(
    await fetch(`${url}/`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/ocsp-request' },
      body: new Uint8Array(der),
    }),
  )
}

async function octets(response: Response): Promise<Uint8Array> {
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`)
  return new Uint8Array(await response.arrayBuffer())
}

/** A responder that says the same to everybody: for answers that a healthy one does not give. */
export async function startParrot(
  answer: Uint8Array,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => response.setHeader('Content-Type', 'application/ocsp-response').end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function textField(value: unknown, name: string): string {
  const field: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  if (typeof field !== 'string') throw new Error(`no ${name}`)
  return field
}
