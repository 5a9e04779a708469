/** Several databases: which of them answers, and what happens when one is away or another has the newer claim (ADR 0016). */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serialHash } from '../../src/bundle/slot.ts'
import { signedOctets } from '../../src/ocsp/basic-response.ts'
import { nonceExtension } from '../../src/ocsp/nonce.ts'
import { encodeOCSPRequest } from '../../src/ocsp/ocsp-request.ts'
import { decodeOCSPResponse, decodeSuccessfulResponse } from '../../src/ocsp/ocsp-response.ts'
import { type HashAlgorithm, hashAlgorithmIdentifier } from '../../src/pkix/algorithm-identifier.ts'
import { RequestRefused, StorageError } from '../../src/ports/errors.ts'
import type { IssuerRecord } from '../../src/ports/records.ts'
import type { Answer } from '../../src/responder/answer.ts'
import { type ResponderPorts, respond } from '../../src/responder/respond.ts'
import { importVerifier } from '../../src/signing/webcrypto-signer.ts'
import type { TestPKI } from '../support/pki.ts'
import { ShardRig } from '../support/shard-rig.ts'
import { makeRequestor, type Requestor, signedRequest } from './requestors.ts'

const ALL = 0xffff
/** Digits 0 to 7, and 8 to f. */
const [LOW, HIGH] = [0x00ff, 0xff00]

/** Serials whose hash begins with a digit below 8, and from 8 on. */
const numbers = Array.from({ length: 400 }, (_, n) => Uint8Array.of(0x51, n >>> 8, n & 0xff))
const low = numbers.filter((serial) => serialHash(serial) >>> 31 === 0)
const high = numbers.filter((serial) => serialHash(serial) >>> 31 === 1)
const at = (serials: readonly Uint8Array[], n: number): Uint8Array => serials[n] ?? new Uint8Array()
const [L0, L1, L2] = [at(low, 0), at(low, 1), at(low, 2)]
const [H0, H1, H2] = [at(high, 0), at(high, 1), at(high, 2)]

let rig: ShardRig
let split: IssuerRecord
let pki: TestPKI
let whole: IssuerRecord
let wholePKI: TestPKI

const good = (serial: Uint8Array) => ({
  serial,
  status: 'good' as const,
  notBefore: rig.clock.seconds - 60,
  notAfter: rig.clock.seconds + 9e6,
})

beforeEach(async () => {
  rig = new ShardRig(2)
  const added = await rig.addCA('split', [0, 1])
  split = added.record
  pki = added.pki
  const other = await rig.addCA('whole', [1])
  whole = other.record
  wholePKI = other.pki
  rig.at(0).share(split.id, { away: HIGH })
  rig.at(1).share(split.id, { away: LOW })
  await rig.add(0, split.id, [L0, L1].map(good))
  await rig.add(1, split.id, [H0, H1].map(good))
  await rig.add(1, whole.id, [L0, H0].map(good))
  await rig.publish()
  await rig.presign()
})
afterEach(() => rig.close())

function question(
  issuer: IssuerRecord,
  serials: readonly Uint8Array[],
  { hash = 'SHA-256', nonce }: { hash?: HashAlgorithm; nonce?: Uint8Array } = {},
): Uint8Array {
  const requestList = serials.map((serialNumber) => ({
    reqCert: { hashAlgorithm: hashAlgorithmIdentifier(hash), ...issuer.hashes[hash], serialNumber },
  }))
  const requestExtensions =
    nonce === undefined
      ? {}
      : { requestExtensions: [nonceExtension({ extnValue: nonce, length: nonce.length })] }
  return encodeOCSPRequest({ tbsRequest: { versionExplicit: false, requestList, ...requestExtensions } })
}

function said(answer: Answer): string {
  if (answer.responseStatus !== 'successful') {
    const { error } = answer
    const reason =
      error instanceof RequestRefused || error instanceof StorageError ? error.reason : String(error)
    return `${answer.responseStatus} ${reason}`
  }
  const { responses } = decodeSuccessfulResponse(answer.der).tbsResponseData
  return responses.map(({ certStatus }) => certStatus.type).join(' ')
}

