/** `query` against responders that tell the truth, lie, or fail: what it prints, and how it exits. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  authorityInfoAccess,
  extendedKeyUsage,
  OCSP_SIGNING,
  ocspNoCheck,
} from '../../src/cli/dev/issue-certificate.ts'
import {
  decodeGetTarget,
  decodeOCSPRequest,
  ERROR_RESPONSES,
  type OCSPRequest,
} from '../../src/ocsp/index.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { at } from '../http/admin-world.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type Behaviour, NOW, respond, truthful } from './ocsp-responder.ts'
import { LocalServer, Workplace } from './support.ts'

let pki: TestPKI
let server: LocalServer
let place: Workplace
let url: string
let behaviour: Behaviour
let asked: { method: string; request: OCSPRequest; contentType: string | null } | undefined

beforeAll(async () => {
  pki = await makeTestPKI({ now: NOW, freshKeys: true })
  server = new LocalServer(async (request) => {
    const der =
      request.method === 'POST'
        ? new Uint8Array(await request.arrayBuffer())
        : (decodeGetTarget(request.url)[0] ?? new Uint8Array())
    asked = {
      method: request.method,
      request: decodeOCSPRequest(der),
      contentType: request.headers.get('content-type'),
    }
    return new Response(new Uint8Array(await respond(asked.request, behaviour)), {
      headers: { 'content-type': 'application/ocsp-response', 'cache-control': 'max-age=60' },
    })
  })
  url = await server.listen()
  place = new Workplace(url)
  place.writeCertificate('issuer.pem', pki.issuer.certificate)
  place.writeCertificate(
    'leaf.pem',
    (await pki.leaf({ serialNumber: Uint8Array.of(0x0a, 0x1b) })).certificate,
  )
})
afterAll(async () => {
  await server.close()
  place.close()
})
beforeEach(() => {
  behaviour = truthful(pki)
  asked = undefined
})

const query = (more = '', subject = 'leaf.pem') =>
  place.run(`query ${subject} --issuer issuer.pem ${more}`.trim().split(' '))

describe('the status decides the exit code', () => {
  test('good exits 0, with times and signer', async () => {
    const { code, stdout, stderr } = await query()
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^Status: +good\nSerial: +0a1b\nThis update: +\S+Z\nNext update: +\S+Z\n/)
    expect(stdout).toMatch(
      /Signed by: .*Test OCSP Responder \(delegate\), verified\nResponder: .*\(GET, SHA-256\)/,
    )
  })

  test('revoked exits 1, with reason and time', async () => {
    behaviour.status = { type: 'revoked', revocationTime: 1_795_230_000, revocationReason: 1 }
    const { code, stdout } = await query()
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^Status: +revoked \(keyCompromise\) at 2026-11-21T03:00:00Z\n/),
    ])
  })

  test('revoked without a reason, and unknown, exit 1', async () => {
    behaviour.status = { type: 'revoked', revocationTime: 1_795_230_000 }
    expect(await query()).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/revoked \(no reason given\)/),
    })
    behaviour.status = { type: 'unknown' }
    expect(await query()).toMatchObject({ code: 1, stdout: expect.stringMatching(/^Status: +unknown/) })
  })

  test.each([
    ['unauthorized', 6, 1, /never recorded/],
    ['tryLater', 3, 3, /cannot answer now/],
    ['internalError', 2, 3, /fault of the responder/],
    ['malformedRequest', 1, 3, /--method POST/],
    ['sigRequired', 5, 3, /signed requests/],
  ] as const)('%s (%i) exits %i and says what it means', async (name, number, exit, hint) => {
    behaviour.bytes = () => ERROR_RESPONSES[name]
    const { code, stdout, stderr } = await query()
    expect([code, stdout, stderr]).toEqual([
      exit,
      expect.stringContaining(`${name} (${number})`),
      expect.stringMatching(hint),
    ])
    expect(at((await query('--json')).json(), 'responseStatus')).toBe(name)
  })

  test('--json has it all', async () => {
    const { json } = await query('--json --nonce')
    expect(json()).toMatchObject({
      responseStatus: 'successful',
      certStatus: 'good',
      serial: '0a1b',
      nonce: 'echoed',
      signedBy: 'delegate',
      hash: 'SHA-256',
      cacheControl: 'max-age=60',
    })
  })
})

describe('the request', () => {
  test('goes by GET up to 255 octets of URL and by POST above (RFC 9919 section 5), or as told', async () => {
    await query('--hash sha1')
    expect(asked?.method).toBe('GET')
    await query('--hash sha512')
    expect(asked).toMatchObject({ method: 'POST', contentType: 'application/ocsp-request' })
    await query('--method post')
    expect(asked?.method).toBe('POST')
    await query('--hash sha512 --method GET')
    expect(asked?.method).toBe('GET')
  })

  test('carries a nonce of 32 octets when asked, none otherwise (R3.6)', async () => {
    await query()
    expect(asked?.request.tbsRequest.requestExtensions).toBeUndefined()
    await query('--no-nonce')
    expect(asked?.request.tbsRequest.requestExtensions).toBeUndefined()
    await query('--nonce')
    const first = asked?.request.tbsRequest.requestExtensions?.[0]?.extnValue
    expect([first?.length, first?.[0], first?.[1]]).toEqual([34, 0x04, 32])
    await query('--nonce')
    expect(asked?.request.tbsRequest.requestExtensions?.[0]?.extnValue).not.toEqual(first)
  })

  test.each(['sha1', 'sha256', 'sha384', 'sha512'] as const)('has a CertID in %s', async (hash) => {
    expect((await query(`--hash ${hash}`)).code).toBe(0)
    const name = hash.replace('sha', 'SHA-')
    const expected = Object.entries(pki.issuer.hashes).find(([algorithm]) => algorithm === name)?.[1]
    expect(asked?.request.tbsRequest.requestList[0]?.reqCert).toMatchObject(expected ?? {})
  })

  test("goes to the address in the certificate's AIA, unless told otherwise", async () => {
    const extensions = [authorityInfoAccess({ ocsp: `${url}/some/prefix` })]
    place.writeCertificate('aia.pem', (await pki.leaf({ extensions })).certificate)
    const elsewhere = { env: { EDGE_OCSP_URL: 'http://127.0.0.1:1' } }
    const found = await place.run(['query', 'aia.pem', '--issuer', 'issuer.pem'], elsewhere)
    expect([found.code, found.stdout]).toEqual([
      0,
      expect.stringContaining(`Responder: ${' '.repeat(2)}${url}/some/prefix (`),
    ])
    const told = await place.run(
      ['query', 'aia.pem', '--issuer', 'issuer.pem', '--url', `${url}/`],
      elsewhere,
    )
    expect(told.stdout).toContain(`${url} (`)
  })

  test('asks for a serial number without its certificate', async () => {
    expect((await query('', '--serial 6667 --decimal')).stdout).toMatch(/Serial: +1a0b/)
    expect(asked?.request.tbsRequest.requestList[0]?.reqCert.serialNumber).toEqual(Uint8Array.of(0x1a, 0x0b))
  })

  test('is not made for a certificate of another issuer, exit 2', async () => {
    const other = await makeTestPKI({ now: NOW, caName: 'Other CA', freshKeys: true })
    place.writeCertificate('stranger.pem', (await other.leaf({ commonName: 'stranger' })).certificate)
    const { code, stderr } = await query('', 'stranger.pem')
    expect([code, asked]).toEqual([2, undefined])
    expect(stderr).toMatch(/stranger.* was not issued by issuer\.pem .*Test CA[\s\S]*Other CA/)
  })
})

describe('a response that cannot be believed exits 3 with the reason', () => {
  const cases: readonly (readonly [string, () => Promise<void> | void, RegExp])[] = [
    [
      'signed by somebody else',
      async () => {
        const other = await makeTestPKI({ now: NOW, freshKeys: true })
        behaviour.signer = other.responder.signer
      },
      /signature is not of .*Test OCSP Responder/,
    ],
    [
      'of a responder that the issuer did not certify',
      async () => {
        behaviour = truthful(await makeTestPKI({ now: NOW, caName: 'Other CA', freshKeys: true }))
      },
      /was not certified by the issuer/,
    ],
    [
      'of a delegate without the extended key usage (RFC 6960 4.2.2.2)',
      async () => {
        behaviour.certs = [await pki.responderCertificate({ extensions: [ocspNoCheck()] })]
      },
      /may not sign OCSP/,
    ],
    [
      'of a delegate that has expired',
      async () => {
        behaviour.certs = [
          await pki.responderCertificate({
            notBefore: NOW - 7200,
            notAfter: NOW - 3600,
            extensions: [extendedKeyUsage(OCSP_SIGNING)],
          }),
        ]
      },
      /certificate of its signer, .*, is valid .* to /,
    ],
    [
      'of a signer that is nowhere',
      () => {
        behaviour.certs = []
      },
      /neither the issuer nor a certificate in the response/,
    ],
    [
      'about another serial',
      () => {
        behaviour.single = (single) => ({
          ...single,
          certID: { ...single.certID, serialNumber: Uint8Array.of(1) },
        })
      },
      /about another certificate/,
    ],
    [
      'about another issuer',
      () => {
        behaviour.single = (single) => ({
          ...single,
          certID: { ...single.certID, issuerKeyHash: new Uint8Array(32) },
        })
      },
      /about another certificate/,
    ],
    [
      'past its nextUpdate',
      () => {
        behaviour.nextUpdate = NOW - 1000
      },
      /stale: nextUpdate was/,
    ],
    [
      'of the future',
      () => {
        behaviour.thisUpdate = NOW + 1000
      },
      /of the future: thisUpdate/,
    ],
    [
      'altered by one bit',
      () => {
        behaviour.bytes = (response) => {
          const altered = response.slice()
          // The last digit of producedAt, the first GeneralizedTime.
          const place = Buffer.from(altered).indexOf('180f', 0, 'hex') + 15
          altered[place] = (altered[place] ?? 0) ^ 1
          return altered
        }
      },
      /signature is not of/,
    ],
    [
      'cut short',
      () => {
        behaviour.bytes = (response) => response.subarray(0, 100)
      },
      /no OCSP response: .*truncated/,
    ],
    [
      'a web page',
      () => {
        behaviour.bytes = () => new TextEncoder().encode('<html>')
      },
      /HTTP 200 with 6 octets of application\/ocsp-response, which is no OCSP response/,
    ],
    [
      'with another nonce',
      () => {
        behaviour.nonce = Uint8Array.of(4, 2, 1, 2)
      },
      /another nonce than was sent: a replay/,
    ],
  ]
  test.each(cases)('%s', async (_what, bend, message) => {
    await bend()
    const { code, stdout, stderr } = await query('--nonce')
    expect([code, stdout]).toEqual([3, ''])
    expect(stderr).toMatch(message)
  })
})

test('a nonce that is left out is no failure, and said (R3.2)', async () => {
  behaviour.nonce = 'ignore'
  const { code, stdout, stderr } = await query('--nonce')
  expect([code, stdout]).toEqual([0, expect.stringMatching(/Nonce: +absent/)])
  expect(stderr).toMatch(/warning: .*left the nonce out/)
})

test.each<SignatureAlgorithm>([
  'sha256WithRSAEncryption',
  'rsassaPss-sha256',
  'ecdsa-with-SHA384',
  'ecdsa-with-SHA512',
  'Ed25519',
])('believes a CA that signs itself with %s (R1.59)', { timeout: 60_000 }, async (algorithm) => {
  const ca = await makeTestPKI({ now: NOW, algorithm, delegated: false, caName: `CA ${algorithm}` })
  place.writeCertificate('ca.pem', ca.issuer.certificate)
  behaviour = truthful(ca)
  const byKey = await place.run(['query', '--serial', '01', '--issuer', 'ca.pem'])
  expect([byKey.code, byKey.stdout]).toEqual([0, expect.stringMatching(/\(issuer\), verified/)])
  behaviour.responderID = { byName: ca.issuer.name }
  expect((await place.run(['query', '--serial', '01', '--issuer', 'ca.pem'])).code).toBe(0)
})

test('nobody at the address exits 3 and names it', async () => {
  const { code, stderr } = await query('--url http://127.0.0.1:1/ocsp')
  expect([code, stderr]).toEqual([
    3,
    expect.stringMatching(/no answer from http:\/\/127\.0\.0\.1:1\/ocsp: [\s\S]*--url/),
  ])
})
