/** The gate over whole responses: our own, the one of RFC 9919, real ones of others, and octets that are none. */
import { createPublicKey, verify } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseGeneralizedTime } from '../../src/asn1/generalized-time.ts'
import { OID } from '../../src/asn1/oid.ts'
import type { LintContext } from '../../src/lint/index.ts'
import { lint, lintSignature } from '../../src/lint/index.ts'
import { ERROR_RESPONSES } from '../../src/ocsp/index.ts'
import type { HashAlgorithm } from '../../src/pkix/algorithm-identifier.ts'
import { gateContext } from '../../src/signing/check-response.ts'
import { importVerifier } from '../../src/signing/webcrypto-signer.ts'
import type { CA } from '../conformance/harness.ts'
import { about, DATES, DAY, Rig } from '../conformance/harness.ts'
import { base64, hex, seq, tlv } from '../fixtures/octets.ts'
import { extension, NONCE_OID, NULL, request, requestExtensions, SHA256 } from '../fixtures/requests.ts'
import { RESPONDER_CERTIFICATE, RESPONSE } from '../fixtures/rfc9919.ts'
import { EPOCH, Random } from '../support/clock.ts'
import { readManifest, readVector, vectorsRoot } from '../vectors/manifest.ts'
import { contextOf, DRAFT, encode, ext, revoked, SINGLE, SUBJECT, time } from './draft.ts'

describe('RFC 9919 appendix B.5', () => {
  const der = base64(RESPONSE)
  const now = parseGeneralizedTime('20240405000000Z')

  test('breaks one rule, thisUpdate before producedAt, and no other (R1.62)', () => {
    const { findings, basic } = lint(der, { profile: 'private', now })
    expect(findings).toEqual([
      {
        id: 'R1.62',
        check: 'this-update-after-produced-at',
        level: 'error',
        path: 'responses[0]',
        message:
          'responses[0]: thisUpdate has to be at or before producedAt (20240403123747Z > 20240402123747Z)',
      },
    ])
    expect(basic?.certs).toEqual([base64(RESPONDER_CERTIFICATE)])
  })

  test('its signature is good, and with one bit changed it is not (R1.51)', async () => {
    const key = createPublicKey({
      key: Buffer.from(certificatePEM(base64(RESPONDER_CERTIFICATE))),
      format: 'pem',
    })
    const judge = (response: Uint8Array) =>
      lintSignature(lint(response), (tbs, signature) => verify('sha384', tbs, key, signature))
    expect(await judge(der)).toEqual([])
    const at = Buffer.from(der).indexOf('20240410123747Z')
    expect(at).toBeGreaterThan(0)
    const changed = der.map((octet, i) => (i === at + 3 ? octet ^ 1 : octet))
    expect(await judge(changed)).toMatchObject([{ id: 'R1.51', check: 'signature-value', level: 'error' }])
  })
})

function certificatePEM(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
}

