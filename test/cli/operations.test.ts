/** The commands of docs/operations.md, in the order of the page, against the real admin API: each does what stands beside it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basicConstraints } from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at, NOW } from '../http/admin-world.ts'
import { makeTestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
const SECTIONS = [
  'Serials reserved',
  'What responses can carry',
  'Signed requests',
  'A CA key is compromised',
  'The end of an issuer: final responses',
] as const

/** What is run in a section: lines of its ```sh blocks. */
function commandsOf(title: string): string[] {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? ''
  return [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block = '']) => block.trim().split('\n'))
    .map((line) => line.replace(/^npx edge-ocsp /, ''))
}

let server: AdminServer
let place: Workplace
const run = (line: string) => place.run(line.split(' '))
const shown = async (serial: string) => (await run(`cert show ${serial} --issuer my-ca --json`)).json()

beforeAll(async () => {
  const pki = await makeTestPKI({ now: NOW, freshKeys: true })
  const clients = await makeTestPKI({ now: NOW, caName: 'Clients CA', freshKeys: true })
  server = await adminServer()
  // Nothing is signed here: test/conformance/states.test.ts shows what is.
  server.intercept = (request) =>
    request.url.endsWith('/presign')
      ? Response.json({ built: 1, signatures: 1, failed: 0, remaining: 0 })
      : undefined
  place = new Workplace(server.url)
  const leaf = async (name: string, serial: number, ca = false) => {
    const extensions = [basicConstraints(ca)]
    const { certificate } = await pki.leaf({ serialNumber: Uint8Array.of(serial), extensions })
    place.writeCertificate(name, certificate)
  }
  await leaf('new.pem', 0x21)
  await leaf('cert.pem', 0x22)
  await leaf('sub-ca.pem', 0x23, true)
  place.writeCertificate('clients-ca.pem', clients.issuer.certificate)
  // One SCT of a version that nobody knows yet: its length is all that can be looked at.
  place.write('list.bin', Uint8Array.of(0, 3, 0, 1, 9))
  place.write('index.txt', 'R\t271121000000Z\t261120000000Z,superseded\t24\tunknown\t/\n')
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  place.writeCertificate('ocsp.pem', pki.responder.certificate ?? new Uint8Array())
  place.write('ocsp.key', formatPEM('PRIVATE KEY', pki.responder.pkcs8))
  const added = await run(
    'issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key --name my-ca',
  )
  expect(added.code).toBe(0)
})
afterAll(async () => {
  await server.close()
  place.close()
})

test.each(SECTIONS.flatMap((section) => commandsOf(section).map((line) => [section, line] as const)))(
  '%s: edge-ocsp %s',
  async (_section, line) => {
    const { code, stdout, stderr } = await run(line)
    // No cron job runs here, which status tells.
    expect([code, stdout + stderr]).toEqual([line === 'status' ? 1 : 0, expect.any(String)])
  },
)

test('every section has commands, and together they have led where the page says', async () => {
  for (const section of SECTIONS) expect([section, commandsOf(section).length > 1]).toEqual([section, true])
  expect(await shown('0a1b2c')).toMatchObject({ status: 'revoked', reason: 'cessationOfOperation' })
  expect(await shown('21')).toMatchObject({ status: 'good' })
  expect(await shown('22')).toMatchObject({
    status: 'revoked',
    certHash: { hash: 'sha256' },
    scts: 'AAMAAQk=',
    invalidityDate: '2026-11-01T00:00:00Z',
  })
  expect([at(await shown('23'), 'ca'), at(await shown('0a1b2d'), 'ca')]).toEqual([true, true])
  expect(await shown('24')).toMatchObject({ crl: { url: 'http://crl.example.com/ca.crl', number: '1f' } })
  expect((await run('issuer show my-ca --json')).json()).toMatchObject({
    compromisedAt: '2026-11-20T08:00:00Z',
    finalAt: '2026-11-21T03:00:30Z',
    policy: { signedRequests: 'ignore', requestors: [] },
  })
})
