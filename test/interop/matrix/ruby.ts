/** OpenSSL::OCSP of Ruby's standard library. */
import { join } from 'node:path'
import { type MatrixClient, printedVersion, TELLS_ALL } from './client.ts'
import { LineProgram } from './line-program.ts'

let program: LineProgram | undefined

export const RUBY: MatrixClient = {
  title: 'Ruby openssl',
  programs: ['ruby'],
  version: () =>
    printedVersion(
      'ruby',
      ['-ropenssl', '-e', 'puts "Ruby #{RUBY_VERSION} with openssl #{OpenSSL::VERSION}"'],
      /.+/,
    ),
  async prepare() {
    program = new LineProgram('ruby', [join(import.meta.dirname, 'ruby/ask.rb')])
  },
  async ask(question) {
    if (program === undefined) throw new Error('not started')
    return await program.ask(question)
  },
  async stop() {
    await program?.stop()
  },
  expected: TELLS_ALL,
  // 1: keyCompromise, 6: certificateHold.
  says: { revoked: /reason 1$/m, hold: /reason 6$/m, 'never (unauthorized)': /unauthorized/ },
  forged: { verdict: 'refused', says: /not verified/ },
}
