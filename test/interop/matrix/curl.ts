/** curl, on both sides: it fetches the answer by GET and POST, and judges it as a staple (`--cert-status`). */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { agreed, type MatrixCase, type MatrixClient, printedVersion, type Run, TELLS_ALL } from './client.ts'
import { freePort, type ProgramRun, runWithoutInput, startTLSServer } from './tls-programs.ts'

export const CURL: MatrixClient = {
  title: 'curl --cert-status',
  programs: ['curl', 'openssl'],
  version: () => printedVersion('curl', ['--version'], /^curl [\d.]+/),
  ask,
  // It looks at the certificate before the staple, and goes no further with one that has expired.
  expected: { ...TELLS_ALL, expired: 'refused' },
  says: {
    good: /SSL certificate status: good \(0\)/,
    revoked: /SSL certificate revocation reason: keyCompromise \(1\)/,
    hold: /SSL certificate revocation reason: certificateHold \(6\)/,
    expired: /certificate has expired/,
    'never (unauthorized)': /Invalid OCSP response status: unauthorized \(6\)/,
    'never (unknown)': /SSL server certificate status verification FAILED/,
  },
  forged: { verdict: 'refused', says: /OCSP response verification failed/ },
}

/** CURLE_PEER_FAILED_VERIFICATION and CURLE_SSL_INVALIDCERTSTATUS. */
const NOT_VERIFIED = 60
const BAD_STATUS = 91

async function ask(question: MatrixCase): Promise<Omit<Run, 'way'>> {
  const { issuer, certificate, key, url } = question
  const folder = join(question.folder, 'curl')
  mkdirSync(folder, { recursive: true })
  const request = join(folder, 'request.der')
  const about = ['ocsp', '-issuer', issuer, '-cert', certificate, '-no_nonce', '-reqout', request]
  await runWithoutInput('openssl', about, folder)
  const path = encodeURIComponent(readFileSync(request).toString('base64'))
  const fetches = {
    GET: [url + path],
    POST: ['--data-binary', `@${request}`, '--header', 'Content-Type: application/ocsp-request', url],
  }
  const runs = []
  for (const [way, args] of Object.entries(fetches)) {
    const response = join(folder, `${way}.der`)
    writeFileSync(response, '')
    const fetched = await runWithoutInput('curl', ['-sS', '--fail', '-o', response, ...args], folder)
    if (fetched.code !== 0) throw new Error(`${way}: ${fetched.output}`)
    const port = await freePort()
    const server = await startTLSServer(
      'openssl',
      [
        ...['s_server', '-accept', `127.0.0.1:${port}`, '-cert', certificate, '-key', key],
        ...['-cert_chain', issuer, '-status_file', response, '-www'],
      ],
      port,
      folder,
    )
    try {
      const args = [
        '-sSv',
        '--cert-status',
        '--cacert',
        issuer,
        '-o',
        '/dev/null',
        `https://localhost:${port}/`,
      ]
      runs.push(judged(way, await runWithoutInput('curl', args, folder)))
    } finally {
      await server.stop()
    }
  }
  return agreed(runs)
}

/** @throws Error when exit code and words do not go together */
function judged(way: string, { code, output }: ProgramRun): Run {
  const status = /SSL certificate status: (\w+)/.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  if (verdict !== undefined && code === (verdict === 'good' ? 0 : BAD_STATUS)) return { way, verdict, output }
  if (verdict === undefined && (code === NOT_VERIFIED || code === BAD_STATUS))
    return { way, verdict: 'refused', output }
  throw new Error(`${way}: exit ${code}\n${output}`)
}