const ask = async (issuer: IssuerRecord, serials: readonly Uint8Array[], responder?: ResponderPorts) =>
  said(await rig.ask(question(issuer, serials), responder))

describe('who answers', () => {
  test('each certificate of an issuer in two databases is answered from the one that has it, from its bundle', async () => {
    for (const serial of [L0, H0]) {
      const answer = await rig.ask(question(split, [serial]))
      expect([said(answer), 'origin' in answer && answer.origin]).toEqual(['good', 'bundle'])
    }
  })

  test('an issuer that only the second database has is answered from there', async () => {
    for (const serial of [L0, H0]) expect(await ask(whole, [serial])).toBe('good')
  })

  test('the second time an answer comes from memory, at once and without a promise', async () => {
    await ask(split, [H0])
    const answer = respond(question(split, [H0]), rig.responder)
    expect('origin' in answer && answer.origin).toBe('memory')
  })

  test('an issuer that no database has is refused (R1.40), and a serial that its own does not have, too (R1.38)', async () => {
    const stranger = {
      ...split,
      hashes: {
        ...split.hashes,
        'SHA-256': { ...split.hashes['SHA-256'], issuerNameHash: new Uint8Array(32) },
      },
    }
    expect(await ask(stranger, [L0])).toBe('unauthorized unknownIssuer')
    expect(await ask(split, [L2])).toBe('unauthorized unknownSerial')
    expect(await ask(split, [H2])).toBe('unauthorized unknownSerial')
  })

  test('a revocation in one database is answered whatever the other does', async () => {
    await rig.change(1, split.id, H0, { to: 'revoked', reason: 1 })
    await rig.at(1).publish()
    expect(await ask(split, [H0], rig.newResponder())).toBe('revoked')
    expect(await ask(split, [L0], rig.newResponder())).toBe('good')
  })

  test('a certificate that nobody claims is a fault, never unauthorized', async () => {
    rig.at(0).share(split.id, { away: ALL })
    await rig.pass(60)
    expect(await ask(split, [L0], rig.newResponder())).toBe('tryLater elsewhere')
  })
})

describe('several certificates in one request', () => {
  test('of both databases are answered in their order, with one signature (R1.10)', async () => {
    const der = question(split, [H0, L0, H1, L1])
    const answer = await rig.ask(der)
    expect(said(answer)).toBe('good good good good')
    if (answer.responseStatus !== 'successful') return
    const { responses } = decodeSuccessfulResponse(answer.der).tbsResponseData
    expect(responses.map(({ certID }) => certID.serialNumber)).toEqual([H0, L0, H1, L1])
    const whole = decodeOCSPResponse(answer.der)
    if (whole.responseStatus !== 'successful') throw new Error(whole.responseStatus)
    const { spki, algorithm } = pki.responder
    const verify = await importVerifier(spki, algorithm)
    const { signature } = decodeSuccessfulResponse(answer.der)
    expect(await verify(signedOctets(whole.responseBytes.response), signature)).toBe(true)
  })

  test('a nonce is echoed, and a revocation shows', async () => {
    await rig.change(0, split.id, L1, { to: 'revoked', reason: 4 })
    await rig.publish()
    const nonce = Uint8Array.from({ length: 18 }, (_, i) => (i === 0 ? 4 : i === 1 ? 16 : i))
    const answer = await rig.ask(question(split, [L1, H1], { nonce }), rig.newResponder())
    expect(said(answer)).toBe('revoked good')
    expect('personal' in answer && answer.personal).toBe(true)
  })

  test('of two issuers in two databases are refused as of one database (R1.11)', async () => {
    const list = [split, whole].map((issuer) => ({
      reqCert: {
        hashAlgorithm: hashAlgorithmIdentifier('SHA-256'),
        ...issuer.hashes['SHA-256'],
        serialNumber: L0,
      },
    }))
    const der = encodeOCSPRequest({ tbsRequest: { versionExplicit: false, requestList: list } })
    expect(said(await rig.ask(der))).toBe('unauthorized mixedIssuers')
  })

  test('one that is not recorded makes all of it unauthorized, wherever it would be', async () => {
    expect(await ask(split, [L0, H2])).toBe('unauthorized unknownSerial')
  })
})

