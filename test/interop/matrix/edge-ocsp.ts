/** `edge-ocsp query`, our own client. */
import { join } from 'node:path'
import { type ClientRun, runClient } from '../../support/clients.ts'
import { PROJECT_ROOT } from '../../support/server.ts'
import { agreed, type MatrixClient, printedVersion, TELLS_ALL, type Verdict } from './client.ts'

const PROGRAM = join(PROJECT_ROOT, 'bin/edge-ocsp.js')
/** Each method, hash and kind of question at least once with each other's kinds: starting node takes its time. */
const WAYS = [
  'GET sha256 --no-nonce',
  'POST sha1 --nonce',
  'GET sha1 --nonce',
  'POST sha256 --no-nonce',
] as const

export const EDGE_OCSP: MatrixClient = {
  title: 'edge-ocsp query',
  programs: [process.execPath],
  version: () => `edge-ocsp ${printedVersion(process.execPath, [PROGRAM, '--version'], /[\d.]+/)}`,
  async ask({ issuer, certificate, folder }) {
    const runs = WAYS.map(async (way) => {
      const [method = '', hash = '', nonce = ''] = way.split(' ')
      // Where to ask stands in the certificate.
      const args = ['query', certificate, '--issuer', issuer, '--method', method, '--hash', hash, nonce]
      return judged(way, await runClient(process.execPath, [PROGRAM, ...args], folder))
    })
    return agreed(await Promise.all(runs))
  },
  expected: TELLS_ALL,
  says: {
    revoked: /\(keyCompromise\)/,
    hold: /\(certificateHold\)/,
    'never (unauthorized)': /unauthorized \(6\)/,
  },
}

/** @throws Error when words and exit code do not go together */
function judged(way: string, { code, output }: ClientRun): { way: string; verdict: Verdict; output: string } {
  const status = /^Status: +(\w+)/m.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  if (status === 'unauthorized' && code === 1) return { way, verdict: 'refused', output }
  if (verdict === undefined || code !== (verdict === 'good' ? 0 : 1) || !output.includes(', verified'))
    throw new Error(`${way}: exit ${code}\n${output}`)
  return { way, verdict, output }
}
