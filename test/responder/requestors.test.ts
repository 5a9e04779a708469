/** The desk where signed requests are let in: algorithms, memory, budgets, and one judgement for all who wait for it. */
import { constants, createPrivateKey, type SignKeyObjectInput, sign } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import type { OverlayView } from '../../src/overlay/view.ts'
import { RequestRefused, StorageError } from '../../src/ports/errors.ts'
import type { SignatureAlgorithm } from '../../src/ports/records.ts'
import { type RequestorPorts, Requestors } from '../../src/responder/requestors.ts'
import { SignerJudge } from '../../src/responder/signer-judge.ts'
import { D1StatusStore } from '../../src/storage/d1-status-store.ts'
import { type CA, DATES, question, Rig } from '../conformance/harness.ts'
import { hex } from '../fixtures/octets.ts'
import { makeRequestor, type Requestor, type SignedParts, signedRequest } from './requestors.ts'

const GOOD = hex('57 01')
const RSA = 'sha256WithRSAEncryption'

let rig: Rig
let ca: CA
/** Issued by the CA that it asks about, and recorded. */
let person: Requestor
let requestors: Requestors
/** How often the judge was asked. */
let judged: number
/** Before the judge says what it has found. */
let beforeVerdict: () => Promise<void>

beforeEach(async () => {
  rig = new Rig()
  ca = await rig.addCA({ name: 'guarded' })
  await rig.setPolicy(ca, { signedRequests: 'verify', requestors: [ca.pki.issuer.certificate] })
  person = await makeRequestor({ issuer: ca.pki.issuer })
  await rig.add(ca, [
    { serial: GOOD, status: 'good', ...DATES },
    { serial: person.serial, status: 'good', ...DATES },
  ])
  requestors = newDesk()
})
afterEach(() => rig.close())

function newDesk(): Requestors {
  judged = 0
  beforeVerdict = async () => {}
  const { issuers, seen } = rig.isolate.responder
  const inner = new SignerJudge({ issuers, status: new D1StatusStore(rig.record), seen })
  const judge: RequestorPorts['judge'] = {
    async judge(...of) {
      judged += 1
      const found = await inner.judge(...of)
      await beforeVerdict()
      return found
    },
  }
  return new Requestors({ judge, seen, clock: rig.clock, background: () => {} })
}

const rootNow = (): Promise<OverlayView> => rig.isolate.overlay.refresh()

async function admit(der: Uint8Array, root?: OverlayView): Promise<SignatureAlgorithm | undefined> {
  const { issuers, seen } = rig.isolate.responder
  const at = root ?? (await rootNow())
  const request = decodeOCSPRequest(der)
  return requestors.admit(request, await issuers.resolve(request, at, seen, rig.clock.seconds), at)
}

const admitBy = async (by: Requestor, parts?: SignedParts, root?: OverlayView) =>
  admit(await signedRequest(ca, GOOD, by, parts), root)

const REFUSED = new RequestRefused('signatureRefused')
/** `admitted`, or why not. */
const outcome = (admitting: Promise<unknown>): Promise<string> =>
  admitting.then(
    () => 'admitted',
    (error: unknown) =>
      error instanceof StorageError || error instanceof RequestRefused ? error.reason : String(error),
  )

describe('algorithms', () => {
  test.each([
    'ecdsa-with-SHA256',
    'ecdsa-with-SHA384',
    'ecdsa-with-SHA512',
    'Ed25519',
    RSA,
    'rsassaPss-sha256',
  ] as const)('%s is verified, and can be that of the answer (R1.96, R1.86)', async (algorithm) => {
    const by = await makeRequestor({ algorithm })
    await rig.setPolicy(ca, { signedRequests: 'verify', requestors: [by.certificate] })
    expect(await admitBy(by)).toBe(algorithm)
    await expect(
      admitBy(by, { alterSignature: (octets) => octets.map((octet) => octet ^ 1) }),
    ).rejects.toEqual(REFUSED)
  })

  const pss = (hash: string, salt: string) =>
    hex(`3041 06092a864886f70d01010a 3034 a00f 300d 0609${hash} 0500
      a11c 301a 06092a864886f70d010108 300d 0609${hash} 0500 a203 0201${salt}`)
  const padded = (saltLength: number) => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
  test.each<[string, SignatureAlgorithm, string, Uint8Array, Partial<SignKeyObjectInput>]>([
    ['RSA with SHA-384', RSA, 'sha384', hex('300d 06092a864886f70d01010c 0500'), {}],
    ['RSA with SHA-512', RSA, 'sha512', hex('300d 06092a864886f70d01010d 0500'), {}],
    ['PSS with SHA-384', RSA, 'sha384', pss('608648016503040202', '30'), padded(48)],
    ['PSS with SHA-512', RSA, 'sha512', pss('608648016503040203', '40'), padded(64)],
    ['P-256 with SHA-512', 'ecdsa-with-SHA256', 'sha512', hex('300a 06082a8648ce3d040304'), {}],
    ['P-384 with SHA-256', 'ecdsa-with-SHA384', 'sha256', hex('300a 06082a8648ce3d040302'), {}],
    ['P-521 with SHA-256', 'ecdsa-with-SHA512', 'sha256', hex('300a 06082a8648ce3d040302'), {}],
  ])('%s is verified (R1.96)', async (_, algorithm, hash, identifier, options) => {
    const by = await makeRequestor({ algorithm })
    await rig.setPolicy(ca, { signedRequests: 'verify', requestors: [by.certificate] })
    const key = createPrivateKey({ key: Buffer.from(by.pkcs8), format: 'der', type: 'pkcs8' })
    const signer = {
      ...by.signer,
      signatureAlgorithm: identifier,
      sign: async (tbs: Uint8Array) => new Uint8Array(sign(hash, tbs, { key, ...options })),
    }
    expect(await outcome(admitBy({ ...by, signer }))).toBe('admitted')
    const wrong = { ...signer, sign: (tbs: Uint8Array) => signer.sign(tbs.map((octet) => octet ^ 1)) }
    expect(await outcome(admitBy({ ...by, signer: wrong }))).toBe('signatureRefused')
  })
})

