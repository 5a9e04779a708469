/** `lint` over responses that are bent on purpose, over octets that are none, and over real ones of others. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseCertificate } from '../../src/cli/certificate.ts'
import { judge } from '../../src/cli/lint/judge.ts'
import { makeQuestion } from '../../src/cli/ocsp-exchange.ts'
import type { SingleResponse } from '../../src/ocsp/index.ts'
import {
  type CertID,
  decodeOCSPRequest,
  ERROR_RESPONSES,
  encodeResponseData,
  type ResponderID,
} from '../../src/ocsp/index.ts'
import { assembleOCSPResponse } from '../../src/ocsp/single-response-template.ts'
import { at } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { readManifest, readVector, vectorsRoot } from '../vectors/manifest.ts'
import { found, notRun } from './lint-runs.ts'
import { NOW, respond, truthful } from './ocsp-responder.ts'
import { runProgram, Workplace } from './support.ts'

describe('responses that are bent on purpose', () => {
  let pki: TestPKI
  let place: Workplace
  beforeAll(async () => {
    pki = await makeTestPKI({ now: NOW, freshKeys: true })
    place = new Workplace('http://127.0.0.1')
    place.writeCertificate('issuer.pem', pki.issuer.certificate)
    if (pki.responder.certificate !== undefined)
      place.writeCertificate('responder.pem', pki.responder.certificate)
    place.writeCertificate(
      'leaf.pem',
      (await pki.leaf({ serialNumber: Uint8Array.of(0x0a, 0x1b) })).certificate,
    )
  })
  afterAll(() => place.close())

  const question = () =>
    makeQuestion(
      parseCertificate(pki.issuer.certificate, 'issuer'),
      Uint8Array.of(0x0a, 0x1b),
      'SHA-256',
      false,
    )
  async function bent(
    single: Partial<SingleResponse>,
    by: { responderID?: ResponderID } = {},
  ): Promise<void> {
    const behaviour = { ...truthful(pki), ...by, single: (one: SingleResponse) => ({ ...one, ...single }) }
    place.write('bent.der', await respond(decodeOCSPRequest(question().der), behaviour))
  }
  const lint = (more = '') => place.run(`lint bent.der --issuer issuer.pem --json ${more}`.trim().split(' '))

  test.each<[string, Partial<SingleResponse>, string, string]>([
    ['R1.62', { thisUpdate: NOW - 10 }, 'this-update-after-produced-at', 'responses[0].thisUpdate'],
    ['R1.62', { nextUpdate: NOW - 120 }, 'next-update-too-early', 'responses[0].nextUpdate'],
    [
      'R1.31',
      { certStatus: { type: 'revoked', revocationTime: NOW } },
      'revoked-after-this-update',
      'responses[0].certStatus',
    ],
    [
      'R1.31',
      { certStatus: { type: 'revoked', revocationTime: 1, revocationReason: 8 } },
      'reason-remove-from-crl',
      'responses[0].certStatus',
    ],
    ['R1.39', { certStatus: { type: 'unknown' } }, 'unknown-but-issued', 'responses[0].certStatus'],
  ])('%s %j: %s', async (id, single, check, path) => {
    await bent(single)
    const run = await lint('--cert leaf.pem')
    expect(run.code).toBe(1)
    const findings = at(run.json(), 'findings')
    const one = Array.isArray(findings) ? findings.find((each) => at(each, 'check') === check) : undefined
    expect(one).toMatchObject({ id, path, level: 'error', todo: expect.stringMatching(/^.{15,}\.$/) })
    // The octet is where the field begins: its tag.
    const der = readFileSync(join(place.folder, 'bent.der'))
    const tags = { thisUpdate: [0x18], nextUpdate: [0xa0], certStatus: [0x80, 0x82, 0xa1] }
    const offset = Number(at(one, 'offset'))
    const field = path.split('.').at(-1)
    expect(Object.entries(tags).find(([name]) => name === field)?.[1]).toContain(der[offset])
  })

  test('a responder that was given is held against the one that signed (R1.52)', async () => {
    await bent({})
    expect(found(await lint('--responder responder.pem'))).toMatchObject({ errors: [] })
    expect(found(await lint('--responder issuer.pem')).errors).toEqual(
      expect.arrayContaining(['responder-other', 'signature-value', 'certs-needless']),
    )
  })

  test('CertIDs of an algorithm that nobody knows are a warning, and an error under a profile (R5.42)', async () => {
    const certID: CertID = {
      ...question().certID,
      hashAlgorithm: { algorithm: '1.2.3.4', parameters: undefined },
    }
    await bent({ certID })
    expect(found(await lint())).toMatchObject({ errors: [], warnings: ['cert-id-hash'] })
    expect(found(await lint('--profile private'))).toMatchObject({ errors: ['cert-id-hash'] })
  })

  test('an empty list of responses is found in the list (R1.69)', async () => {
    const { signer, keyHash, certificate } = pki.responder
    const tbs = encodeResponseData({
      versionExplicit: false,
      responderID: { byKey: keyHash },
      producedAt: NOW - 30,
      responses: [],
    })
    const certs = certificate === undefined ? [] : [certificate]
    place.write(
      'bent.der',
      assembleOCSPResponse(tbs, signer.signatureAlgorithm, await signer.sign(tbs), certs),
    )
    expect((await lint()).json()).toMatchObject({
      findings: [{ check: 'responses-empty', path: 'responses' }],
    })
  })
})

describe('what is no response', () => {
  let place: Workplace
  beforeAll(() => {
    place = new Workplace('http://127.0.0.1')
  })
  afterAll(() => place.close())

  test.each(Object.entries(ERROR_RESPONSES))(
    '%s is clean: five octets, nothing to verify (R1.20)',
    async (status, der) => {
      place.write('error.der', der)
      const run = await place.run(['lint', 'error.der', '--json'])
      expect([run.code, run.json()]).toMatchObject([
        0,
        { responseStatus: status, findings: [], signature: 'not verified' },
      ])
      expect(new Set(notRun(run).values())).toEqual(new Set(['an error has no content']))
    },
  )

  test.each<[string, string | Uint8Array, RegExp]>([
    ['cut', Buffer.from('30820100', 'hex'), /^error R1\.50 der-truncated \(octet \d+\)/],
    ['BER', Buffer.from('30800a01000000', 'hex'), /^error R1\.50 der-length \(octet 0\)/],
    [
      'an error number that is none',
      Buffer.from('30030a0104', 'hex'),
      /^error R1\.20 status-number \(octet \d\)/,
    ],
    ['text', 'hello, this is no response', /^error R1\.50 \S+ \(octet 0\)/],
    ['nothing', '', /^error R1\.50 der-truncated \(octet 0\)/],
  ])('%s: one finding, with its octet, exit 1', async (_what, content, message) => {
    place.write('none.der', content)
    const run = await place.run(['lint', 'none.der'])
    expect([run.code, run.stderr]).toEqual([1, ''])
    expect(run.stdout).toMatch(message)
    expect(run.stdout).not.toMatch(/^\s+at /m)
  })

  test.each([
    ['missing.der', /missing\.der" is no file and neither base64 nor hex/],
    ['', /missing required argument/],
    ['x.der --issuer missing.pem', /missing\.pem: cannot read it: no such file/],
    ['x.der --issuer x.der', /x\.der: /],
    ['x.der --request x.der', /x\.der: not an OCSP request/],
    ['x.der --profile strict', /Allowed choices are private, public-trust/],
    ['x.der --now tomorrow', /--now: "tomorrow" is not a time/],
    ['- --request -', /only one of the files can be standard input/],
  ])('"lint %s" is usage, exit 2', async (text, message) => {
    place.write('x.der', 'nothing of use')
    const run = await runProgram(['lint', ...text.split(' ').filter((part) => part !== '')], {
      cwd: place.folder,
    })
    expect([run.code, run.stdout]).toEqual([2, ''])
    expect(run.stderr).toMatch(message)
    expect(run.stderr).not.toMatch(/fault of edge-ocsp/)
  })

  test('a request is told from a response', async () => {
    const pki = await makeTestPKI({ now: NOW })
    const issuer = parseCertificate(pki.issuer.certificate, 'issuer')
    place.write('request.der', makeQuestion(issuer, Uint8Array.of(1), 'SHA-1', false).der)
    const run = await place.run(['lint', 'request.der'])
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/It is an OCSP request/)])
  })
})

describe('real responses of others', () => {
  const root = vectorsRoot()
  if (root === undefined) {
    const reason = 'EDGE_OCSP_VECTORS is not set, so no real responses are judged'
    console.warn(`skipped: ${reason}`)
    test.skip(reason, () => undefined)
    return
  }
  const vectors = readManifest(root)

  test('each has findings or is clean, each finding its requirement, octet and remedy, and nothing throws', async () => {
    expect(vectors.length).toBeGreaterThan(200)
    for (const vector of vectors) {
      const der = readVector(vector)
      const {
        findings,
        status,
        notRun: left,
        checks,
      } = await judge(der, { now: NOW, profile: 'public-trust' })
      if (status === undefined) expect(findings, vector.file).toHaveLength(1)
      expect(left.length, vector.file).toBeLessThan(checks)
      for (const { id, offset, todo } of findings) {
        expect(id, vector.file).toMatch(/^R\d\.\d+$/)
        expect(offset, vector.file).toBeLessThanOrEqual(der.length)
        expect(todo, vector.file).not.toBe('')
      }
    }
  })

  test('one of each folder, as a file of the program: exit 0 or 1, and no stack', async () => {
    const byFolder = new Map(vectors.map((vector) => [vector.file.split('/')[0], vector]))
    for (const { path, file } of byFolder.values()) {
      const run = await runProgram(['lint', path], { env: { EDGE_OCSP_DEBUG: '1' } })
      expect([0, 1], file).toContain(run.code)
      expect(run.stderr, file).not.toMatch(/^\s+at /m)
      expect(run.stdout, file).toMatch(/^Response: /m)
    }
  })
})
