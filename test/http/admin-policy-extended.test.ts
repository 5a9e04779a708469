/** Fields of a policy that name others: who may ask, who signs, what is kept. Each is refused where it could not work (R8.3). */
import { beforeAll, describe, expect, test } from 'vitest'
import { generateKeyPair } from '../../src/cli/dev/generate-key.ts'
import { basicConstraints, keyUsage } from '../../src/cli/dev/issue-certificate.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import {
  addIssuer,
  addResponder,
  certificate,
  DAY,
  delegate,
  other,
  pki,
  privateKey,
  withIssuer,
} from './admin-pki.ts'
import { type AdminWorld, type Answered, adminWorld, at, NOW } from './admin-world.ts'

const YEAR = 365 * DAY
const patch = (world: AdminWorld, policy: Record<string, unknown>): Promise<Answered> =>
  world.call('PATCH', '/issuers/demo', { policy })
const tried = async (policy: Record<string, unknown>) => addIssuer(adminWorld(), { policy })
const codes = (answer: Answered): unknown[] => {
  const found = answer.at('warnings') ?? answer.at('error.findings')
  return Array.isArray(found) ? found.map((one: unknown) => at(one, 'code')) : []
}

let signer: string
let edwards: TestPKI
beforeAll(async () => {
  signer = certificate((await pki.leaf({ commonName: 'requestor' })).certificate)
  edwards = await makeTestPKI({ now: NOW, algorithm: 'Ed25519' })
})

describe('unknown "revoked-extended"', () => {
  test('is refused under public-trust, where it would say certificateHold (R1.37, R4.13)', async () => {
    const answer = await tried({ unknown: 'revoked-extended', profile: 'public-trust' })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'policyRefused',
      'policy',
    ])
    expect(codes(answer)).toEqual(['revokedExtendedForbidden'])
  })

  test('is taken under private, with a warning; going public-trust with it is refused (R1.37, R8.3)', async () => {
    const world = await withIssuer()
    const answer = await patch(world, { unknown: 'revoked-extended' })
    expect([answer.status, answer.at('issuer.policy.unknown'), codes(answer)]).toEqual([
      200,
      'revoked-extended',
      ['revokedExtended'],
    ])
    expect((await patch(world, { profile: 'public-trust' })).status).toBe(422)
    expect((await patch(world, { profile: 'public-trust', unknown: 'unauthorized' })).status).toBe(200)
  })
})

test.each(['echo', 'ignore', 'rfc8954'])('nonce %s is taken under each profile (R3.12)', async (nonce) => {
  for (const profile of ['private', 'public-trust'])
    expect((await tried({ nonce, profile })).at('issuer.policy.nonce')).toBe(nonce)
})

