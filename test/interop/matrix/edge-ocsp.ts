/** `edge-ocsp query`, our own client. */
import { join } from 'node:path'
import { type ClientRun, runClient } from '../../support/clients.ts'
import { PROJECT_ROOT } from '../../support/server.ts'
import { agreed, type MatrixClient, printedVersion, type Run, TELLS_ALL } from './client.ts'

const PROGRAM = join(PROJECT_ROOT, 'bin/edge-ocsp.js')
/** Each method, hash and kind of question: all of their pairs have tests of their own, and starting node takes its time. */
const WAYS = ['GET sha256 --no-nonce', 'POST sha1 --nonce'] as const

export const EDGE_OCSP: MatrixClient = {
  title: 'edge-ocsp query',
  programs: [process.execPath],
  version: () => `edge-ocsp ${printedVersion(process.execPath, [PROGRAM, '--version'], /\d+(?:\.\d+)+/)}`,
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
    'never (unauthorized)': /unauthorized \(6\)[\s\S]*exit 1$/m,
  },
  forged: { verdict: 'refused', says: /cannot be believed: / },
}

/** Refused is anything but a verified status with the exit code that goes with it. */
function judged(way: string, { code, output }: ClientRun): Run {
  const status = /^Status: +(\w+)/m.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  const isVerified = output.includes(', verified') && code === (verdict === 'good' ? 0 : 1)
  return {
    way,
    verdict: isVerified && verdict !== undefined ? verdict : 'refused',
    output: `${output}exit ${code}\n`,
  }
}
