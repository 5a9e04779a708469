/** Who may sign requests: what is found of certificates that a policy names, and of those that its CAs have issued. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  authorityKeyIdentifier,
  basicConstraints,
  type CertificateTemplate,
  issueCertificate,
  keyUsage,
  randomSerialNumber,
} from '../../src/cli/dev/issue-certificate.ts'
import { decodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { StorageError } from '../../src/ports/errors.ts'
import type { IssuerPolicy, IssuerRecord } from '../../src/ports/records.ts'
import { type Judgement, type JudgePorts, SignerJudge } from '../../src/responder/signer-judge.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { type CA, DATES, DAY, question, Rig } from '../conformance/harness.ts'
import { hex } from '../fixtures/octets.ts'
import { EPOCH } from '../support/clock.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { makeRequestor, type RequestorOptions } from './requestors.ts'

const GOOD = hex('58 01')

let rig: Rig
/** Asked about, and issuer of most requestors. */
let ca: CA
let elsewhere: TestPKI
let status: JudgePorts['status']

beforeEach(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'asked', freshKeys: true })
  elsewhere = await makeTestPKI({ now: EPOCH, caName: 'Elsewhere', freshKeys: true })
  status = new D1StatusStore(rig.record)
})
afterEach(() => rig.close())

/** What is found of a certificate by an issuer with these requestors. */
async function judge(
  certificate: Uint8Array,
  requestors: readonly Uint8Array[],
  special: Partial<IssuerRecord> = {},
): Promise<Judgement> {
  const { issuers, seen } = rig.isolate.responder
  const root = await rig.isolate.overlay.refresh()
  const now = rig.clock.seconds
  const query = await issuers.resolve(decodeOCSPRequest(question(ca, GOOD)), root, seen, now)
  const policy: IssuerPolicy = { ...query.issuer.policy, signedRequests: 'verify', requestors }
  const issuer = { ...query.issuer, ...special, policy }
  return new SignerJudge({ issuers, status, seen }).judge(certificate, { ...query, issuer }, root, now)
}

const trusts = async (...of: Parameters<typeof judge>) => (await judge(...of)).signer !== undefined

/** A certificate of the CA that is asked, recorded like this. */
async function issued(options: RequestorOptions = {}, as: 'good' | 'revoked' | 'nothing' = 'good') {
  const made = await makeRequestor({ issuer: ca.pki.issuer, ...options })
  const revocation = as === 'revoked' ? { revocationTime: EPOCH - DAY, reason: 1 } : {}
  if (as !== 'nothing') await rig.add(ca, [{ serial: made.serial, status: as, ...revocation, ...DATES }])
  return made
}

/** A certificate of the CA that is asked whose subject is that of the CA, for a key of its own. */
async function namesake(special: Partial<CertificateTemplate> = {}) {
  const { certificate: _, signer, pkcs8 } = await makeRequestor()
  const { spki } = (await makeTestPKI({ now: EPOCH, freshKeys: true })).issuer
  const serialNumber = randomSerialNumber()
  const { name } = ca.pki.issuer
  const template = {
    serialNumber,
    issuer: name,
    subject: name,
    spki,
    extensions: [keyUsage('digitalSignature')],
  }
  const certificate = await issueCertificate({ ...template, ...DATES, ...special }, ca.pki.issuer.signer)
  return { certificate, serial: serialNumber, signer, pkcs8 }
}

