/** What is recorded of certificates beside their status, from files and options, against the real admin API. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basicConstraints, type CertificateExtension } from '../../src/cli/dev/issue-certificate.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { at, NOW } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let pki: TestPKI
let server: AdminServer
let place: Workplace

const run = (line: string, input = '') => place.run(line.split(' '), { input })
const shown = async (serial: string, issuer = 'demo') =>
  (await run(`cert show ${serial} --issuer ${issuer} --json`)).json()
const POISON: CertificateExtension = {
  extnID: '1.3.6.1.4.1.11129.2.4.3',
  critical: true,
  value: Uint8Array.of(5, 0),
}
/** One SCT of version 1 with an empty signature. */
const SCT = Uint8Array.from([0, 47, 0, ...Array(32).fill(7), ...Array(8).fill(1), 0, 0, 4, 3, 0, 0])
const SCTS = Uint8Array.from([0, SCT.length, ...SCT])

async function write(
  name: string,
  serial: number,
  ...extensions: CertificateExtension[]
): Promise<Uint8Array> {
  const { certificate } = await pki.leaf({
    serialNumber: Uint8Array.of(serial),
    extensions,
    commonName: name,
  })
  place.writeCertificate(`${name}.pem`, certificate)
  return certificate
}

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW })
  server = await adminServer()
  place = new Workplace(server.url)
  const certificate = formatPEM('CERTIFICATE', pki.issuer.certificate)
  expect((await server.world.call('POST', '/issuers', { certificate, name: 'demo' })).status).toBe(201)
  await write('leaf', 0x10, basicConstraints(false))
  await write('subca', 0x11, basicConstraints(true, 0))
  await write('old-ca', 0x12)
  await write('precert', 0x13, POISON)
})
afterAll(async () => {
  await server.close()
  place.close()
})

describe('cert reserve (R1.42)', () => {
  test('records serials once, named twice or not, and is safe to repeat', async () => {
    const { code, stdout } = await run('cert reserve 0a1b 0A:1C 0x0a1b')
    expect([code, stdout]).toEqual([0, '0a1b  added\n0a1c  added\n'])
    expect((await run('cert reserve 2588 --decimal --issuer demo')).stdout).toBe('0a1c  unchanged\n')
    expect((await run('cert show 0a1b')).stdout).toMatch(/Status: +reserved \(answered tryLater\)/)
  })

  test('a serial that is recorded is refused, exit 1', async () => {
    expect((await run('cert add --serial 0a1d --not-after 2027-11-21')).code).toBe(0)
    const { code, stdout } = await run('cert reserve 0a1d 0a1e')
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^0a1d {2}refused: is recorded already.*\n0a1e {2}added\n$/),
    ])
    expect(at(await shown('0a1d'), 'status')).toBe('good')
  })

  test('is resolved by cert add, by revoke, and by an import', async () => {
    expect((await run('cert add --serial 0a1b --not-after 2027-11-21')).stdout).toBe('0a1b  changed\n')
    expect((await run('revoke 0a1c --reason superseded')).code).toBe(0)
    const index = 'V\t271121000000Z\t\t0A1E\tunknown\t/\n'
    const dry = await run('import openssl-index - --issuer demo --dry-run --json', index)
    expect(dry.json()).toMatchObject({ added: 0, changed: 1 })
    const added = await run('import openssl-index - --issuer demo --add-only --json', index)
    expect(added.json()).toMatchObject({ added: 0, changed: 1, kept: 0 })
    expect([
      at(await shown('0a1b'), 'status'),
      at(await shown('0a1c'), 'status'),
      at(await shown('0a1e'), 'status'),
    ]).toEqual(['good', 'revoked', 'good'])
  })

  test('--add-only brings in a revocation of what was only reserved, and dry runs say so', async () => {
    expect((await run('cert reserve 0a1f')).code).toBe(0)
    const index = 'R\t271121000000Z\t261120000000Z,superseded\t0A1F\tunknown\t/\n'
    for (const [option, changed] of [
      ['--dry-run', 1],
      ['--json', 1],
      ['--json', 0],
    ] as const) {
      const { json } = await run(`import openssl-index - --issuer demo --add-only --json ${option}`, index)
      expect([option, json()]).toEqual([option, expect.objectContaining({ changed, kept: 1 - changed })])
    }
    expect(at(await shown('0a1f'), 'status')).toBe('revoked')
  })
})

