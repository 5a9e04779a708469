/** Go's golang.org/x/crypto/ocsp, as distributions package it: source below /usr/share/gocode, built without a network. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type MatrixClient, printedVersion, TELLS_ALL } from './client.ts'
import { LineProgram } from './line-program.ts'

const SOURCES = '/usr/share/gocode'
const PACKAGE = 'src/golang.org/x/crypto/ocsp'
let program: LineProgram | undefined

export const GO: MatrixClient = {
  title: 'Go x/crypto/ocsp',
  programs: ['go'],
  version() {
    if (!existsSync(join(SOURCES, PACKAGE))) throw new Error(`no ${PACKAGE} below ${SOURCES}`)
    const { stdout } = spawnSync('dpkg-query', ['-W', `-f=\${Version}`, 'golang-golang-x-crypto-dev'], {
      encoding: 'utf8',
    })
    const release = /(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1]
    const go = printedVersion('go', ['version'], /go version go(\S+)/)
    return `Go ${go} with x/crypto${release === undefined ? '' : ` ${release}`}`
  },
  async prepare(folder) {
    const binary = join(folder, 'ask')
    const env = {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH: SOURCES,
      GOFLAGS: '',
      GOCACHE: join(folder, 'cache'),
    }
    const source = join(import.meta.dirname, 'go/ask.go')
    const built = spawnSync('go', ['build', '-o', binary, source], { encoding: 'utf8', env })
    if (built.status !== 0) throw new Error(`go build: ${built.stderr}`)
    program = new LineProgram(binary, [])
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
  forged: { verdict: 'refused', says: /bad OCSP signature/ },
}