describe('a certificate that is named', () => {
  test('is trusted from its first second to its last, whoever issued it (R1.96)', async () => {
    const notBefore = EPOCH - 77
    const notAfter = EPOCH + 77
    for (const issuer of [undefined, elsewhere.issuer]) {
      const by = issuer === undefined ? {} : { issuer }
      const { certificate } = await makeRequestor({ ...by, notBefore, notAfter })
      const { signer, recorded } = await judge(certificate, [certificate])
      expect([signer?.notBefore, signer?.notAfter, recorded]).toEqual([notBefore, notAfter, undefined])
    }
  })

  test('is not when another one is, were it of the same name (R1.25)', async () => {
    const [one, other] = [await makeRequestor(), await makeRequestor()]
    expect(await trusts(other.certificate, [one.certificate])).toBe(false)
    expect(await trusts(other.certificate, [])).toBe(false)
  })

  test.each<[string, RequestorOptions]>([
    ['may not sign', { extensions: [keyUsage('nonRepudiation', 'keyCertSign')] }],
    ['has a short key', { algorithm: 'sha256WithRSAEncryption', rsaBits: 1024 }],
    ['has name constraints', { extensions: [{ extnID: '2.5.29.30', critical: true, value: hex('3000') }] }],
    ['cannot be read', { extensions: [{ extnID: '2.5.29.15', critical: true, value: hex('3000') }] }],
  ])('is not when it %s (R1.96)', async (_, options) => {
    const { certificate } = await makeRequestor(options)
    expect(await trusts(certificate, [certificate])).toBe(false)
  })

  test('and of the CA that is asked is looked up there, with and without authorityKeyIdentifier (R1.25)', async () => {
    for (const extensions of [
      [keyUsage('digitalSignature')],
      [keyUsage('digitalSignature'), authorityKeyIdentifier(ca.pki.issuer.keyHash)],
    ]) {
      const good = await issued({ extensions })
      expect(await trusts(good.certificate, [good.certificate])).toBe(true)
      const revoked = await issued({ extensions }, 'revoked')
      expect(await trusts(revoked.certificate, [revoked.certificate])).toBe(false)
    }
  })

  test('and of another CA that is served here is looked up there (R1.25)', async () => {
    const other = await rig.addCA({ name: 'other', freshKeys: true })
    const extensions = [keyUsage('digitalSignature'), authorityKeyIdentifier(other.pki.issuer.keyHash)]
    const one = await makeRequestor({ issuer: other.pki.issuer, extensions })
    expect(await trusts(one.certificate, [one.certificate])).toBe(false) // never recorded
    await rig.add(other, [{ serial: one.serial, status: 'good', ...DATES }])
    expect((await judge(one.certificate, [one.certificate])).recorded?.issuer.id).toBe(other.record.id)
    expect(await trusts(one.certificate, [one.certificate])).toBe(true)
  })
})

describe('a certificate that a CA of the policy issued', () => {
  test('is trusted while both are valid (R1.96)', async () => {
    const young = await makeTestPKI({
      now: EPOCH,
      caName: 'Young',
      freshKeys: true,
      caNotBefore: EPOCH - 50,
      caNotAfter: EPOCH + 50,
    })
    const { certificate } = await makeRequestor({
      issuer: young.issuer,
      notBefore: EPOCH - 99,
      notAfter: EPOCH + 99,
    })
    const { signer } = await judge(certificate, [young.issuer.certificate])
    expect([signer?.notBefore, signer?.notAfter]).toEqual([EPOCH - 50, EPOCH + 50])
  })

  test('is trusted by the renewed certificate of its CA, beside the one that has expired (R1.96)', async () => {
    const { name, spki, signer } = elsewhere.issuer
    const renewal = (notBefore: number, notAfter: number) =>
      issueCertificate(
        {
          ...{ serialNumber: randomSerialNumber(), issuer: name, subject: name, spki, notBefore, notAfter },
          extensions: [basicConstraints(true), keyUsage('keyCertSign')],
        },
        signer,
      )
    const old = await renewal(EPOCH - 99 * DAY, EPOCH - DAY)
    const future = await renewal(EPOCH + DAY, EPOCH + 999 * DAY)
    const { certificate } = await makeRequestor({ issuer: elsewhere.issuer })
    const current = elsewhere.issuer.certificate
    for (const requestors of [
      [old, current, future],
      [future, old, current],
      [current, future, old],
    ]) {
      const found = await judge(certificate, requestors)
      expect([found.signer?.notBefore, found.signer?.notAfter]).toEqual([EPOCH - 3600, EPOCH + 30 * DAY])
    }
  })

  test('is not when only the name of the CA is right, or its key (R1.96)', async () => {
    const forged = await makeRequestor({
      issuer: { name: elsewhere.issuer.name, signer: ca.pki.issuer.signer },
    })
    const renamed = await makeRequestor({
      issuer: { name: ca.pki.issuer.name, signer: elsewhere.issuer.signer },
    })
    for (const { certificate } of [forged, renamed])
      expect(await trusts(certificate, [elsewhere.issuer.certificate])).toBe(false)
  })

  test.each([
    ['is no CA', [basicConstraints(false), keyUsage('digitalSignature', 'keyCertSign')]],
    ['has no basicConstraints', [keyUsage('digitalSignature', 'keyCertSign')]],
    ['may not sign certificates', [basicConstraints(true), keyUsage('digitalSignature', 'cRLSign')]],
  ])('is not when that %s (R1.96)', async (_, caExtensions) => {
    const pki = await makeTestPKI({ now: EPOCH, caName: 'No CA', freshKeys: true, caExtensions })
    const { certificate } = await makeRequestor({ issuer: pki.issuer })
    expect(await trusts(certificate, [pki.issuer.certificate])).toBe(false)
  })

  test('is not when a CA between the two issued it (R1.96)', async () => {
    const extensions = [basicConstraints(true), keyUsage('digitalSignature', 'keyCertSign')]
    const between = await makeRequestor({ issuer: elsewhere.issuer, extensions, commonName: 'Between' })
    const { certificate } = await makeRequestor({ issuer: between })
    expect(await trusts(between.certificate, [elsewhere.issuer.certificate])).toBe(true)
    expect(await trusts(certificate, [elsewhere.issuer.certificate])).toBe(false)
  })

  test('is not when it was signed with SHA-1, or the two identifiers differ (R1.96)', async () => {
    const { signer } = elsewhere.issuer
    for (const signatureAlgorithm of [hex('3009 06072a8648ce3d0401'), hex('300a 06082a8648ce3d040303')]) {
      const issuer = { name: elsewhere.issuer.name, signer: { ...signer, signatureAlgorithm } }
      const { certificate } = await makeRequestor({ issuer })
      expect(await trusts(certificate, [elsewhere.issuer.certificate])).toBe(false)
    }
  })

  test('is not when it is revoked, though its subject is the name of its issuer (R1.25)', async () => {
    const one = await namesake()
    await rig.add(ca, [{ serial: one.serial, status: 'good', ...DATES }])
    expect(await trusts(one.certificate, [ca.pki.issuer.certificate])).toBe(true)
    await rig.change(ca, one.serial, { to: 'revoked', reason: 1 })
    expect(await trusts(one.certificate, [ca.pki.issuer.certificate])).toBe(false)
    expect(await trusts(one.certificate, [one.certificate])).toBe(false)
  })

  test('the CA itself may sign: nobody revokes what is of its own making (R1.96)', async () => {
    const { certificate } = ca.pki.issuer
    expect(await trusts(certificate, [certificate])).toBe(true)
  })

  test('a requestor of the policy that cannot be read vouches for nobody, and harms nobody', async () => {
    const { certificate } = await makeRequestor({ issuer: elsewhere.issuer })
    expect(await trusts(certificate, [hex('3003020101'), elsewhere.issuer.certificate])).toBe(true)
    expect(await trusts(hex('3003020101'), [hex('3003020101')])).toBe(false)
  })
})

