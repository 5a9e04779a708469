/** What root programs ask of signatures, extensions and the spread of windows, from outside. */
import { describe, expect, test } from 'vitest'
import { CRL_REASONS } from '../../src/pkix/crl-reason.ts'
import { SIGNATURE_ALGORITHM_NAMES, SIGNATURE_ALGORITHMS } from '../../src/signing/algorithms.ts'
import { hex, toHex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { DATES, DAY, question, Rig, singleOf } from './harness.ts'

const GOOD = hex('41 01')

describe('signatures', () => {
  const identifiers = SIGNATURE_ALGORITHM_NAMES.map((name) => toHex(SIGNATURE_ALGORITHMS[name].identifier))

  test('no algorithm on offer hashes with SHA-1 or MD5 what a nonce may choose (R3.14)', () => {
    for (const identifier of identifiers)
      for (const weak of ['2a864886f70d010105', '2a864886f70d010104', '2a8648ce3d0401', '2b0e03021a'])
        expect(identifier).not.toContain(weak)
  })

  test('no algorithm on offer is post-quantum, so that none can sign under the Baseline Requirements (R7.3)', () => {
    for (const identifier of identifiers) expect(identifier).not.toContain('6086480165030403')
  })

  test('an RSA key signs with sha256WithRSAEncryption, which every client must verify (R1.89)', async () => {
    const rig = new Rig()
    const ca = await rig.addCA({ name: 'rsa', algorithm: 'sha256WithRSAEncryption' })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    const { body } = await rig.get(question(ca, GOOD))
    expect(toHex(body)).toContain('300d06092a864886f70d01010b0500')
    rig.close()
  })
})

test('no singleExtensions, reasonCode least of all, whatever the reason (R4.20)', async () => {
  const rig = new Rig()
  const ca = await rig.addCA({ name: 'reasons' })
  for (const reason of Object.values(CRL_REASONS)) {
    if (reason === 6 || reason === 8) continue // a hold is a status of its own; removeFromCRL is none
    const serial = Uint8Array.of(0x50, reason)
    await rig.add(ca, [{ serial, status: 'revoked', reason, revocationTime: EPOCH - 3_600, ...DATES }])
    const reply = await rig.get(question(ca, serial))
    expect(reply.said).toBe('revoked')
    expect(singleOf(reply).singleExtensions).toBeUndefined()
    expect(toHex(reply.body)).not.toContain('0603551d15')
  }
  rig.close()
})

test('issuers signed together do not fall due together: jitter shortens windows by up to a twentieth (R6.19)', async () => {
  const rig = new Rig()
  const lengths = new Set<number>()
  for (let n = 0; n < 6; n += 1) {
    const ca = await rig.addCA({ name: `ca-${n}`, freshKeys: true })
    await rig.add(ca, [{ serial: GOOD, status: 'good', ...DATES }])
    await rig.presign()
    const { thisUpdate, nextUpdate } = singleOf(await rig.get(question(ca, GOOD)))
    expect(nextUpdate - thisUpdate).toBeLessThan(7 * DAY)
    expect(nextUpdate - thisUpdate).toBeGreaterThan(7 * DAY * 0.95 - 2)
    lengths.add(nextUpdate - thisUpdate)
  }
  expect(lengths.size).toBeGreaterThan(3)
  rig.close()
})
