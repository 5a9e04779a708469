/** The openssl program. It asks by POST alone: for a GET its question travels as the others send theirs, and it judges the answer. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClientRun, getOCSP, runClient } from '../../support/clients.ts'
import { agreed, type MatrixCase, type MatrixClient, printedVersion, type Run, TELLS_ALL } from './client.ts'

export const OPENSSL: MatrixClient = {
  title: 'openssl ocsp',
  programs: ['openssl'],
  version: () => printedVersion('openssl', ['version'], /^OpenSSL [\d.]+\S*/m),
  async ask(question) {
    const runs = []
    for (const hash of ['-sha1', '-sha256']) {
      for (const nonce of ['-nonce', '-no_nonce']) {
        runs.push(judged(`POST ${hash} ${nonce}`, await byPOST(question, hash, nonce)))
        runs.push(judged(`GET ${hash} ${nonce}`, await byGET(question, hash, nonce)))
      }
    }
    return agreed(runs)
  },
  expected: TELLS_ALL,
  says: {
    revoked: /Reason: keyCompromise/,
    hold: /Reason: certificateHold/,
    'never (unauthorized)': /Responder Error: unauthorized \(6\)/,
  },
  forged: { verdict: 'refused', says: /Response Verify Failure/ },
}

function about({ issuer, certificate }: MatrixCase, hash: string): readonly string[] {
  return ['ocsp', '-issuer', issuer, hash, '-cert', certificate]
}

function byPOST(question: MatrixCase, hash: string, nonce: string): Promise<ClientRun> {
  const { issuer, url, folder } = question
  return runClient('openssl', [...about(question, hash), nonce, '-CAfile', issuer, '-url', url], folder)
}

async function byGET(question: MatrixCase, hash: string, nonce: string): Promise<ClientRun> {
  const { issuer, url, folder } = question
  const request = join(folder, 'openssl-request.der')
  const response = join(folder, 'openssl-response.der')
  await runClient('openssl', [...about(question, hash), nonce, '-reqout', request], folder)
  writeFileSync(response, await getOCSP(url.slice(0, -1), readFileSync(request)))
  // -no_nonce: no other nonce than that of -reqin, which it compares.
  const judge = ['-reqin', request, '-no_nonce', '-respin', response, '-CAfile', issuer]
  return await runClient('openssl', [...about(question, hash), ...judge], folder)
}

/** Refused is anything but a verified status without warnings. */
function judged(way: string, { output }: ClientRun): Run {
  const status = /^\S+\.pem: (good|revoked|unknown)$/m.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  const isVerified = output.includes('Response verify OK') && !/WARNING|Nonce Verify error/.test(output)
  return { way, verdict: isVerified ? (verdict ?? 'refused') : 'refused', output }
}
