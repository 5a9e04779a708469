/** ocsptool of GnuTLS. With --ask it asks by POST; what it makes with --generate-request travels by GET here. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClientRun, getOCSP, runClient } from '../../support/clients.ts'
import { agreed, type MatrixCase, type MatrixClient, printedVersion, type Run, TELLS_ALL } from './client.ts'

export const GNUTLS: MatrixClient = {
  title: 'GnuTLS ocsptool',
  programs: ['ocsptool'],
  version: () => printedVersion('ocsptool', ['--version'], /^ocsptool [\d.]+/m),
  async ask(question) {
    const runs = []
    for (const nonce of ['--nonce', '--no-nonce']) {
      const run = judged(`POST ${nonce}`, await byPOST(question, nonce))
      // It prints the nonce that it compared with its own; an error has none.
      const isMissing = nonce === '--nonce' && !/\sNonce: \w/.test(run.output)
      runs.push(isMissing ? { ...run, verdict: 'refused' as const } : run)
    }
    runs.push(judged('GET', await byGET(question)))
    return agreed(runs)
  },
  expected: TELLS_ALL,
  // It does not print the reason.
  says: { revoked: /Revocation time: /, 'never (unauthorized)': /Response Status: unauthorized/ },
  forged: { verdict: 'refused', says: /Verifying OCSP Response: Failure, / },
}

function about({ issuer, certificate }: MatrixCase): readonly string[] {
  return ['--load-issuer', issuer, '--load-cert', certificate]
}

function byPOST(question: MatrixCase, nonce: string): Promise<ClientRun> {
  const { url, folder } = question
  const args = [`--ask=${url}`, ...about(question), nonce, '--outfile', join(folder, 'ocsptool-asked.der')]
  return runClient('ocsptool', args, folder)
}

async function byGET(question: MatrixCase): Promise<ClientRun> {
  const { url, folder } = question
  const request = join(folder, 'ocsptool-request.der')
  const response = join(folder, 'ocsptool-response.der')
  await runClient('ocsptool', ['--generate-request', ...about(question), '--outfile', request], folder)
  writeFileSync(response, await getOCSP(url.slice(0, -1), readFileSync(request)))
  const info = await runClient('ocsptool', ['--response-info', '--load-response', response], folder)
  if (!info.output.includes('Response Status: Successful')) return info
  const args = ['--verify-response', '--load-response', response, ...about(question)]
  return await runClient('ocsptool', [...args, '--load-signer', question.issuer], folder)
}

/** Refused is anything but a verified status. */
function judged(way: string, { output }: ClientRun): Run {
  const status = /Certificate Status: (\S+)/.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  const isVerified = output.includes('Verifying OCSP Response: Success.')
  return { way, verdict: isVerified && verdict !== undefined ? verdict : 'refused', output }
}