describe('certificates of CAs (R4.21)', () => {
  test('are known by their basicConstraints', async () => {
    expect((await run('cert add leaf.pem subca.pem')).stdout).toBe('10  added\n11  added\n')
    expect([at(await shown('10'), 'ca'), at(await shown('11'), 'ca')]).toEqual([undefined, true])
    expect((await run('cert show 11')).stdout).toMatch(/^CA: +yes$/m)
  })

  test('without basicConstraints only when --ca says so; a leaf is none, whatever is said', async () => {
    expect((await run('cert add old-ca.pem --ca')).code).toBe(0)
    expect(at(await shown('12'), 'ca')).toBe(true)
    const before = server.requests.length
    const { code, stderr } = await run('cert add subca.pem leaf.pem --ca')
    expect([code, stderr]).toEqual([2, expect.stringMatching(/leaf\.pem: .*is not the certificate of a CA/)])
    expect(server.requests).toHaveLength(before)
  })

  test('one that was recorded without saying so is filled in', async () => {
    expect((await run('cert add --serial 1f --not-after 2027-11-21 --issuer demo')).stdout).toBe(
      '1f  added\n',
    )
    expect((await run('cert add --serial 1f --not-after 2027-11-21 --ca --issuer demo')).stdout).toBe(
      '1f  changed\n',
    )
  })

  test('are not revoked without a reason under public-trust, by serial or by a file that nobody recorded as such', async () => {
    expect((await run('issuer set demo --profile public-trust')).code).toBe(0)
    try {
      const { serial, notAfter } = { serial: '14', notAfter: '2027-02-19T03:00:30Z' }
      await write('unmarked', 0x14, basicConstraints(true))
      expect((await run(`cert add --serial ${serial} --not-after ${notAfter} --issuer demo`)).code).toBe(0)
      const bySerial = await run('revoke 11 --issuer demo')
      expect([bySerial.code, bySerial.stderr]).toEqual([1, expect.stringMatching(/needs a reason/)])
      const byFile = await run('revoke unmarked.pem')
      expect([byFile.code, byFile.stderr]).toEqual([
        1,
        expect.stringMatching(/unmarked\.pem: .*is the certificate of a CA: .*needs a reason\n.*--reason/),
      ])
      expect([at(await shown('11'), 'status'), at(await shown('14'), 'status')]).toEqual(['good', 'good'])
      expect((await run('revoke unmarked.pem --reason cessationOfOperation')).code).toBe(0)
    } finally {
      expect((await run('issuer set demo --profile private')).code).toBe(0)
    }
    expect((await run('revoke subca.pem')).code).toBe(0)
  })
})

describe('cert add --cert-hash (R4.53)', () => {
  test('is computed over the whole certificate, SHA-256 unless another is named', async () => {
    const certificate = await write('hashed', 0x20)
    const hash = (name: string) => createHash(name).update(certificate).digest('hex')
    expect((await run('cert add hashed.pem --cert-hash')).stdout).toBe('20  added\n')
    expect(at(await shown('20'), 'certHash')).toEqual({ hash: 'sha256', value: hash('sha256') })
    expect((await run('cert add hashed.pem --cert-hash')).stdout).toBe('20  unchanged\n')
    expect((await run('cert add hashed.pem --cert-hash SHA-512')).stdout).toBe('20  changed\n')
    expect((await run('cert show 20')).stdout).toMatch(`Certificate hash: sha512:${hash('sha512')}`)
  })

  test('is given by hand where there is no file, and only there', async () => {
    const value = `${'AB:'.repeat(19)}ab`
    const line = `cert add --serial 21 --not-after 2027-11-21 --issuer demo --cert-hash sha1:${value}`
    expect((await run(line)).code).toBe(0)
    expect(at(await shown('21'), 'certHash')).toEqual({ hash: 'sha1', value: 'ab'.repeat(20) })
    const before = server.requests.length
    const { code, stderr } = await run(`cert add hashed.pem --cert-hash sha1:${value}`)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/computed, not given/)])
    expect(server.requests).toHaveLength(before)
  })

  test('of a precertificate is refused: it is not that of the certificate', async () => {
    const { code, stderr } = await run('cert add precert.pem --cert-hash')
    expect([code, stderr]).toEqual([2, expect.stringMatching(/precert\.pem: a precertificate/)])
  })
})