describe('what this responder says passes its own gate', () => {
  const rig = new Rig()
  afterAll(() => rig.close())
  const [GOOD, REVOKED, HOLD] = [hex('1501'), hex('1502'), hex('1503')]
  const kinds = [
    ['delegated P-256', {}],
    ['delegated RSA', { algorithm: 'sha256WithRSAEncryption' }],
    ['delegated RSASSA-PSS', { algorithm: 'rsassaPss-sha256' }],
    ['delegated P-384', { algorithm: 'ecdsa-with-SHA384' }],
    ['delegated P-521', { algorithm: 'ecdsa-with-SHA512' }],
    ['delegated Ed25519', { algorithm: 'Ed25519' }],
    ['the CA itself', { delegated: false }],
  ] as const
  const cas: { name: string; ca: CA }[] = []

  beforeAll(async () => {
    for (const [i, [name, options]] of kinds.entries()) {
      const ca = await rig.addCA({ name: `kind-${i}`, freshKeys: true, ...options })
      await rig.add(ca, [
        { serial: GOOD, status: 'good', ...DATES },
        { serial: REVOKED, status: 'revoked', revocationTime: EPOCH - 5_000, reason: 1, ...DATES },
        { serial: HOLD, status: 'hold', revocationTime: EPOCH - 4_000, ...DATES },
      ])
      cas.push({ name, ca })
    }
  })

  async function findingsOf(ca: CA, body: Uint8Array, nonce?: Uint8Array) {
    const [responder] = ca.record.responders
    const record = responder ?? ca.pki.responderRecord()
    const context = { ...gateContext(ca.record, record), now: Math.floor(rig.clock.nowMs() / 1000) }
    const { basic } = lint(body)
    const question = { certIDs: basic?.tbsResponseData.responses.map(({ certID }) => certID) ?? [], nonce }
    const known: LintContext = {
      ...context,
      responder: { ...context.responder, spki: record.spki },
      question,
    }
    const report = lint(body, known)
    expect(report.status).toBe('successful')
    const verifier = await importVerifier(record.spki, record.algorithm)
    return [...report.findings, ...(await lintSignature(report, verifier))]
  }

  test.each(kinds.map(([name]) => name))('signed by %s, live and from a bundle', async (name) => {
    const ca = cas.find((one) => one.name === name)?.ca
    if (ca === undefined) throw new Error('no such CA')
    for (const signed of ['live', 'bundle']) {
      if (signed === 'bundle') await rig.presign()
      for (const serial of [GOOD, REVOKED, HOLD])
        for (const hash of ['SHA-1', 'SHA-256'] satisfies HashAlgorithm[]) {
          const reply = await rig.post(request(about(ca, serial, hash)))
          expect(await findingsOf(ca, reply.body)).toEqual([])
        }
    }
  })

  test('with a nonce, and with several CertIDs in one question', async () => {
    const [first] = cas
    if (first === undefined) throw new Error('no CA')
    const nonce = tlv(0x04, new Uint8Array(32).fill(9))
    const withNonce = request({
      ...about(first.ca, GOOD),
      after: requestExtensions(extension(NONCE_OID, nonce)),
    })
    const reply = await rig.post(withNonce)
    expect(await findingsOf(first.ca, reply.body, nonce)).toEqual([])
    const several = await rig.post(request({ ...about(first.ca, REVOKED), count: 3 }))
    expect(await findingsOf(first.ca, several.body)).toEqual([])
  })

  test('and is refused by the gate of another issuer, or a week later (R1.40, R1.67)', async () => {
    const [first, second] = cas
    if (first === undefined || second === undefined) throw new Error('two CAs')
    const { body } = await rig.post(request(about(first.ca, GOOD)))
    const foreign = await findingsOf(second.ca, body)
    expect(foreign.map(({ check }) => check)).toEqual(
      expect.arrayContaining(['issuer-hashes', 'signature-value']),
    )
    rig.clock.advance(8 * DAY * 1000)
    expect((await findingsOf(first.ca, body)).map(({ check }) => check)).toEqual(['expired'])
  })
})

describe('what a context allows is lawful', () => {
  const isPrivate = (der: Uint8Array): LintContext => ({
    ...contextOf(der),
    profile: 'private',
    certificates: [],
  })

  test('extensions of a revoked certificate: reference, invalidityDate, archive cutoff, certHash, SCTs (R1.81, R1.83, R1.84, R1.91, R4.53)', () => {
    const list = [
      ext(
        OID.ocspCRL,
        seq(tlv(0xa0, tlv(0x16, new TextEncoder().encode('http://crl.example/1'))), tlv(0xa1, hex('020107'))),
      ),
      ext(OID.invalidityDate, time('20261120000000Z')),
      ext(OID.ocspArchiveCutoff, time(-1000 * DAY)),
      ext(OID.sctList, tlv(0x04, hex('0006 0004 00000000'))),
      ext(OID.certHash, seq(seq(SHA256, NULL), tlv(0x04, SUBJECT.digest('SHA-256')))),
    ]
    const status = revoked(-3600, 1)
    const der = encode({ ...DRAFT, singles: [{ ...SINGLE, status, extensions: list }] })
    expect(lint(der, contextOf(der)).findings).toEqual([])
  })

  test('the extended revoked of a serial number never issued (R1.36, R1.90)', () => {
    const status = revoked('19700101000000Z', 6)
    const extensions = [ext(OID.ocspExtendedRevoke, NULL)]
    const der = encode({ ...DRAFT, singles: [{ ...SINGLE, status }], extensions })
    const context = isPrivate(der)
    const meant = context.meant?.map((one) => ({ ...one, issued: false })) ?? []
    expect(lint(der, { ...context, meant }).findings).toEqual([])
  })

  test('a final response under a private profile, whoever ends before (R4.52)', () => {
    const nextUpdate = time('99991231235959Z')
    const der = encode({ ...DRAFT, singles: [{ ...SINGLE, nextUpdate }] })
    expect(lint(der, isPrivate(der)).findings).toEqual([])
  })

  test('one certificate by two hashes, and the same CertID twice where it was asked twice (R1.10, R1.68)', () => {
    const der = encode({ ...DRAFT, singles: [SINGLE, SINGLE] })
    expect(lint(der, contextOf(der)).findings).toEqual([])
  })
})