describe('signed requests (R1.24, R1.25)', () => {
  test.each(['verify', 'require'])('%s is refused without requestors', async (signedRequests) => {
    const answer = await tried({ signedRequests })
    expect([answer.status, codes(answer)]).toEqual([422, ['requestorsMissing']])
    const world = await withIssuer({ signedRequests, requestors: [signer] })
    expect((await patch(world, { requestors: [] })).at('error.findings.0.code')).toBe('requestorsMissing')
    expect((await patch(world, { requestors: [], signedRequests: 'ignore' })).status).toBe(200)
  })

  test('requestors come back as PEM, each once, and replace those before; a PATCH without them keeps them', async () => {
    const ca = certificate(other.issuer.certificate)
    const base64 = Buffer.from(other.issuer.certificate).toString('base64')
    const world = await withIssuer({ signedRequests: 'verify', requestors: [signer, ca, base64] })
    expect((await world.call('GET', '/issuers/demo')).at('policy.requestors')).toEqual([signer, ca])
    expect((await patch(world, { nonce: 'ignore' })).at('issuer.policy.requestors')).toEqual([signer, ca])
    expect((await patch(world, { requestors: [ca] })).at('issuer.policy.requestors')).toEqual([ca])
  })

  test('says what to expect of "require", and of requestors that nobody asks', async () => {
    const required = await tried({ signedRequests: 'require', requestors: [signer] })
    expect([required.status, codes(required)]).toEqual([
      201,
      expect.arrayContaining(['signedRequestsRequired']),
    ])
    expect(codes(await tried({ requestors: [signer] }))).toContain('requestorsUnused')
  })

  test.each<[string, () => Promise<Uint8Array>, string]>([
    [
      'expired',
      async () => (await pki.leaf({ notBefore: NOW - 9 * DAY, notAfter: NOW - 1 })).certificate,
      'requestorExpired',
    ],
    [
      'there to sign CRLs alone',
      async () => (await pki.leaf({ extensions: [keyUsage('cRLSign')] })).certificate,
      'requestorCannotSign',
    ],
    [
      'a CA that may sign CRLs alone',
      async () => (await pki.leaf({ extensions: [basicConstraints(true), keyUsage('cRLSign')] })).certificate,
      'requestorCannotSign',
    ],
  ])('refuses a requestor that is %s, saying which', async (_, make, code) => {
    const answer = await tried({
      signedRequests: 'verify',
      requestors: [signer, certificate(await make())],
    })
    expect([answer.status, codes(answer)]).toEqual([422, [code]])
    expect(answer.at('error.message')).toContain('requestor 1')
  })

  test('warns of one that is not valid yet', async () => {
    const { certificate: der } = await pki.leaf({ notBefore: NOW + DAY })
    const answer = await tried({ signedRequests: 'verify', requestors: [certificate(der)] })
    expect([answer.status, codes(answer)]).toEqual([201, expect.arrayContaining(['requestorNotYetValid'])])
  })

  test('names the one that is no certificate, and takes eight at most', async () => {
    const answer = await tried({ signedRequests: 'verify', requestors: [signer, 'garbage'] })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'certificateUnreadable',
      'policy.requestors[1]',
    ])
    const many = await tried({ signedRequests: 'verify', requestors: Array(9).fill(signer) })
    expect([many.status, many.at('error.field')]).toEqual([400, 'policy.requestors'])
  })
})

describe('the algorithm that signs unless the client prefers another (R1.86, R1.89)', () => {
  test('has to be that of a responder; null gives the choice back to the newest', async () => {
    const world = await withIssuer()
    expect((await patch(world, { algorithm: 'ecdsa-with-SHA256' })).at('error.findings.0.code')).toBe(
      'algorithmImpossible',
    )
    await addResponder(world, { ...delegate(), name: 'only' })
    const wrong = await patch(world, { algorithm: 'sha256WithRSAEncryption' })
    expect([wrong.status, wrong.at('error.field')]).toEqual([422, 'policy.algorithm'])
    expect(wrong.at('error.message')).toContain('only with ecdsa-with-SHA256')
    const right = await patch(world, { algorithm: 'ecdsa-with-SHA256' })
    expect([right.status, right.at('issuer.policy.algorithm')]).toEqual([200, 'ecdsa-with-SHA256'])
    expect((await patch(world, { nonce: 'ignore' })).at('issuer.policy.algorithm')).toBe('ecdsa-with-SHA256')
    expect((await patch(world, { algorithm: null })).at('issuer.policy.algorithm')).toBeNull()
  })

  test('may be that of the responder which comes in the same call, or of the CA that signs itself', async () => {
    const answer = await addIssuer(adminWorld(), {
      policy: { algorithm: 'ecdsa-with-SHA256' },
      responder: { signWithCA: true, key: privateKey(pki.issuer.pkcs8) },
    })
    expect([answer.status, answer.at('issuer.policy.algorithm')]).toEqual([201, 'ecdsa-with-SHA256'])
    const refused = adminWorld()
    const body = { policy: { algorithm: 'Ed25519' }, responder: delegate() }
    expect((await addIssuer(refused, body)).status).toBe(422)
    expect(await refused.store.listIssuers()).toEqual([])
  })

  test('is no longer that of a responder that is retired or has expired', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'only' })
    await world.call('POST', '/issuers/demo/responders/only/retire', { force: true })
    expect((await patch(world, { algorithm: 'ecdsa-with-SHA256' })).status).toBe(422)
  })

  test('is no longer there when its last responder is retired, and that is said', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'curve' })
    await patch(world, { algorithm: 'ecdsa-with-SHA256' })
    const key = await generateKeyPair('Ed25519')
    const second = certificate(await pki.responderCertificate({ spki: key.spki }))
    await addResponder(world, { certificate: second, key: privateKey(key.pkcs8), name: 'edwards' })
    const retired = await world.call('POST', '/issuers/demo/responders/curve/retire', {})
    expect([retired.status, codes(retired)]).toEqual([200, ['algorithmGone']])
  })

  test('is not Ed25519 under public-trust (R4.8)', async () => {
    const world = adminWorld()
    await world.call('POST', '/issuers', {
      certificate: certificate(edwards.issuer.certificate),
      name: 'demo',
      responder: delegate(edwards),
    })
    expect((await patch(world, { algorithm: 'Ed25519' })).status).toBe(200)
    expect((await patch(world, { profile: 'public-trust' })).status).toBe(422)
  })
})