describe('cert add --scts', () => {
  test('takes the list in octets or in base64', async () => {
    await write('logged', 0x30)
    place.write('list.bin', SCTS)
    place.write('list.b64', `${Buffer.from(SCTS).toString('base64')}\n`)
    expect((await run('cert add logged.pem --scts list.bin')).stdout).toBe('30  added\n')
    expect(at(await shown('30'), 'scts')).toBe(Buffer.from(SCTS).toString('base64'))
    expect((await run('cert add logged.pem --scts list.b64')).stdout).toBe('30  unchanged\n')
    expect((await run('cert show 30')).stdout).toMatch(/^SCTs: +51 octets$/m)
  })

  test('of more than one certificate, or a list that is none, is refused', async () => {
    const before = server.requests.length
    const two = await run('cert add logged.pem leaf.pem --scts list.bin')
    expect([two.code, two.stderr]).toEqual([2, expect.stringMatching(/one certificate, and there are 2/)])
    place.write('cut.bin', SCTS.subarray(0, -1))
    expect((await run('cert add logged.pem --scts cut.bin')).code).toBe(2)
    expect(server.requests).toHaveLength(before)
    // An SCT that ends too soon inside a list of the right length is for the responder to find.
    place.write('broken.bin', Uint8Array.of(0, 3, 0, 9, 0))
    const broken = await run('cert add logged.pem --scts broken.bin')
    expect([broken.code, broken.stdout + broken.stderr]).toEqual([
      1,
      expect.stringMatching(/SCT 1 ends too soon/),
    ])
  })
})

describe('revoke', () => {
  test('records since when a certificate is invalid, and the CRL that has it (R1.81, R1.84)', async () => {
    await write('gone', 0x40)
    expect((await run('cert add gone.pem')).code).toBe(0)
    const line =
      'revoke gone.pem --reason keyCompromise --invalidity-date 2026-11-01T10:00:00+01:00 --crl-url http://crl.example/ca.crl --crl-number 0x01:FF --crl-time 2026-11-21T03:00:00Z'
    expect((await run(line)).code).toBe(0)
    expect(await shown('40')).toMatchObject({
      status: 'revoked',
      invalidityDate: '2026-11-01T09:00:00Z',
      crl: { url: 'http://crl.example/ca.crl', number: '01ff', time: '2026-11-21T03:00:00Z' },
    })
    expect((await run('cert show 40')).stdout).toMatch(
      /Invalid since: +2026-11-01T09:00:00Z\nCRL: +http:\/\/crl\.example\/ca\.crl, number 01ff, 2026-11-21T03:00:00Z/,
    )
    expect((await run(line)).stdout).toMatch(/already \(nothing changed\)/)
  })

  test('an import names the CRL of revoked and held rows when it is told to, and never of others', async () => {
    const index =
      'V\t271121000000Z\t\t50\tunknown\t/\n' +
      'R\t271121000000Z\t261120000000Z,keyTime,20261101000000Z\t51\tunknown\t/\n' +
      'R\t271121000000Z\t261120000000Z,certificateHold\t52\tunknown\t/\n'
    const line = 'import openssl-index - --issuer demo --json'
    expect((await run(line, index)).json()).toMatchObject({ added: 3 })
    expect([at(await shown('51'), 'invalidityDate'), at(await shown('51'), 'crl')]).toEqual([
      '2026-11-01T00:00:00Z',
      undefined,
    ])
    const named = `${line} --crl-url http://crl.example/ca.crl --crl-number 07`
    expect((await run(`${named} --dry-run`, index)).json()).toMatchObject({ changed: 2, unchanged: 1 })
    expect((await run(named, index)).json()).toMatchObject({ changed: 2, unchanged: 1 })
    expect((await run(`${named} --dry-run`, index)).json()).toMatchObject({ changed: 0, unchanged: 3 })
    const crl = { url: 'http://crl.example/ca.crl', number: '07' }
    expect([
      at(await shown('50'), 'crl'),
      at(await shown('51'), 'crl'),
      at(await shown('52'), 'crl'),
    ]).toEqual([undefined, crl, crl])
  })

  test('an import with the longest address of a CRL stays below the bound of a call', async () => {
    const rows = Array.from(
      { length: 1200 },
      (_, n) => `R\t271121000000Z\t261120000000Z\t${(0x6000 + n).toString(16).toUpperCase()}\tunknown\t/\n`,
    )
    const url = `http://crl.example/${'a'.repeat(981)}`
    const { code, json } = await run(
      `import openssl-index - --issuer demo --json --crl-url ${url}`,
      rows.join(''),
    )
    expect([code, json()]).toEqual([0, expect.objectContaining({ added: 1200, refused: 0 })])
  })
})