describe('an error is no more than five octets', () => {
  test.each(Object.entries(ERROR_RESPONSES))('%s passes where no status was meant (R1.20)', (status, der) => {
    expect(lint(der)).toMatchObject({ findings: [], status, basic: undefined })
    expect(lint(der, { meant: [] }).findings).toMatchObject([{ id: 'R1.27', check: 'error-instead' }])
  })

  test.each([
    ['30030a0104', 'status-number'],
    ['30030a0107', 'status-number'],
    ['30050a01060500', 'der-trailing'],
    ['301a0a0106a01530130609', 'der-truncated'],
    ['30160a0106a011300f06092b06010505073001010402 3000', 'response-bytes'],
    ['', 'der-truncated'],
    ['30', 'der-truncated'],
  ])('%s is refused: %s (R1.20, R1.50)', (octets, check) => {
    expect(lint(hex(octets)).findings.map((found) => found.check)).toEqual([check])
  })
})

describe('a fault of the octets names its field', () => {
  const fault = (change: object) => lint(encode({ ...DRAFT, ...change })).findings[0]?.message
  const bad = time('2026')
  test.each([
    [{ producedAt: bad }, /^producedAt: .*badTime at octet \d+/],
    [{ singles: [SINGLE, { ...SINGLE, thisUpdate: bad }] }, /^responses\[1\]\.thisUpdate: /],
    [{ singles: [{ ...SINGLE, nextUpdate: bad }] }, /^responses\[0\]\.nextUpdate: /],
    [{ singles: [{ ...SINGLE, serial: hex('0200') }] }, /^responses\[0\]\.certID\.serialNumber: /],
    [{ algorithm: seq(hex('0601 80')) }, /^signatureAlgorithm: /],
    [{ signature: hex('030101') }, /^signature: /],
  ])('%#', (change, message) => {
    expect(fault(change)).toMatch(message)
  })
})

describe('whatever the octets, there is a report and no exception', () => {
  const random = new Random(7)
  const der = encode(DRAFT)

  test('of a good response with any one octet changed, or cut anywhere', () => {
    const context = contextOf(der)
    for (let at = 0; at < der.length; at += 1) {
      expect(lint(der.subarray(0, at), context).findings).toHaveLength(1)
      for (const flip of [1, 0x80, random.uint32() & 0xff]) {
        const changed = der.map((octet, i) => (i === at ? octet ^ flip : octet))
        expect(Array.isArray(lint(changed, context).findings)).toBe(true)
      }
    }
  })

  const root = vectorsRoot()
  if (root === undefined) {
    const reason = 'EDGE_OCSP_VECTORS is not set, so no real responses are judged'
    console.warn(`skipped: ${reason}`)
    test.skip(reason, () => undefined)
  } else {
    const vectors = readManifest(root)
    test('of every vector, and only readable ones are judged by their content', () => {
      expect(vectors.length).toBeGreaterThan(200)
      for (const vector of vectors) {
        const { findings, status, basic } = lint(readVector(vector), { profile: 'public-trust', now: EPOCH })
        if (basic === undefined && status === undefined) expect(findings, vector.file).toHaveLength(1)
        for (const { id, check, message } of findings) {
          expect(id).toMatch(/^R\d\.\d+$/)
          expect(check).not.toBe('')
          expect(message.length).toBeGreaterThan(10)
        }
      }
    })
  }
})
