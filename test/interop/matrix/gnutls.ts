/** ocsptool of GnuTLS. With --ask it asks by POST; what it makes with --generate-request travels by GET here. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ClientRun, getOCSP, runClient } from '../../support/clients.ts'
import {
  agreed,
  type MatrixCase,
  type MatrixClient,
  printedVersion,
  TELLS_ALL,
  type Verdict,
} from './client.ts'

export const GNUTLS: MatrixClient = {
  title: 'GnuTLS ocsptool',
  programs: ['ocsptool'],
  version: () => printedVersion('ocsptool', ['--version'], /^ocsptool [\d.]+/m),
  async ask(question) {
    const runs = []
    for (const nonce of ['--nonce', '--no-nonce']) {
      const run = await byPOST(question, nonce)
      // An error has no nonce; every answer to --ask --nonce must have one.
      if (nonce === '--nonce' && !isError(run) && !run.output.includes('Nonce: '))
        throw new Error(`no nonce:\n${run.output}`)
      runs.push(judged(`POST ${nonce}`, run))
    }
    return agreed([...runs, judged('GET', await byGET(question))])
  },
  expected: TELLS_ALL,
  // It does not print the reason.
  says: { revoked: /Revocation time: /, 'never (unauthorized)': /Response Status: unauthorized/ },
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
  if (isError(info)) return info
  const args = ['--verify-response', '--load-response', response, ...about(question)]
  return await runClient('ocsptool', [...args, '--load-signer', question.issuer], folder)
}

function isError({ output }: ClientRun): boolean {
  return /Response Status: (?!Successful)/.test(output)
}

/** @throws Error for anything but a verified status, or an error status */
function judged(way: string, run: ClientRun): { way: string; verdict: Verdict; output: string } {
  const { output } = run
  if (isError(run)) return { way, verdict: 'refused', output }
  const status = /Certificate Status: (\S+)/.exec(output)?.[1]
  const verdict = (['good', 'revoked', 'unknown'] as const).find((one) => one === status)
  if (verdict === undefined || !output.includes('Verifying OCSP Response: Success.'))
    throw new Error(`${way}:\n${output}`)
  return { way, verdict, output }
}
