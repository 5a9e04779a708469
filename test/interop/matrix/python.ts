/** Python's cryptography, x509.ocsp. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type MatrixClient, printedVersion, TELLS_ALL } from './client.ts'
import { LineProgram } from './line-program.ts'

/** The system's own first: another python3 in the PATH need not have the library. */
const CANDIDATES = ['/usr/bin/python3', 'python3'] as const
const python = CANDIDATES.find(
  (program) => spawnSync(program, ['-c', 'import cryptography.x509.ocsp']).status === 0,
)
let program: LineProgram | undefined

export const PYTHON: MatrixClient = {
  title: 'Python cryptography',
  programs: [python ?? 'python3'],
  version() {
    if (python === undefined) throw new Error('python3 has no cryptography')
    return printedVersion(
      python,
      ['-c', 'import cryptography; print("cryptography", cryptography.__version__)'],
      /.+/,
    )
  },
  async prepare() {
    program = new LineProgram(python ?? 'python3', [join(import.meta.dirname, 'python/ask.py')])
  },
  async ask(question) {
    if (program === undefined) throw new Error('not started')
    return await program.ask(question)
  },
  async stop() {
    await program?.stop()
  },
  expected: TELLS_ALL,
  says: {
    revoked: /reason keyCompromise/,
    hold: /reason certificateHold/,
    'never (unauthorized)': /UNAUTHORIZED/,
  },
  forged: { verdict: 'refused', says: /InvalidSignature/ },
}
