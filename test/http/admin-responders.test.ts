import { describe, expect, test } from 'vitest'
import { StorageError } from '../../src/ports/errors.ts'
import { hex, makeTestPKI } from '../support/pki.ts'
import { addResponder, certificate, DAY, delegate, other, pki, privateKey, withIssuer } from './admin-pki.ts'
import { adminWorld, NOW } from './admin-world.ts'

describe('responders', () => {
  test('a second responder overlaps the first; the newest valid one is active (90-day delegates roll without a gap)', async () => {
    const world = await withIssuer()
    const renewed = await pki.responderCertificate({ notBefore: NOW - 60, notAfter: NOW + 90 * DAY })
    await addResponder(world, { ...delegate(), name: 'first' })
    const answer = await addResponder(world, {
      ...delegate(),
      certificate: certificate(renewed),
      name: 'second',
    })
    expect([answer.status, answer.at('responder.state')]).toEqual([201, 'active'])
    const list = await world.call('GET', '/issuers/demo/responders')
    expect([list.at('responders.0.state'), list.at('responders.1.state')]).toEqual(['standby', 'active'])
    const retired = await world.call('POST', '/issuers/demo/responders/first/retire', {})
    expect([retired.status, retired.at('responder.state'), retired.at('issuer.responders.1.state')]).toEqual([
      200,
      'retired',
      'active',
    ])
  })

  test('the CA key signs itself: no certificate, byKey of the CA (R1.59)', async () => {
    const direct = await makeTestPKI({ now: NOW, caName: 'Direct CA', delegated: false, freshKeys: true })
    const world = adminWorld()
    await world.call('POST', '/issuers', {
      certificate: certificate(direct.issuer.certificate),
      name: 'demo',
    })
    const answer = await addResponder(world, { signWithCA: true, key: privateKey(direct.issuer.pkcs8) })
    expect([answer.status, answer.at('responder.kind'), answer.at('responder.keyHash')]).toEqual([
      201,
      'ca',
      hex(direct.issuer.keyHash),
    ])
    expect(answer.at('responder.certificate')).toBeUndefined()
  })

  test('custody secret: only the name of the secret is kept, and its key has to match', async () => {
    const secrets: Record<string, string> = {
      OCSP_KEY: privateKey(pki.responder.pkcs8),
      OTHER_KEY: privateKey(other.responder.pkcs8),
    }
    const world = await withIssuer({}, { secret: (name: string) => secrets[name], kek: undefined })
    const { certificate: text } = delegate()
    const missing = await addResponder(world, { certificate: text, secretName: 'NO_KEY' })
    expect([missing.status, missing.at('error.code'), missing.at('error.field')]).toEqual([
      422,
      'secretMissing',
      'secretName',
    ])
    const wrong = await addResponder(world, { certificate: text, secretName: 'OTHER_KEY' })
    expect([wrong.status, wrong.at('error.code')]).toEqual([422, 'keyMismatch'])
    const own = await addResponder(world, { certificate: text, secretName: 'ADMIN_TOKEN' })
    expect([own.status, own.at('error.code')]).toEqual([422, 'keyUnreadable'])
    const answer = await addResponder(world, { certificate: text, secretName: 'OCSP_KEY' })
    expect([answer.status, answer.at('responder.custody'), answer.at('responder.secretName')]).toEqual([
      201,
      'secret',
      'OCSP_KEY',
    ])
    expect([...world.store.wrapped.values()]).toEqual([undefined])
  })

  test('names KEY_ENCRYPTION_KEY with 503 when it is missing', async () => {
    const world = await withIssuer({}, { kek: undefined })
    const answer = await addResponder(world, delegate())
    expect([answer.status, answer.at('error.code')]).toEqual([503, 'secretMissing'])
    expect(answer.at('error.message')).toContain('KEY_ENCRYPTION_KEY')
  })

  test.each([
    ['neither certificate nor signWithCA', () => ({ key: 'x' }), 400, 'invalidField', 'certificate'],
    ['both', () => ({ ...delegate(), signWithCA: true }), 400, 'invalidField', 'certificate'],
    ['no key', () => ({ certificate: delegate().certificate }), 400, 'invalidField', 'key'],
    ['an unreadable key', () => ({ ...delegate(), key: 'garbage' }), 422, 'keyUnreadable', 'key'],
    [
      'a certificate for a key',
      () => ({ ...delegate(), key: delegate().certificate }),
      422,
      'keyUnreadable',
      'key',
    ],
    [
      'an algorithm that the key has not',
      () => ({ ...delegate(), algorithm: 'Ed25519' }),
      422,
      'certificateRefused',
      'algorithm',
    ],
  ])('refuses %s', async (_what, body, status, code, field) => {
    const answer = await addResponder(await withIssuer(), body())
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([status, code, field])
  })

  test('refuses a delegate of another CA with all findings (R1.55, R1.61)', async () => {
    const answer = await addResponder(await withIssuer(), delegate(other))
    expect([answer.status, answer.at('error.code'), answer.at('error.field')]).toEqual([
      422,
      'certificateRefused',
      'certificate',
    ])
    expect(answer.text).toContain('wrongIssuer')
    expect(answer.text).toContain('badSignature')
  })

  test('an expired delegate is refused; a missing nocheck warns, or refuses under public-trust (R1.60, R1.61)', async () => {
    const expired = await pki.responderCertificate({ notBefore: NOW - 2 * DAY, notAfter: NOW - DAY })
    const refused = await addResponder(await withIssuer(), {
      ...delegate(),
      certificate: certificate(expired),
    })
    expect([refused.status, refused.at('error.findings.0.code')]).toEqual([422, 'expired'])
    const bare = {
      ...delegate(),
      certificate: certificate(
        await pki.responderCertificate({ extensions: pki.responderExtensions.slice(0, 1) }),
      ),
    }
    const warned = await addResponder(await withIssuer(), bare)
    expect(warned.status).toBe(201)
    expect(warned.text).toContain('noNoCheck')
    const strict = await addResponder(await withIssuer({ profile: 'public-trust' }), bare)
    expect([strict.status, strict.at('error.code')]).toEqual([422, 'certificateRefused'])
  })

  test('public-trust refuses Ed25519, private takes it (R4.8)', async () => {
    const edwards = await makeTestPKI({ now: NOW, algorithm: 'Ed25519' })
    const body = delegate(edwards)
    expect((await addResponder(await withIssuer(), body)).status).toBe(201)
    const strict = await addResponder(await withIssuer({ profile: 'public-trust' }), body)
    expect(strict.status).toBe(422)
    expect(strict.text).toContain('algorithmForbidden')
  })

  test('refuses the same certificate twice', async () => {
    const world = await withIssuer()
    await addResponder(world, delegate())
    const again = await addResponder(world, { ...delegate(), name: 'again' })
    expect([again.status, again.at('error.code')]).toEqual([409, 'conflict'])
  })

  test('refuses to retire the last usable responder unless forced, or the key leaked', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'only' })
    const refused = await world.call('POST', '/issuers/demo/responders/only/retire', {})
    expect([refused.status, refused.at('error.code')]).toEqual([409, 'lastResponder'])
    const forced = await world.call('POST', '/issuers/demo/responders/only/retire', { force: true })
    expect([forced.status, forced.at('responder.state')]).toEqual([200, 'retired'])
    expect(forced.text).toContain('noResponder')
  })

  test('a compromised key raises the floor, also when the first attempt died half-way', async () => {
    const world = await withIssuer()
    await addResponder(world, { ...delegate(), name: 'leaked' })
    world.store.faults.set('raiseFloor', new StorageError('unavailable', 'down'))
    const first = await world.call('POST', '/issuers/demo/responders/leaked/retire', { compromised: true })
    expect([first.status, first.headers.get('Retry-After')]).toEqual([503, '5'])
    world.store.faults.clear()
    const before = (await world.store.findIssuer('demo'))?.configRev ?? 0
    const second = await world.call('POST', '/issuers/demo/responders/leaked/retire', { compromised: true })
    expect(second.status).toBe(200)
    expect(world.happened.at(-1)).toBe(`publish 1@${before + 1}`)
  })

  test('an unknown responder is 404', async () => {
    const answer = await (await withIssuer()).call('POST', '/issuers/demo/responders/9/retire', {})
    expect([answer.status, answer.at('error.field')]).toEqual([404, 'responder'])
  })
})
