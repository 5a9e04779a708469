/** Every option of an issuer's policy, against the real admin API: what is set, what is refused, and what is refused before. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at, NOW } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let pki: TestPKI
let clients: TestPKI
let server: AdminServer
let place: Workplace

const run = (line: string) => place.run(line.split(' '))
const policy = async () => at((await run('issuer show demo --json')).json(), 'policy')

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW, freshKeys: true })
  clients = await makeTestPKI({ now: NOW, caName: 'Clients CA', freshKeys: true })
  server = await adminServer()
  place = new Workplace(server.url)
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  place.writeCertificate('ocsp.pem', pki.responder.certificate ?? new Uint8Array())
  place.write('ocsp.key', formatPEM('PRIVATE KEY', pki.responder.pkcs8))
  place.writeCertificate('clients.pem', clients.issuer.certificate)
  const { certificate } = await clients.leaf({ commonName: 'client' })
  place.writeCertificate('client.pem', certificate)
})
afterAll(async () => {
  await server.close()
  place.close()
})

/** That exits 2 with this on stderr, and asks nobody. */
async function refusedAtOnce(line: string, message: RegExp): Promise<void> {
  const before = server.requests.length
  const { code, stderr } = await run(line)
  expect([line, code, stderr]).toEqual([line, 2, expect.stringMatching(message)])
  expect(server.requests).toHaveLength(before)
}

const ADD = 'issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key --name demo'

describe('issuer add', () => {
  test('refuses what contradicts itself before anything is sent (R8.3)', async () => {
    await refusedAtOnce(`${ADD} --signed-requests require`, /refuses every signature\n.*--requestor FILE/)
    await refusedAtOnce(
      `${ADD} --requestor client.pem`,
      /means nothing .* ignored\n.*--signed-requests verify/,
    )
    await refusedAtOnce(
      `${ADD} --signed-requests ignore --requestor client.pem`,
      /means nothing .* ignored\n.*--signed-requests verify/,
    )
    await refusedAtOnce(`${ADD} --profile public-trust --unknown revoked-extended`, /exclude each other/)
    const nine = Array.from({ length: 9 }, () => 'client.pem').join(' ')
    await refusedAtOnce(
      `${ADD} --signed-requests verify --requestor ${nine}`,
      /9 certificates, and 8 at most/,
    )
  })

  test('sets the whole policy', async () => {
    const line = `${ADD} --unknown revoked-extended --nonce rfc8954 --retain 10y --archive-cutoff issuer --signed-requests verify --requestor client.pem --requestor clients.pem`
    const { code, stdout, stderr } = await run(line)
    expect(code).toBe(0)
    expect(stderr).toMatch(/^warning: serials that are not recorded are answered revoked/m)
    expect(stdout).toMatch(/unknown serials: revoked-extended, nonce: rfc8954/)
    expect(stdout).toMatch(/^Kept after expiry: +10y\nArchive cutoff: +issuer\nSigned requests: +verify$/m)
    expect(stdout).toMatch(/^Requestors: +CN=client; O=Edge OCSP test, CN=Clients CA$/m)
    expect(await policy()).toMatchObject({
      unknown: 'revoked-extended',
      nonce: 'rfc8954',
      retainSeconds: 315_576_000,
      archiveCutoff: 'issuer',
      signedRequests: 'verify',
      requestors: [
        expect.stringContaining('CERTIFICATE'),
        formatPEM('CERTIFICATE', clients.issuer.certificate),
      ],
      algorithm: null,
    })
  })
})

describe('issuer set', () => {
  test('answers for serials that were not issued are chosen among four (R1.35, R1.36)', async () => {
    for (const unknown of ['unknown', 'unauthorized', 'revoked-extended']) {
      expect((await run(`issuer set demo --unknown ${unknown}`)).code).toBe(0)
      expect(await policy()).toMatchObject({ unknown, nonce: 'rfc8954', archiveCutoff: 'issuer' })
    }
  })

  test('public-trust and revoked-extended are refused together, whichever comes last (R1.37, R8.3)', async () => {
    const { code, stderr } = await run('issuer set demo --profile public-trust')
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/revoked-extended.*public-trust|public-trust.*revoked-extended/),
    ])
    expect((await run('issuer set demo --profile public-trust --unknown unauthorized')).code).toBe(0)
    expect((await run('issuer set demo --unknown revoked-extended')).code).toBe(1)
    expect((await run('issuer set demo --profile private')).code).toBe(0)
    expect(await policy()).toMatchObject({ profile: 'private', unknown: 'unauthorized' })
  })

  test('requestors are replaced as a whole, and stay where they are not named', async () => {
    expect((await run('issuer set demo --signed-requests require')).code).toBe(0)
    expect(at(await policy(), 'requestors.1')).toBeTypeOf('string')
    expect((await run('issuer set demo --requestor clients.pem')).code).toBe(0)
    expect(await policy()).toMatchObject({
      signedRequests: 'require',
      requestors: [formatPEM('CERTIFICATE', clients.issuer.certificate)],
    })
  })

  test('the list is not emptied while signatures are judged by it, and is with --signed-requests ignore (R8.3)', async () => {
    await refusedAtOnce('issuer set demo --signed-requests verify --no-requestors', /refuses every signature/)
    const { code, stderr } = await run('issuer set demo --no-requestors')
    expect([code, stderr]).toEqual([1, expect.stringMatching(/requestors/)])
    expect((await run('issuer set demo --signed-requests ignore --no-requestors')).code).toBe(0)
    expect(await policy()).toMatchObject({ signedRequests: 'ignore', requestors: [] })
    await refusedAtOnce('issuer set demo --requestor client.pem --no-requestors', /exclude each other/)
  })

  test('the algorithm of answers is one of the active responders, or that of the newest (R1.86)', async () => {
    expect((await run('issuer set demo --algorithm ECDSA-with-SHA256')).code).toBe(0)
    expect(await policy()).toMatchObject({ algorithm: 'ecdsa-with-SHA256' })
    expect((await run('issuer show demo')).stdout).toMatch(/^Algorithm: +ecdsa-with-SHA256$/m)
    expect((await run('issuer set demo --algorithm newest')).code).toBe(0)
    expect(await policy()).toMatchObject({ algorithm: null })
  })

  test('certificates are kept for a hundred years at most (R4.50)', async () => {
    expect((await run('issuer set demo --retain 100y')).code).toBe(0)
    expect(await policy()).toMatchObject({ retainSeconds: 3_155_760_000 })
    await refusedAtOnce('issuer set demo --retain 101y', /longer than 100 years/)
    await refusedAtOnce('issuer set demo --validity 11y', /longer than 10 years/)
  })
})