describe('a database that is away', () => {
  const takeAway = (database: number) => {
    rig.at(database).faults.set('d1', 'fail')
  }

  test('takes only its own along: the other goes on, also for an isolate that begins now', async () => {
    takeAway(1)
    const cold = rig.newResponder()
    await rig.pass(600, [rig.at(0)])
    expect(await ask(split, [L0], cold)).toBe('good')
    expect(await ask(split, [H0], cold)).toMatch(/^tryLater/)
    expect(await ask(whole, [L0], cold)).toMatch(/^tryLater/)
  })

  test('and an issuer that nobody else knows may be its own: tryLater, never unauthorized', async () => {
    takeAway(1)
    await rig.pass(600, [rig.at(0)])
    expect(await ask(whole, [H0], rig.newResponder())).toMatch(/^tryLater/)
  })
})

describe('claims', () => {
  /** Both claim the low half; the row is good at the first, revoked at the second. */
  async function bothClaim(first: Record<string, number>, second: Record<string, number>): Promise<void> {
    rig.at(1).share(split.id, { away: 0, ...second })
    await rig.add(1, split.id, [
      { ...good(L0), status: 'revoked' as const, revocationTime: rig.clock.seconds - 30 },
    ])
    rig.at(0).share(split.id, { away: HIGH, ...first })
    await rig.pass(60)
  }

  test('of two the fresh one wins', async () => {
    await bothClaim({ moving: 1 }, { fresh: 1 })
    expect(await ask(split, [L0], rig.newResponder())).toBe('revoked')
  })

  test('a moving one does not count while another database cannot be asked', async () => {
    await bothClaim({ moving: 1 }, { fresh: 1 })
    rig.at(1).faults.set('d1', 'fail')
    await rig.pass(600, [rig.at(0)])
    expect(await ask(split, [L0], rig.newResponder())).toMatch(/^tryLater/)
  })

  test('a moving one counts when no other claims it', async () => {
    rig.at(0).share(split.id, { moving: 1 })
    await rig.pass(60)
    expect(await ask(split, [L0], rig.newResponder())).toBe('good')
  })

  test('that of a database restored from a backup does not count beside another', async () => {
    await bothClaim({ frozen: 1 }, {})
    expect(await ask(split, [L0], rig.newResponder())).toBe('revoked')
  })

  test('what has left while an answer was on its way is looked up where it is now', async () => {
    rig.at(1).share(split.id, { away: 0, fresh: 1 })
    await rig.add(1, split.id, [L0, L1].map(good))
    await rig.pass(60)
    expect(await ask(split, [L0])).toBe('good')
    rig.at(0).share(split.id, { away: ALL })
    await rig.pass(120)
    rig.at(1).share(split.id, { fresh: 0 })
    await rig.pass(120)
    expect(await ask(split, [L0])).toBe('good')
    expect(await ask(split, [L1, H1])).toBe('good good')
  })
})

describe('a requestor whose certificate is in another database', () => {
  // Asked of an issuer in the first database; issued by one that only the second has.
  test('is looked up there: good lets the request pass, unrecorded and revoked do not (R1.25)', async () => {
    const issuer = { name: wholePKI.issuer.name, signer: wholePKI.issuer.signer }
    const [known, stranger] = [await makeRequestor({ issuer }), await makeRequestor({ issuer })]
    await rig.add(1, whole.id, [good(known.serial)])
    const policy = {
      ...split.policy,
      signedRequests: 'require' as const,
      requestors: [wholePKI.issuer.certificate],
    }
    await rig.at(0).isolate.admin.updateIssuer(split.id, { policy }, rig.clock.nowMs())
    await rig.pass(60)
    const from = async (requestor: Requestor) =>
      said(await rig.ask(await signedRequest({ pki, record: split }, L0, requestor), rig.newResponder()))
    expect(await from(known)).toBe('good')
    expect(await from(stranger)).toBe('unauthorized signatureRefused')
    await rig.change(1, whole.id, known.serial, { to: 'revoked', reason: 1 })
    await rig.pass(60)
    expect(await from(known)).toBe('unauthorized signatureRefused')
    rig.at(1).faults.set('d1', 'fail')
    expect(await from(known)).toMatch(/^tryLater/)
  })
})
