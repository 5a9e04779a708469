/** What is never taken back: `issuer compromise` and `issuer finalize`, and what follows from them, against the real admin API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at, NOW } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let pki: TestPKI
let ending: TestPKI
let server: AdminServer
let place: Workplace

const run = (line: string, input = '') => place.run(line.split(' '), { input })
const DAY = 86_400
const time = (seconds: number) => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`

async function addIssuers(where: Workplace): Promise<void> {
  for (const [name, { issuer, responder }] of Object.entries({ broken: pki, ending })) {
    where.writeCertificate(`${name}.pem`, issuer.certificate)
    where.writeCertificate(`${name}-ocsp.pem`, responder.certificate ?? new Uint8Array())
    where.write(`${name}-ocsp.key`, formatPEM('PRIVATE KEY', responder.pkcs8))
    const line = `issuer add --cert ${name}.pem --responder-cert ${name}-ocsp.pem --responder-key ${name}-ocsp.key --name ${name}`
    expect(await where.run(line.split(' '))).toMatchObject({ code: 0 })
  }
}

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW, freshKeys: true })
  ending = await makeTestPKI({ now: NOW, caName: 'Ending CA', freshKeys: true, caNotBefore: NOW - 30 * DAY })
  server = await adminServer()
  place = new Workplace(server.url)
  await addIssuers(place)
  place.writeCertificate('next.pem', await ending.responderCertificate({ notAfter: NOW + 180 * DAY }))
  expect(await run('cert add --serial 01 --not-after 2027-11-21 --issuer ending')).toMatchObject({ code: 0 })
  expect(await run('cert add --serial 02 --not-after 2027-11-21 --issuer ending')).toMatchObject({ code: 0 })
  expect(await run('revoke 02 --issuer ending --reason superseded')).toMatchObject({ code: 0 })
})
afterAll(async () => {
  await server.close()
  place.close()
})

describe('issuer compromise', () => {
  test('asks for --yes before anything is sent', async () => {
    const before = server.requests.length
    const { code, stderr } = await run('issuer compromise broken')
    expect([code, stderr]).toEqual([2, expect.stringMatching(/cannot be taken back\n.*--yes/)])
    expect(server.requests).toHaveLength(before)
  })

  test('is refused for a time in the future, and before the CA was', async () => {
    const future = await run(`issuer compromise broken --time ${time(NOW + 3600)} --yes`)
    expect([future.code, future.stderr]).toEqual([
      1,
      expect.stringMatching(/^edge-ocsp: time: 3600 s in the future\n/),
    ])
    const early = await run('issuer compromise broken --time 2001-01-01 --yes')
    expect([early.code, early.stderr]).toEqual([1, expect.stringMatching(/not older than/)])
    expect((await run('issuer show broken --json')).json()).toMatchObject({
      compromisedAt: null,
      finalAt: null,
    })
  })

  test('records since when, and says until when the world knows (R1.41)', async () => {
    const { code, stdout } = await run(`issuer compromise broken --time ${time(NOW - 3600)} --yes`)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^broken is compromised since 2026-11-21T02:00:30Z: every serial number is answered "revoked"\n[\s\S]*everywhere within 5m\n$/,
    )
  })

  test('an earlier time replaces it, a later one does not and says so', async () => {
    const later = await run('issuer compromise broken --yes --json')
    expect([later.code, at(later.json(), 'issuer.compromisedAt'), later.stderr]).toEqual([
      0,
      '2026-11-21T02:00:30Z',
      expect.stringMatching(/warning: .*an earlier time stays/),
    ])
    const earlier = await run(`issuer compromise broken.pem --time ${time(NOW - 7200)} --yes --json`)
    expect(at(earlier.json(), 'issuer.compromisedAt')).toBe('2026-11-21T01:00:30Z')
  })

  test('is shown by list, show and status', async () => {
    expect((await run('issuer list')).stdout).toMatch(/^broken +compromised /m)
    expect((await run('issuer show broken')).stdout).toMatch(
      /Issuer: +broken \(compromised\)\nCompromised: +since 2026-11-21T01:00:30Z: every serial is revoked/,
    )
    expect((await run('status')).stdout).toMatch(/^broken +compromised /m)
    expect(at((await run('status --json')).json(), 'issuers.0.compromisedAt')).toBe('2026-11-21T01:00:30Z')
  })
})

describe('issuer finalize', () => {
  test('asks for --yes before anything is sent', async () => {
    const before = server.requests.length
    expect(await run('issuer finalize ending')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/cannot be taken back\n.*--yes/),
    })
    expect(server.requests).toHaveLength(before)
  })

  test('is refused under public-trust (R4.52)', async () => {
    expect(await run('issuer set ending --profile public-trust')).toMatchObject({ code: 0 })
    const { code, stderr } = await run('issuer finalize ending --yes')
    expect([code, stderr]).toEqual([1, expect.stringMatching(/public-trust/)])
    expect(await run('issuer set ending --profile private')).toMatchObject({ code: 0 })
  })

  test('names the last step: to sign (R4.52)', async () => {
    const { code, stdout, stderr } = await run('issuer finalize ending --yes')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ending is final since 2026-11-21T03:00:30Z: its record stands still\n/)
    expect(stderr).toMatch(/presign --wait --issuer ending\n$/)
    expect((await run('status')).stdout).toMatch(/^ending +final /m)
    // A second time changes nothing and is no error.
    expect((await run('issuer finalize ending --yes')).code).toBe(0)
  })

  test.each([
    ['a certificate', 'cert add --serial 03 --not-after 2027-11-21 --issuer ending'],
    ['a reserved serial', 'cert reserve 04 --issuer ending'],
    ['a revocation', 'revoke 01 --issuer ending'],
    ['another policy', 'issuer set ending --unknown unknown'],
    ['another responder', 'responder add --issuer ending --cert next.pem --key ending-ocsp.key --name more'],
    ['a compromise', 'issuer compromise ending --yes'],
  ])('%s is refused after it, and the record stands still (R4.52)', async (_what, line) => {
    const record = async () => [
      (await run('issuer show ending --json')).stdout,
      (await run('cert show 01 --issuer ending --json')).stdout,
    ]
    const before = await record()
    const { code, stdout, stderr } = await run(line)
    expect([code, stdout + stderr]).toEqual([1, expect.stringMatching(/final/)])
    expect(await record()).toEqual(before)
  })

  test('an import says the same, dry or not: what is recorded is unchanged, the rest refused', async () => {
    const line = (type: string, serial: string) =>
      `${type}\t271121000000Z\t${type === 'R' ? '261121030000Z,superseded' : ''}\t${serial}\tunknown\t/\n`
    const index = line('V', '01') + line('R', '02') + line('V', '03') + line('R', '01')
    const dry = await run('import openssl-index - --issuer ending --dry-run --json', index)
    expect([dry.code, dry.json()]).toEqual([
      1,
      expect.objectContaining({ added: 0, changed: 0, unchanged: 2, refused: 2 }),
    ])
    const real = await run('import openssl-index - --issuer ending --json', index)
    expect([real.code, real.json()]).toEqual([
      1,
      expect.objectContaining({ added: 0, changed: 0, unchanged: 2, refused: 2 }),
    ])
    expect(dry.stderr).toMatch(/standard input:3: refused: .*final/)
    expect(real.stderr).toMatch(/standard input:3: refused: .*final/)
  })
})

describe('audit replay', () => {
  test('brings back a compromise, reserved serials, and an end, which comes last', async () => {
    for (const line of [
      'cert reserve 0a 0b 0c --issuer broken',
      'cert add --serial 0b --not-after 2027-11-21 --issuer broken --ca',
      'cert add --serial 0d --not-after 2027-11-21 --issuer broken --cert-hash sha1:000102030405060708090a0b0c0d0e0f10111213',
      'revoke 0c --issuer broken --reason keyCompromise --invalidity-date 2026-11-01 --crl-url http://crl.example/a.crl --crl-number 1f',
      'revoke 0d --issuer broken --reason certificateHold --invalidity-date 2026-11-01',
    ])
      expect(await run(line)).toMatchObject({ code: 0 })
    const exported = (await run('audit export')).stdout
    const restored = await adminServer()
    const elsewhere = new Workplace(restored.url)
    const there = (line: string, input = '') => elsewhere.run(line.split(' '), { input })
    try {
      await addIssuers(elsewhere)
      const first = await there('audit replay -', exported)
      expect([first.code, first.stdout]).toEqual([
        0,
        expect.stringMatching(
          /^replayed 5 certificates .*: 5 added, 0 changed, 0 unchanged, 0 refused, 0 bad lines\nissuers: 1 recorded as compromised, 1 made final\n$/,
        ),
      ])
      const list = (await there('issuer list --json')).json()
      expect([at(list, 'issuers.0.compromisedAt'), at(list, 'issuers.0.finalAt')]).toEqual([
        '2026-11-21T01:00:30Z',
        null,
      ])
      expect([at(list, 'issuers.1.compromisedAt'), at(list, 'issuers.1.finalAt')]).toEqual([
        null,
        '2026-11-21T03:00:30Z',
      ])
      const shown = async (serial: string) =>
        (await there(`cert show ${serial} --issuer broken --json`)).json()
      expect(await shown('0a')).toMatchObject({ status: 'reserved' })
      expect(await shown('0b')).toMatchObject({ status: 'good', ca: true, notAfter: '2027-11-21T00:00:00Z' })
      expect(await shown('0c')).toMatchObject({
        status: 'revoked',
        reason: 'keyCompromise',
        invalidityDate: '2026-11-01T00:00:00Z',
        crl: { url: 'http://crl.example/a.crl', number: '1f' },
      })
      expect(await shown('0d')).toMatchObject({
        status: 'hold',
        invalidityDate: '2026-11-01T00:00:00Z',
        certHash: { hash: 'sha1', value: '000102030405060708090a0b0c0d0e0f10111213' },
      })

      const again = await there('audit replay - --json', exported)
      expect([again.code, again.json()]).toEqual([
        0,
        expect.objectContaining({ unchanged: 5, refused: 0, compromised: 0, finalized: 0 }),
      ])
      // The record knows more than an old export: what was reserved or issued in it has been revoked since.
      expect(await there('revoke 0a --issuer broken')).toMatchObject({ code: 0 })
      expect(await there('revoke 0b --issuer broken --reason superseded')).toMatchObject({ code: 0 })
      expect((await there('audit replay - --json', exported)).json()).toMatchObject({
        changed: 0,
        unchanged: 5,
        refused: 0,
      })
    } finally {
      await restored.close()
      elsewhere.close()
    }
  })

  test('an end that is refused is told with the issuer and the remedy, exit 1', async () => {
    const restored = await adminServer()
    const elsewhere = new Workplace(restored.url)
    try {
      await addIssuers(elsewhere)
      const row = {
        id: 1,
        at: '2026-11-21T03:00:00Z',
        issuer: 1,
        action: 'issuer.finalized',
        serial: null,
        revision: 1,
        detail: { at: NOW },
        issuerName: 'ending',
      }
      expect(await elsewhere.run('issuer disable ending'.split(' '))).toMatchObject({ code: 0 })
      const input = `${JSON.stringify(row)}\n${JSON.stringify({ ...row, detail: {} })}\n`
      const { code, stdout, stderr } = await elsewhere.run(['audit', 'replay', '-'], { input })
      expect([code, stdout]).toEqual([1, expect.stringMatching(/1 refused, 1 bad lines/)])
      expect(stderr).toMatch(/standard input:2: issuer\.finalized without the time since when/)
      expect(stderr).toMatch(/^ending: issuer ending is disabled.*; enable it first/m)
    } finally {
      await restored.close()
      elsewhere.close()
    }
  })
})
