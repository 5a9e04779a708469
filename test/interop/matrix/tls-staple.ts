/** What TLS clients see of a staple: OpenSSL and GnuTLS shake hands, and both judge the response that came with it. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { MatrixCase, Verdict } from './client.ts'
import { type ProgramRun, runWithoutInput } from './tls-programs.ts'

/** What reading a staple takes. */
export const STAPLE_READERS = ['openssl', 'gnutls-cli'] as const

const STATUSES = ['good', 'revoked', 'unknown'] as const

export interface StapleRead {
  readonly verdict: Verdict
  readonly output: string
}

/** Whether a TLS client is handed a staple at all. */
export async function hasStaple(question: MatrixCase, port: number): Promise<boolean> {
  return statusSeen(await shakeHands(question, port)) !== 'no staple'
}

/**
 * The staple of the server on this port of 127.0.0.1. `openssl s_client` says what it was handed, `gnutls-cli` keeps its octets
 * and verifies them with the chain, `openssl ocsp` verifies the same octets.
 * @returns `refused` for a stapled error, and for a response that does not verify
 * @throws Error when they do not agree
 */
export async function readStaple(question: MatrixCase, port: number): Promise<StapleRead> {
  const { issuer, certificate, folder } = question
  const staple = join(folder, 'staple.der')
  rmSync(staple, { force: true })
  const seen = await shakeHands(question, port)
  // --insecure: an expired certificate ends nothing before the staple is saved; what it thinks of the chain is printed.
  const args = ['--port', `${port}`, '--x509cafile', issuer, '--insecure', '--save-ocsp', staple, 'localhost']
  const trust = await runWithoutInput('gnutls-cli', args, folder)
  let output = `${seen.output}\n${trust.output}`
  const verdict = statusSeen(seen)
  const saved = existsSync(staple) ? readFileSync(staple).length : 0
  if ((verdict === 'no staple') !== (saved === 0))
    throw new Error(`${verdict} for openssl, ${saved} octets for GnuTLS:\n${output}`)
  if (verdict === 'no staple' || verdict === 'refused') return { verdict, output }
  const judge = ['ocsp', '-respin', staple, '-issuer', issuer, '-cert', certificate, '-CAfile', issuer]
  const judged = await runWithoutInput('openssl', judge, folder)
  output += `\n${judged.output}`
  // GnuTLS has three words for a staple: invalid, revoked, and none for the rest.
  const isValid = !trust.output.includes('The received OCSP status response is invalid')
  const isRevoked = trust.output.includes('The certificate chain is revoked')
  if (!isValid && judged.output.includes('Response Verify Failure')) return { verdict: 'refused', output }
  if (
    !isValid ||
    isRevoked !== (verdict === 'revoked') ||
    !judged.output.includes('Response verify OK') ||
    !judged.output.includes(`: ${verdict}\n`)
  )
    throw new Error(`a staple that says ${verdict} is not what it was judged to be:\n${output}`)
  return { verdict, output }
}

function shakeHands({ issuer, folder }: MatrixCase, port: number): Promise<ProgramRun> {
  const args = ['-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', issuer, '-status']
  return runWithoutInput('openssl', ['s_client', ...args], folder)
}

/** @throws Error when there was no handshake, or no telling */
function statusSeen({ output }: ProgramRun): Verdict {
  if (output.includes('OCSP response: no response sent')) return 'no staple'
  const responseStatus = /OCSP Response Status: (\w+)/.exec(output)?.[1]
  if (responseStatus !== undefined && responseStatus !== 'successful') return 'refused'
  const status = /Cert Status: (\w+)/.exec(output)?.[1]
  const verdict = STATUSES.find((one) => one === status)
  if (verdict === undefined) throw new Error(`no handshake:\n${output}`)
  return verdict
}