describe('what is kept after expiry', () => {
  test('is up to a hundred years, and no longer (R4.50)', async () => {
    expect((await tried({ retainSeconds: 100 * YEAR })).at('issuer.policy.retainSeconds')).toBe(100 * YEAR)
    const answer = await tried({ retainSeconds: 101 * YEAR })
    expect([answer.status, answer.at('error.field')]).toEqual([400, 'policy.retainSeconds'])
  })

  test('has to outlast the CA for an archiveCutoff at its beginning to be true (R4.51)', async () => {
    const short = await tried({ archiveCutoff: 'issuer', retainSeconds: 9 * YEAR })
    expect([short.status, codes(short)]).toEqual([201, expect.arrayContaining(['archiveCutoffNotKept'])])
    const long = await tried({ archiveCutoff: 'issuer', retainSeconds: 11 * YEAR })
    expect([long.at('issuer.policy.archiveCutoff'), codes(long)]).toEqual([
      'issuer',
      expect.not.arrayContaining(['archiveCutoffNotKept']),
    ])
  })

  test('is what an archiveCutoff by retention tells: none of it is a warning (R1.83)', async () => {
    expect(codes(await tried({ archiveCutoff: 'retention', retainSeconds: 0 }))).toContain(
      'archiveCutoffEmpty',
    )
    expect(codes(await tried({ archiveCutoff: 'retention' }))).not.toContain('archiveCutoffEmpty')
  })
})

describe('what a responder certificate makes of the responses (R7.4, R5.47)', () => {
  const large = (octets: number) => {
    const value = new Uint8Array(octets)
    const extension = { extnID: '1.3.6.1.4.1.99999.1', critical: false, value }
    return pki.responderCertificate({ extensions: [...pki.responderExtensions, extension] })
  }

  test('too large to be stapled is a warning under private, and refused under public-trust', async () => {
    const body = { ...delegate(), certificate: certificate(await large(9_500)) }
    const warned = await addResponder(await withIssuer(), body)
    expect([warned.status, codes(warned)]).toEqual([201, expect.arrayContaining(['responsesTooLarge'])])
    const refused = await addResponder(await withIssuer({ profile: 'public-trust' }), body)
    expect([refused.status, codes(refused)]).toEqual([422, expect.arrayContaining(['responsesTooLarge'])])
  })

  test('is looked at again when an issuer goes public-trust', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), certificate: certificate(await large(9_500)) })
    const answer = await patch(world, { profile: 'public-trust' })
    expect([answer.status, codes(answer)]).toEqual([422, expect.arrayContaining(['responsesTooLarge'])])
  })

  test('of a usual size is nothing to be said of, nor is one of 8,000 octets', async () => {
    const world = await withIssuer()
    expect(codes(await addResponder(world, delegate()))).not.toContain('responsesTooLarge')
    const some = { ...delegate(), certificate: certificate(await large(8_000)) }
    expect(codes(await addResponder(world, some))).not.toContain('responsesTooLarge')
  })
})

describe('a precertificate (R4.53)', () => {
  const poison = { extnID: '1.3.6.1.4.1.11129.2.4.3', critical: true, value: Uint8Array.of(5, 0) }

  test('is no issuer, no responder and no requestor', async () => {
    const { spki } = await generateKeyPair('ecdsa-with-SHA256')
    const poisoned = await pki.responderCertificate({
      spki,
      extensions: [...pki.responderExtensions, poison],
    })
    const text = certificate(poisoned)
    const refusals = [
      [await adminWorld().call('POST', '/issuers', { certificate: text }), 'certificate'],
      [await addResponder(await withIssuer(), { ...delegate(), certificate: text }), 'certificate'],
      [await tried({ signedRequests: 'verify', requestors: [text] }), 'policy.requestors[0]'],
    ] as const
    for (const [answer, field] of refusals)
      expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
        422,
        'certificateRefused',
        field,
      ])
  })
})