describe('what a requestor was found to be', () => {
  const stranger = () => makeRequestor({ commonName: 'A stranger' })

  test.each([
    ['trusted', async () => person, 'admitted'],
    ['not trusted', stranger, 'signatureRefused'],
  ])('is kept for 60 seconds: %s', async (_, make, expected) => {
    const by = await make()
    const root = await rootNow()
    for (const seconds of [0, 30, 29]) {
      rig.clock.advance(seconds * 1000)
      expect(await outcome(admitBy(by, {}, root))).toBe(expected)
      expect(judged).toBe(1)
    }
    rig.clock.advance(1000)
    expect(await outcome(admitBy(by, {}, root))).toBe(expected)
    expect(judged).toBe(2)
  })

  test('is kept by certificate: the signature of each request is verified (R1.25)', async () => {
    expect(await outcome(admitBy(person))).toBe('admitted')
    expect(
      await outcome(
        admitBy(person, { alterTBS: (tbs) => tbs.map((o, i) => (i === tbs.length - 1 ? o ^ 1 : o)) }),
      ),
    ).toBe('signatureRefused')
    expect(judged).toBe(1)
  })

  test('ends with the policy that it was found by', async () => {
    expect(await outcome(admitBy(person))).toBe('admitted')
    await rig.setPolicy(ca, { signedRequests: 'verify', requestors: [(await stranger()).certificate] })
    expect(await outcome(admitBy(person))).toBe('signatureRefused')
  })

  test('ends when the overlay names a revocation, within the 60 seconds (R1.25)', async () => {
    expect(await outcome(admitBy(person))).toBe('admitted')
    await rig.change(ca, person.serial, { to: 'revoked', reason: 1 })
    expect(await outcome(admitBy(person))).toBe('signatureRefused')
    expect(judged).toBe(2)
  })

  test('ends when this isolate has itself told of a revocation that no overlay names yet (R1.25)', async () => {
    const root = await rootNow()
    expect(await outcome(admitBy(person, {}, root))).toBe('admitted')
    const { revision } = await rig.isolate.admin.changeStatus(
      ca.record.id,
      person.serial,
      { to: 'revoked', reason: 1 },
      rig.clock.nowMs(),
    )
    const at = root.issuer(ca.record.id)
    if (at === undefined) throw new Error('the root does not know the issuer')
    rig.isolate.responder.seen.note(at, person.serial, revision)
    expect(await outcome(admitBy(person, {}, root))).toBe('signatureRefused')
  })

  test('ends when its CA is compromised (R1.25, R1.41)', async () => {
    expect(await outcome(admitBy(person))).toBe('admitted')
    await rig.isolate.admin.compromiseIssuer(ca.record.id, rig.clock.seconds, rig.clock.nowMs())
    await rig.pass(1)
    expect(await outcome(admitBy(person))).toBe('signatureRefused')
  })

  test('ends with its certificate and begins with it, to the second, kept or not (R1.25)', async () => {
    const begin = rig.clock.seconds + 100
    const short = await makeRequestor({ notBefore: begin, notAfter: begin + 20 })
    await rig.setPolicy(ca, { signedRequests: 'verify', requestors: [short.certificate] })
    const root = await rootNow()
    for (const [after, expected] of [
      [-1, 'signatureRefused'],
      [0, 'admitted'],
      [20, 'admitted'],
      [21, 'signatureRefused'],
    ] as const) {
      rig.clock.moveTo(begin + after)
      expect(await outcome(admitBy(short, {}, root))).toBe(expected)
      if (after === 20) requestors = newDesk()
      if (after === 20) expect(await outcome(admitBy(short, {}, root))).toBe(expected)
    }
  })
})

