/** Java's PKIX revocation checker, hard fail. Method GET is decided when its class is loaded: two machines, one for each. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { agreed, type MatrixClient, printedVersion, TELLS_ALL } from './client.ts'
import { LineProgram } from './line-program.ts'

/** Documented in Oracle's "Java PKI Programmer's Guide": false is POST for all, otherwise GET up to 255 octets. */
const USE_GET = 'com.sun.security.ocsp.useget'
let programs: readonly { readonly way: string; readonly program: LineProgram }[] = []

export const JAVA: MatrixClient = {
  title: 'Java PKIX',
  programs: ['java', 'javac'],
  version: () => `Java ${printedVersion('java', ['-version'], /version "([^"]+)"/)}`,
  async prepare(folder) {
    const source = join(import.meta.dirname, 'java/Ask.java')
    const compiled = spawnSync('javac', ['-d', folder, source], { encoding: 'utf8' })
    if (compiled.status !== 0) throw new Error(`javac: ${compiled.stderr}`)
    programs = ['true', 'false'].map((useGet) => ({
      way: useGet === 'true' ? 'GET' : 'POST',
      program: new LineProgram('java', [`-D${USE_GET}=${useGet}`, '-cp', folder, 'Ask']),
    }))
  },
  async ask(question) {
    if (programs.length === 0) throw new Error('not started')
    return agreed(
      await Promise.all(
        programs.map(async ({ way, program }) => ({ way, ...(await program.ask(question)) })),
      ),
    )
  },
  async stop() {
    await Promise.all(programs.map(({ program }) => program.stop()))
  },
  expected: TELLS_ALL,
  says: {
    revoked: /reason KEY_COMPROMISE/,
    hold: /reason CERTIFICATE_HOLD/,
    'never (unauthorized)': /UNAUTHORIZED/,
  },
}
