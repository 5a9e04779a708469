/**
 * A client that is a library: a small program around it stays alive and reads one question a line from its standard input,
 * `issuer TAB certificate TAB url TAB notAfter`. It answers with one line for each way of asking, `way TAB verdict TAB text`,
 * and an empty line at the end.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { agreed, type MatrixCase, type Run, type Verdict } from './client.ts'

const VERDICTS: readonly Verdict[] = ['good', 'revoked', 'unknown', 'refused']

export class LineProgram {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  readonly #ended: Promise<unknown>
  #errors = ''

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.#child = spawn(program, args, { env: { ...process.env, ...env }, stdio: 'pipe' })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    this.#child.stdin.on('error', (error) => {
      this.#errors += `${error.message}\n`
    })
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** One question at a time. @throws Error when the ways disagree, or when the program ends */
  async ask(
    question: Pick<MatrixCase, 'issuer' | 'certificate' | 'url' | 'notAfter'>,
  ): Promise<{ readonly verdict: Verdict; readonly output: string; readonly runs: readonly Run[] }> {
    const { issuer, certificate, url, notAfter } = question
    this.#child.stdin.write(`${[issuer, certificate, url, notAfter].join('\t')}\n`)
    const runs: Run[] = []
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done === true) throw new Error(`ended early:\n${this.#errors}`)
      if (value === '') return { ...agreed(runs), runs }
      const [way = '', said = '', output = ''] = value.split('\t')
      const verdict = VERDICTS.find((one) => one === said)
      if (verdict === undefined) throw new Error(`not a verdict: ${value}\n${this.#errors}`)
      runs.push({ way, verdict, output })
    }
  }

  /** Ends its input, and waits for its end. */
  async stop(): Promise<void> {
    this.#child.stdin.end()
    await this.#ended
  }
}
