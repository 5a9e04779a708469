/** `query` asks the responder of openssl: another implementation of the other side. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { OPENSSL_VERSION, OpenSSL } from '../support/openssl.ts'
import { runProgram } from './support.ts'

test.skipIf(OPENSSL_VERSION === undefined)(
  'understands the responder of openssl',
  { timeout: 60_000 },
  async () => {
    const openssl = new OpenSSL()
    let responder: ChildProcess | undefined
    try {
      const ok = (...args: readonly string[]) => expect(openssl.run(...args)).toMatchObject({ status: 0 })
      ok(
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        'ca.key',
        '-out',
        'ca.pem',
        '-subj',
        '/CN=CA',
        '-days',
        '30',
      )
      openssl.write(
        'index.txt',
        'V\t491231235959Z\t\t01\tunknown\t/CN=a\nR\t491231235959Z\t260102030405Z,superseded\t02\tunknown\t/CN=b\n',
      )
      const port = await freePort()
      responder = spawn(
        'openssl',
        [
          'ocsp',
          '-index',
          'index.txt',
          '-CA',
          'ca.pem',
          '-rsigner',
          'ca.pem',
          '-rkey',
          'ca.key',
          '-port',
          String(port),
          '-ndays',
          '1',
        ],
        { cwd: openssl.folder, stdio: 'ignore' },
      )
      const ask = (serial: string, ...more: readonly string[]) =>
        runProgram([
          'query',
          '--serial',
          serial,
          '--issuer',
          `${openssl.folder}/ca.pem`,
          '--url',
          `http://127.0.0.1:${port}`,
          ...more,
        ])
      await expect.poll(async () => (await ask('01', '--hash', 'sha1')).code, { timeout: 20_000 }).toBe(0)
      expect(await ask('02', '--method', 'POST', '--nonce')).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/revoked \(superseded\) at 2026-01-02T03:04:05Z[\s\S]*Nonce: +echoed/),
      })
      expect(await ask('03')).toMatchObject({ code: 1, stdout: expect.stringMatching(/Status: +unknown/) })
    } finally {
      responder?.kill('SIGKILL')
      openssl.close()
    }
  },
)

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
