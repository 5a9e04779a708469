import { describe, expect, test } from 'vitest'
import { basicConstraints, keyUsage } from '../../src/cli/dev/issue-certificate.ts'
import { makeTestPKI } from '../support/pki.ts'
import { addIssuer, certificate, DAY, delegate, pki, privateKey } from './admin-pki.ts'
import { adminWorld, NOW } from './admin-world.ts'

describe('the policy of an issuer (R8.3)', () => {
  const HOUR = 3600
  test.each([
    ['private', 59, 422],
    ['private', 60, 201],
    ['private', 10 * DAY, 201],
    ['private', 10 * DAY + 1, 422],
    ['public-trust', 16 * HOUR - 1, 422],
    ['public-trust', 16 * HOUR, 201],
    ['public-trust', 7 * DAY, 201], // nextUpdate = thisUpdate + 7 d - 1 s (R4.35)
    ['public-trust', 7 * DAY + 1, 422],
  ])('%s with a validity of %i s: %i (R4.1, R4.35)', async (profile, validitySeconds, status) => {
    const answer = await addIssuer(adminWorld(), { policy: { profile, validitySeconds } })
    expect(answer.status).toBe(status)
    if (status === 422)
      expect([answer.at('error.code'), answer.at('error.findings.0.code')]).toEqual([
        'policyRefused',
        'validityOutOfRange',
      ])
  })

  test('warns of a validity below 8 hours', async () => {
    const answer = await addIssuer(adminWorld(), { policy: { validitySeconds: 8 * HOUR - 1 } })
    expect(answer.text).toContain('validityShort')
    expect((await addIssuer(adminWorld(), { policy: { validitySeconds: 8 * HOUR } })).text).not.toContain(
      'validityShort',
    )
  })

  test.each([
    [{ unknown: 'good' }, 422, 'unknownGoodUnasked'],
    [{ unknown: 'good', crlOnly: true }, 201, 'unknownGood'],
    [{ crlOnly: true }, 422, 'crlOnlyUnused'],
    [{ unknown: 'good', crlOnly: true, profile: 'public-trust' }, 422, 'unknownGoodForbidden'],
    [{ unknown: 'unknown' }, 201, undefined],
  ])(
    'good for what was never recorded has to be asked for in words: %j gives %i (R1.33, R1.35)',
    async (policy, status, code) => {
      const answer = await addIssuer(adminWorld(), { policy })
      expect(answer.status).toBe(status)
      if (code !== undefined) expect(answer.text).toContain(code)
    },
  )

  test('refuses an unknown word for unknown, by field', async () => {
    const answer = await addIssuer(adminWorld(), { policy: { unknown: 'unauthorised' } })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      400,
      'invalidField',
      'policy.unknown',
    ])
  })

  test('a PATCH changes what it names and keeps the rest', async () => {
    const world = adminWorld()
    await addIssuer(world, { policy: { nonce: 'ignore' } })
    const answer = await world.call('PATCH', '/issuers/demo', {
      policy: { validitySeconds: DAY, hashes: ['SHA-256', 'SHA-1', 'SHA-1'] },
    })
    expect(answer.status).toBe(200)
    expect(answer.at('issuer.policy.nonce')).toBe('ignore')
    expect(answer.at('issuer.policy.validitySeconds')).toBe(DAY)
    expect(answer.at('issuer.policy.hashes')).toEqual(['SHA-1', 'SHA-256'])
  })

  test('a PATCH to public-trust checks validity, unknown and responders again', async () => {
    const world = adminWorld()
    const noCheckLess = await pki.responderCertificate({ extensions: pki.responderExtensions.slice(0, 1) })
    await addIssuer(world, { responder: { ...delegate(), certificate: certificate(noCheckLess) } })
    const answer = await world.call('PATCH', '/issuers/demo', { policy: { profile: 'public-trust' } })
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'policyRefused',
      'policy.profile',
    ])
    expect(answer.text).toContain('noNoCheck')
    expect((await world.call('GET', '/issuers/demo')).at('policy.profile')).toBe('private')
  })

  test('a CA key without digitalSignature signs nothing under public-trust, added or there already (R4.6)', async () => {
    const plain = await makeTestPKI({
      now: NOW,
      caName: 'Certificates alone',
      delegated: false,
      caExtensions: [basicConstraints(true), keyUsage('keyCertSign', 'cRLSign')],
    })
    const body = {
      certificate: certificate(plain.issuer.certificate),
      name: 'demo',
      responder: { signWithCA: true, key: privateKey(plain.issuer.pkcs8) },
    }
    const strict = { ...body, policy: { profile: 'public-trust' } }
    const refused = await adminWorld().call('POST', '/issuers', strict)
    expect([refused.status, refused.at('error.findings.0.code')]).toEqual([422, 'noDigitalSignature'])
    const world = adminWorld()
    expect((await world.call('POST', '/issuers', body)).status).toBe(201)
    const patched = await world.call('PATCH', '/issuers/demo', { policy: { profile: 'public-trust' } })
    expect([patched.status, patched.at('error.findings.0.code')]).toEqual([422, 'noDigitalSignature'])
  })

  test('a delegate with less than 8 hours left is refused under public-trust, and warned of under private (R1.66, R4.32)', async () => {
    const ending = certificate(await pki.responderCertificate({ notAfter: NOW + 8 * HOUR - 1 }))
    const responder = { ...delegate(), certificate: ending }
    const strict = await addIssuer(adminWorld(), { policy: { profile: 'public-trust' }, responder })
    expect([strict.status, strict.at('error.field')]).toEqual([422, 'responder.certificate'])
    expect(strict.text).toContain('expiresSoon')
    const warned = await addIssuer(adminWorld(), { responder })
    expect(warned.status).toBe(201)
    expect(warned.text).toContain('expiresSoon')
  })
})