describe('the record', () => {
  const byCA = (certificate: Uint8Array) => trusts(certificate, [ca.pki.issuer.certificate])

  test('says who is revoked, held, released or not there (R1.25)', async () => {
    const one = await issued({}, 'nothing')
    expect(await byCA(one.certificate)).toBe(false)
    await rig.add(ca, [{ serial: one.serial, status: 'good', ...DATES }])
    expect(await byCA(one.certificate)).toBe(true)
    await rig.change(ca, one.serial, { to: 'hold' })
    expect(await byCA(one.certificate)).toBe(false)
    await rig.change(ca, one.serial, { to: 'released' })
    expect(await byCA(one.certificate)).toBe(true)
    await rig.change(ca, one.serial, { to: 'revoked', reason: 1 })
    expect(await byCA(one.certificate)).toBe(false)
  })

  test('that has only what is revoked: whoever is not there is good (R1.33)', async () => {
    const one = await issued({}, 'nothing')
    await rig.setPolicy(ca, { unknown: 'good' })
    expect(await byCA(one.certificate)).toBe(true)
  })

  test('of a compromised CA trusts nobody (R1.41)', async () => {
    const one = await issued()
    await rig.isolate.admin.compromiseIssuer(ca.record.id, EPOCH, rig.clock.nowMs())
    await rig.pass(1)
    expect(await byCA(one.certificate)).toBe(false)
  })

  test('that cannot be read, or is behind the overlay, is no word against anybody (R1.28)', async () => {
    const one = await issued()
    const inner = status
    status = { readStatuses: async () => Promise.reject(new StorageError('unavailable', 'gone')) }
    await expect(byCA(one.certificate)).rejects.toThrow(new StorageError('unavailable', 'gone'))
    status = { readStatuses: async (...of) => ({ ...(await inner.readStatuses(...of)), asOf: 1 }) }
    await expect(byCA(one.certificate)).rejects.toThrow('D1 is behind the published overlay')
  })
})
