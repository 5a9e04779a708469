import { describe, expect, test } from 'vitest'
import { addIssuer, delegate, pki, privateKey } from './admin-pki.ts'
import { adminWorld } from './admin-world.ts'

describe('keys do not come out (law 8)', () => {
  /** Every run of 24 octets of the key's secret part, in each spelling that a leak would have. */
  function traces(pkcs8: Uint8Array): string[] {
    const bytes = Buffer.from(pkcs8)
    const whole = bytes.toString('base64')
    return [
      whole.slice(48, 80),
      whole.slice(8, 40),
      bytes.subarray(36, 60).toString('hex'),
      bytes.subarray(36, 60).toString('base64'),
    ]
  }

  test('not in an answer, an error or the log, whatever is wrong with the request', async () => {
    const world = adminWorld()
    const key = privateKey(pki.responder.pkcs8)
    const base64 = Buffer.from(pki.responder.pkcs8).toString('base64')
    const all: string[] = []
    const say = async (method: string, path: string, body?: unknown) => {
      all.push((await world.call(method, path, body)).text)
    }
    await addIssuer(world)
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: `${key}x` })
    await say('POST', '/issuers/demo/responders', {
      ...delegate(),
      key: key.replace('PRIVATE KEY', 'EC PRIVATE KEY'),
    })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: key.slice(0, -60) })
    await say('POST', '/issuers/demo/responders', {
      ...delegate(),
      key: Buffer.from(pki.responder.pkcs8).subarray(1).toString('base64'),
    })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: [key] })
    await say('POST', '/issuers/demo/responders', { ...delegate(), key: undefined, secretName: key })
    await say('POST', '/issuers/demo/responders', { ...delegate(), algorithm: key })
    await say('POST', '/issuers/demo/responders', { ...delegate(), name: key, [key]: 1 })
    await say('POST', '/issuers/demo/responders', JSON.stringify(delegate()).slice(0, -3))
    await say('POST', '/issuers/demo/responders', `x${JSON.stringify(delegate())}`)
    await say('POST', '/issuers', { certificate: key })
    await say('POST', '/issuers/demo/revocations', { serial: key, reason: key, at: key })
    for (const field of ['secretName', 'algorithm', 'name', 'certificate']) {
      await say('POST', '/issuers/demo/responders', { ...delegate(), [field]: base64 })
    }
    await say('POST', '/issuers/demo/responders', { ...delegate(), [base64]: 1 })
    await say('POST', '/issuers/demo/revocations', { serial: base64, reason: base64, at: base64 })
    await say('POST', '/issuers/demo/revocations', { serial: '1', reason: base64, at: base64 })
    await say('POST', '/presign', { issuer: base64 })
    world.store.faults.set('addResponder', new Error(`boom ${key}`))
    await say('POST', '/issuers/demo/responders', delegate())
    world.store.faults.clear()
    await say('POST', '/issuers/demo/responders', delegate())
    await say('GET', '/issuers/demo')
    await say('GET', '/issuers')
    await say('GET', '/issuers/demo/responders')
    await say('GET', '/status')
    expect(all.some((text) => text.includes('"state":"active"'))).toBe(true)
    const everything = all.join('\n') + JSON.stringify(world.logged)
    for (const trace of traces(pki.responder.pkcs8)) expect(everything).not.toContain(trace)
    expect(everything).not.toContain(Buffer.from(new Uint8Array(32).fill(7)).toString('base64'))
  })
})
