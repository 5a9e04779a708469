/** Commands that talk to the admin API, against the real one: what they print, what they change, how they exit. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { formatPEM } from '../../src/pkix/pem.ts'
import { NOW } from '../http/admin-world.ts'
import { hex, makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type AdminServer, adminServer, Workplace } from './support.ts'

let pki: TestPKI
let other: TestPKI
let server: AdminServer
let place: Workplace

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW, freshKeys: true })
  other = await makeTestPKI({ now: NOW, caName: 'Other CA', freshKeys: true })
  server = await adminServer()
  place = new Workplace(server.url)
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  place.write('issuer.der', pki.issuer.certificate)
  place.writeCertificate('other.pem', other.issuer.certificate)
  place.writeCertificate('ocsp.pem', pki.responder.certificate ?? new Uint8Array())
  place.write('ocsp.key', formatPEM('PRIVATE KEY', pki.responder.pkcs8))
  place.write('other.key', formatPEM('PRIVATE KEY', other.responder.pkcs8))
  place.write('ca.key', formatPEM('PRIVATE KEY', pki.issuer.pkcs8))
})
afterAll(async () => {
  await server.close()
  place.close()
})
afterEach(() => {
  server.intercept = undefined
})

const run = (line: string) => place.run(line.split(' '))
const failing = (status: number, body: unknown) => () => Response.json(body, { status })

describe('issuers and responders', () => {
  test('a key of another certificate is refused before anything is sent', async () => {
    const before = server.requests.length
    const { code, stderr } = await run(
      'issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key other.key',
    )
    expect(code).toBe(1)
    expect(stderr).toMatch(/other\.key is not the private key of ocsp\.pem \(.*Test OCSP Responder/)
    expect(server.requests).toHaveLength(before)
  })

  test('a responder of another CA is refused with the reason, and nothing is recorded', async () => {
    const { code, stdout, stderr } = await run(
      'issuer add --cert other.pem --responder-cert ocsp.pem --responder-key ocsp.key',
    )
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/issued|signature/i)
    expect((await run('issuer list')).stdout).toMatch(/no issuers yet: edge-ocsp issuer add/)
  })

  test('an issuer is added with its responder and policy', async () => {
    const { code, stdout, stderr } = await run(
      'issuer add --cert issuer.pem --responder-cert ocsp.pem --responder-key ocsp.key --responder-name first --name demo --validity 4d --unknown unknown --nonce ignore --max-age 1h --hashes sha256 --retain 30d',
    )
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^warning: .*SHA-1.*\n$/)])
    expect(stdout).toMatch(/added demo/)
    expect(stdout).toMatch(/validity 4d, unknown serials: unknown, nonce: ignore, max-age: 1h/)
    expect(stdout).toMatch(/first +active +delegated +ecdsa-with-SHA256 +wrapped/)
    expect(stdout).not.toContain('PRIVATE')
  })

  test('it is found by certificate file (PEM or DER), key identifier with or without colons, and short name', async () => {
    const ski = hex(pki.issuer.keyHash)
    const colons = ski.toUpperCase().replace(/(..)(?=.)/g, '$1:')
    for (const name of ['issuer.pem', 'issuer.der', ski, colons, 'demo']) {
      const { code, json } = await run(`issuer show ${name} --json`)
      expect([name, code, json()]).toEqual([name, 0, expect.objectContaining({ name: 'demo', ski })])
    }
    expect((await run('issuer show demo --pem')).stdout).toBe(
      formatPEM('CERTIFICATE', pki.issuer.certificate),
    )
  })

  test('one that is not there exits 1 and says so', async () => {
    const { code, stderr } = await run('issuer show nobody')
    expect(code).toBe(1)
    expect(stderr).toMatch(/nobody/)
  })

  test('a policy changes where it is told to and nowhere else', async () => {
    const { code, json } = await run('issuer set demo --validity 7d --json')
    expect(code).toBe(0)
    expect(json()).toMatchObject({
      issuer: { policy: { validitySeconds: 604_800, unknown: 'unknown', maxAge: 3600 } },
    })
  })

  test('good for what is not recorded is only set with both words (R1.35)', async () => {
    const { code, json } = await run('issuer set demo --unknown good --crl-only --json')
    expect([code, json()]).toEqual([
      0,
      expect.objectContaining({
        issuer: expect.objectContaining({ policy: expect.objectContaining({ unknown: 'good' }) }),
      }),
    ])
    expect((await run('issuer set demo --unknown unauthorized')).code).toBe(0)
  })

  test('disabled and enabled again', async () => {
    expect((await run('issuer disable demo')).stdout).toMatch(/disabled demo[\s\S]*demo \(disabled\)/)
    expect((await run('issuer list')).stdout).toMatch(/demo +disabled .* O=Edge OCSP test, CN=Test CA/)
    expect((await run('issuer enable issuer.pem')).code).toBe(0)
  })

  test('resign makes all that was signed unusable, and says when that is known everywhere', async () => {
    const { code, stdout } = await run('issuer resign demo')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^everything of demo is due to be signed anew/)
    expect(server.requests.at(-1)).toMatch(/\/issuers\/demo\/floor/)
  })

  test('a second responder is added, the first retired; the last one stays unless forced', async () => {
    const second = await pki.responderCertificate({ notAfter: NOW + 180 * 86_400 })
    place.writeCertificate('ocsp2.pem', second)
    const added = await run('responder add --cert ocsp2.pem --key ocsp.key --name second')
    expect([added.code, added.stderr]).toEqual([0, ''])
    expect((await run('responder list --issuer demo')).stdout).toMatch(/second/)
    expect((await run('responder retire first --issuer demo')).stdout).toMatch(
      /retired responder first of demo[\s\S]*first +retired/,
    )
    const last = await run('responder retire second --issuer demo')
    expect(last.code).toBe(1)
    expect(last.stderr).toMatch(/force/)
  })

  test("the CA's own key must be the CA's (--sign-with-ca)", async () => {
    const wrong = await run('issuer add --cert issuer.pem --sign-with-ca --key ocsp.key')
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/ocsp\.key is not the private key of issuer\.pem/),
    ])
    const taken = await run('issuer add --cert issuer.pem --sign-with-ca --key ca.key --name again')
    expect([taken.code, taken.stderr]).toEqual([
      1,
      expect.stringMatching(/recorded already\n.*change that issuer/),
    ])
  })
})

describe('certificates', () => {
  test('are recorded from files; the issuer is found by signature', async () => {
    const leaves = await Promise.all(
      [1, 2, 3].map((n) => pki.leaf({ commonName: `leaf-${n}`, serialNumber: Uint8Array.of(0x10, n) })),
    )
    place.write(
      'leaves.pem',
      leaves
        .slice(0, 2)
        .map(({ certificate }) => formatPEM('CERTIFICATE', certificate))
        .join(''),
    )
    place.write('leaf3.der', leaves[2]?.certificate ?? '')
    const { code, stdout } = await run('cert add leaves.pem leaf3.der')
    expect([code, stdout]).toEqual([0, '1001  added\n1002  added\n1003  added\n'])
    expect((await run('cert add leaves.pem')).stdout).toBe('1001  unchanged\n1002  unchanged\n')
  })

  test('of another CA are refused with both names', async () => {
    const { certificate } = await other.leaf({ commonName: 'stranger' })
    place.writeCertificate('stranger.pem', certificate)
    const named = await run('cert add stranger.pem --issuer demo')
    expect([named.code, named.stderr]).toEqual([
      1,
      expect.stringMatching(/stranger.*was not issued by demo[\s\S]*Other CA/),
    ])
    const found = await run('cert add stranger.pem')
    expect([found.code, found.stderr]).toEqual([
      1,
      expect.stringMatching(/none of the issuers .* issued .*stranger[\s\S]*issuer add/),
    ])
  })

  test('are recorded and shown by serial in every spelling', async () => {
    expect((await run('cert add --serial 0x0ABC --not-after 2027-11-21 --issuer demo')).stdout).toBe(
      '0abc  added\n',
    )
    for (const spelling of ['0abc', 'ABC', '0x0ABC', '0A:BC', '2748 --decimal']) {
      const { code, json } = await run(`cert show ${spelling} --issuer demo --json`)
      expect([spelling, code, json()]).toEqual([
        spelling,
        0,
        expect.objectContaining({ serial: '0abc', status: 'good', notAfter: '2027-11-21T00:00:00Z' }),
      ])
    }
  })

  test('one that is not recorded exits 1', async () => {
    const { code, stdout, stderr } = await run('cert show 0ddd --issuer demo')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/0ddd[\s\S]*cert add/)
  })
})

describe('revocation', () => {
  test('is told with time, revision and bound; twice is no error', async () => {
    const first = await run('revoke leaf3.der --reason keyCompromise')
    expect([first.code, first.stderr]).toEqual([0, ''])
    expect(first.stdout).toMatch(
      /1003 of demo is revoked: keyCompromise, since 2026-11-21T03:00:00Z\nrevision \d+, published at .*; everywhere within 5m/,
    )
    const again = await run('revoke 1003 --reason keyCompromise')
    expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(/already \(nothing changed\)/)])
  })

  test('is not taken back (law 2): unrevoke, hold and cert add of a revoked one exit 1', async () => {
    for (const line of [
      'unrevoke 1003 --issuer demo',
      'revoke 1003 --issuer demo --reason certificateHold',
      'cert add leaf3.der',
    ]) {
      const { code, stdout, stderr } = await run(line)
      expect([line, code]).toEqual([line, 1])
      expect(stdout + stderr).toMatch(/revoked/)
    }
    expect((await run('cert show 1003 --issuer demo')).stdout).toMatch(/Status: +revoked/)
  })

  test('a hold is released, any case of the reason will do', async () => {
    expect(
      (await run('revoke 1001 --issuer demo --reason CERTIFICATEHOLD --at 2026-11-21T02:00:00+01:00')).stdout,
    ).toMatch(/1001 of demo is hold: certificateHold, since 2026-11-21T01:00:00Z/)
    const { code, stdout } = await run('unrevoke 1001 --issuer demo')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/1001 of demo is released/)])
  })

  test('of what was never recorded exits 1 with the remedy', async () => {
    const { code, stderr } = await run('revoke 0eee --issuer demo')
    expect([code, stderr]).toEqual([1, expect.stringMatching(/0eee[\s\S]*cert add/)])
  })

  test('that is recorded but not yet published says so', async () => {
    server.world.publishing = { published: false, problem: 'KV is down' }
    const { code, stdout } = await run('revoke 1002 --issuer demo')
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/recorded, not yet published \(.*KV is down.*\); the next minute tries again/),
    ])
    server.world.publishing = { published: true, version: 8, publishedAtMs: NOW * 1000 }
  })
})

describe('status, presign', () => {
  test('status prints problems with their step and exits 1 until ready', async () => {
    const { code, stdout } = await run('status')
    expect(code).toBe(1)
    expect(stdout).toMatch(/Ready: +no/)
    expect(stdout).toMatch(/problem: .+\n +\S/)
    expect(stdout).toMatch(/demo +enabled/)
  })

  test('presign --wait calls until nothing is left', async () => {
    let left = 3
    server.intercept = (request) => {
      if (!request.url.endsWith('/presign')) return undefined
      left -= 1
      return Response.json({ built: 2, signatures: 1000, failed: 0, remaining: left })
    }
    const { code, stdout } = await run('presign --wait --issuer demo')
    expect([code, stdout]).toEqual([0, 'built 6 bundles with 3,000 new signatures; 0 failed, 0 left\n'])
  })

  test('presign says how many are left, and exits 1 when some failed', async () => {
    server.intercept = failing(200, {
      built: 1,
      signatures: 5,
      failed: 1,
      remaining: 2,
      problems: ['demo slot 0: no key'],
    })
    const { code, stdout, stderr } = await run('presign')
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/1 failed, 2 left\nSign the rest with: edge-ocsp presign --wait/),
    ])
    expect(stderr).toMatch(/demo slot 0: no key/)
  })
})

describe('audit', () => {
  test('export and replay restore what a restored backup has lost, and twice changes nothing', async () => {
    const exported = await run('audit export')
    expect([exported.code, exported.stderr]).toEqual([
      0,
      expect.stringMatching(/go on later with: edge-ocsp audit export --after \d+/),
    ])
    const lines = exported.stdout
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
    expect(lines).toContainEqual(
      expect.objectContaining({
        action: 'certificate.revoked',
        serial: '1003',
        issuerName: 'demo',
        issuerSki: hex(pki.issuer.keyHash),
      }),
    )
    expect((await run('audit export --after 3')).stdout).toBe(
      `${exported.stdout.trimEnd().split('\n').slice(3).join('\n')}\n`,
    )
    place.write('audit.jsonl', exported.stdout)

    const restored = await adminServer()
    const elsewhere = new Workplace(restored.url)
    try {
      elsewhere.writeCertificate('issuer.pem', pki.issuer.certificate)
      const early = await elsewhere.run(['audit', 'replay', '-'], { input: exported.stdout })
      expect([early.code, early.stderr]).toEqual([
        1,
        expect.stringMatching(/1003: there is no issuer .*; add it first/),
      ])
      expect((await elsewhere.run('issuer add --cert issuer.pem --name restored'.split(' '))).code).toBe(0)
      const first = await elsewhere.run(['audit', 'replay', '-', '--json'], { input: exported.stdout })
      expect([first.code, first.json()]).toEqual([
        0,
        expect.objectContaining({ added: 3, changed: 0, unchanged: 0, refused: 0, bad: 0 }),
      ])
      const shown = await elsewhere.run(['cert', 'show', '1003', '--json'])
      expect(shown.json()).toMatchObject({
        status: 'revoked',
        reason: 'keyCompromise',
        revocationTime: '2026-11-21T03:00:00Z',
      })
      // Held and released again: its last status counts.
      expect((await elsewhere.run(['cert', 'show', '1001', '--json'])).json()).toMatchObject({
        status: 'good',
      })
      const again = await elsewhere.run(['audit', 'replay', '-', '--json'], { input: exported.stdout })
      expect([again.code, again.json()]).toEqual([
        0,
        expect.objectContaining({ added: 0, changed: 0, unchanged: 3 }),
      ])
    } finally {
      await restored.close()
      elsewhere.close()
    }
  })

  test('a bad line is reported with its number, the others are replayed', async () => {
    const row = {
      id: 9,
      at: '2026-11-21T03:00:00Z',
      issuer: 1,
      action: 'certificate.revoked',
      serial: '0abc',
      revision: 1,
      detail: { to: 1, revocationTime: NOW - 60, reason: 4 },
      issuerName: 'demo',
    }
    const input = `nonsense\n${JSON.stringify(row)}\n{"id":1}\n`
    const { code, stdout, stderr } = await place.run(['audit', 'replay', '-'], { input })
    expect(code).toBe(1)
    expect(stderr).toMatch(/standard input:1: not JSON\nstandard input:3: not a row of "audit export"/)
    expect(stdout).toMatch(/1 changed, 0 unchanged, 0 refused, 2 bad lines/)
    expect((await run('cert show 0abc --issuer demo')).stdout).toMatch(/revoked[\s\S]*superseded/)
  })
})
