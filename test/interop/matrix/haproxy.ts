/** HAProxy that staples what was fetched for it: a .ocsp file beside the certificate, and an update while it runs. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type MatrixCase, type MatrixClient, printedVersion, TELLS_ALL } from './client.ts'
import { documented } from './tls-pages.ts'
import { freePort, runWithoutInput, startTLSServer } from './tls-programs.ts'
import { readStaple, STAPLE_READERS, type StapleRead } from './tls-staple.ts'

const PROGRAM = '/usr/sbin/haproxy'

/**
 * ssl_sock_load_ocsp_response takes good and revoked, for exactly this CertID (SHA-1) and with at least 300 s left. Anything else
 * "will be ignored", as it warns at the start: then there is no staple, and no update while it runs can bring one.
 */
export const HAPROXY: MatrixClient = {
  title: 'HAProxy .ocsp file',
  programs: [PROGRAM, ...STAPLE_READERS],
  version: () => printedVersion(PROGRAM, ['-v'], /HAProxy version ([\d.]+)/).replace(/^/, 'HAProxy '),
  ask,
  expected: { ...TELLS_ALL, 'never (unauthorized)': 'no staple', 'never (unknown)': 'no staple' },
  says: {
    good: /OCSP Response updated!/,
    revoked: /OCSP Response updated!/,
    hold: /OCSP Response updated!/,
    expired: /OCSP Response updated!/,
    'never (unauthorized)': /OCSP response status not successful\. Content will be ignored/,
    'never (unknown)': /OCSP single response: certificate status is unknown\. Content will be ignored/,
  },
  // It does not look at signatures either; the script does, so that this would not come to be stapled.
  forged: { verdict: 'refused', says: /not put in place[\s\S]*Response Verify Failure/ },
}

async function ask(question: MatrixCase): Promise<StapleRead> {
  const folder = join(question.folder, 'haproxy')
  mkdirSync(folder, { recursive: true })
  const site = join(folder, 'site.pem')
  const text = (path: string) => readFileSync(path, 'utf8')
  const parts = [question.certificate, question.issuer, question.key]
  writeFileSync(site, parts.map(text).join(''), { mode: 0o600 })
  writeFileSync(`${site}.issuer`, text(question.issuer))
  rmSync(`${site}.ocsp`, { force: true })
  const fetched = await fetchOCSP(question, folder)
  // The script keeps what is no answer away from HAProxy; here it must see it for itself.
  const isPut = fetched.code === 0
  if (!isPut) writeFileSync(`${site}.ocsp`, readFileSync(`${site}.ocsp.new`))

  const port = await freePort()
  const socket = join(folder, 'admin.sock')
  const configuration = join(folder, 'haproxy.cfg')
  const places = { '/run/haproxy/admin.sock': socket, 'bind :443': `bind 127.0.0.1:${port}` }
  writeFileSync(configuration, documented('HAProxy', 'haproxy', { ...places, '/etc/haproxy/site.pem': site }))
  const haproxy = await startTLSServer(PROGRAM, ['-db', '-f', configuration], port, folder)
  try {
    const atStart = await readStaple(question, port)
    await fetchOCSP(question, folder)
    const response = readFileSync(`${site}.ocsp`).toString('base64')
    const said = await command(socket, `set ssl ocsp-response ${response}`)
    const updated = await readStaple(question, port)
    if (updated.verdict !== atStart.verdict)
      throw new Error(`${atStart.verdict} from the file, ${updated.verdict} when updated:\n${updated.output}`)
    return {
      verdict: updated.verdict,
      output: [isPut ? 'put in place' : 'not put in place', updated.output, said, haproxy.output()].join(
        '\n',
      ),
    }
  } finally {
    await haproxy.stop()
  }
}

/** The documented script, which fetches by POST and puts the answer in place only if it is one for HAProxy. */
function fetchOCSP({ url }: MatrixCase, folder: string): Promise<{ code: number | null; output: string }> {
  const script = documented('HAProxy', 'sh', { '/etc/haproxy': folder, 'http://ocsp.example.com/': url })
  return runWithoutInput('sh', ['-c', script], folder)
}

/** One command to the administration socket. @returns what it answers */
function command(socket: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket, () => connection.write(`${line}\n`))
    let answer = ''
    connection.on('data', (chunk) => {
      answer += chunk.toString()
    })
    connection.once('error', reject)
    connection.once('close', () => resolve(answer))
  })
}