describe('a judgement', () => {
  test('is one for all who wait for it', async () => {
    const root = await rootNow()
    const der = await signedRequest(ca, GOOD, person)
    const all = await Promise.all(Array.from({ length: 20 }, () => outcome(admit(der, root))))
    expect(new Set(all)).toEqual(new Set(['admitted']))
    expect(judged).toBe(1)
  })

  test('that began before a revocation is not for those who know of it (R1.25)', async () => {
    const { promise: told, resolve: tell } = Promise.withResolvers<void>()
    const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>()
    beforeVerdict = () => {
      isAsked()
      return judged === 1 ? told : Promise.resolve()
    }
    const before = await rootNow()
    const first = outcome(admitBy(person, {}, before))
    await asked
    await rig.change(ca, person.serial, { to: 'revoked', reason: 1 })
    const second = outcome(admitBy(person, {}, await rootNow()))
    await new Promise((resolve) => setTimeout(resolve, 20)) // it waits for the first
    tell()
    expect(await second).toBe('signatureRefused')
    expect(await first).toBe('admitted')
  })

  test('that fails is nobody else: the next one asks again, and the failure is no refusal (R1.28)', async () => {
    beforeVerdict = async () => {
      if (judged === 1) throw new StorageError('unavailable', 'gone')
    }
    expect(await outcome(admitBy(person))).toBe('unavailable')
    expect(await outcome(admitBy(person))).toBe('admitted')
    expect(judged).toBe(2)
  })
})

describe('budgets', () => {
  /** Certificates that nobody knows, each other than all before. */
  const strangers = async (count: number) => {
    const { certificate, ...stranger } = await makeRequestor({ commonName: 'A stranger' })
    return Array.from({ length: count }, (_, i) => {
      const copy = Uint8Array.from(certificate)
      const at = copy.length - 20
      copy[at] = i & 0xff
      copy[at + 1] = i >> 8
      return { ...stranger, certificate: copy }
    })
  }
  const tally = async (outcomes: readonly Promise<string>[]) => {
    const counts: Record<string, number> = {}
    for (const one of await Promise.all(outcomes)) counts[one] = (counts[one] ?? 0) + 1
    return counts
  }

  test('100 strangers are looked at at once, and 50 a second; the others are put off (R1.28)', async () => {
    const root = await rootNow()
    const all = await strangers(240)
    const outcomes = (some: readonly Requestor[]) => tally(some.map((by) => outcome(admitBy(by, {}, root))))
    expect(await outcomes(all.slice(0, 120))).toEqual({ signatureRefused: 100, overBudget: 20 })
    rig.clock.advance(1000)
    expect(await outcomes(all.slice(120, 240))).toEqual({ signatureRefused: 50, overBudget: 70 })
    expect(judged).toBe(150)
  })

  test('a stranger who comes again costs nothing, and takes nothing from the trusted', async () => {
    const root = await rootNow()
    const all = await strangers(99)
    for (let i = 0; i < 3; i += 1)
      expect(await tally(all.map((by) => outcome(admitBy(by, {}, root))))).toEqual({ signatureRefused: 99 })
    expect(await outcome(admitBy(person, {}, root))).toBe('admitted')
  })

  test('whoever was trusted a minute ago is no stranger in a flood of them', async () => {
    const root = await rootNow()
    expect(await outcome(admitBy(person, {}, root))).toBe('admitted')
    rig.clock.advance(61_000)
    const flood = await strangers(150)
    await tally(flood.map((by) => outcome(admitBy(by, {}, root))))
    expect(await outcome(admitBy(person, {}, root))).toBe('admitted')
    expect(judged).toBe(102)
  })

  test('1,000 signatures are verified at once, and 500 a second (R1.28)', async () => {
    const root = await rootNow()
    const der = await signedRequest(ca, GOOD, person)
    const many = (count: number) => tally(Array.from({ length: count }, () => outcome(admit(der, root))))
    expect(await many(1_010)).toEqual({ admitted: 1_000, overBudget: 10 })
    rig.clock.advance(1000)
    expect(await many(510)).toEqual({ admitted: 500, overBudget: 10 })
  })
})

describe('who needs no signature', () => {
  test('is let in without one, and without being looked at, unless it is demanded (R1.24, R1.95)', async () => {
    expect(await admit(question(ca, GOOD))).toBeUndefined()
    await rig.setPolicy(ca, { signedRequests: 'ignore' })
    expect(await admitBy(await makeRequestor())).toBeUndefined()
    expect(judged).toBe(0)
    await rig.setPolicy(ca, { signedRequests: 'require', requestors: [person.certificate] })
    expect(await outcome(admit(question(ca, GOOD)))).toBe('signatureMissing')
    expect(judged).toBe(0)
  })
})
