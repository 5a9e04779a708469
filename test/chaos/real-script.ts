/** What is done to a real server, in every run the same, and what the record says of each certificate meanwhile. */
import type { CertStatus } from '../../src/ocsp/cert-status.ts'
import { formatPEM } from '../../src/pkix/pem.ts'
import { makeTestPKI, type TestPKI } from '../support/pki.ts'
import { type RealServer, RefusedCall } from './real-server.ts'

/** A builder that was killed keeps its slot for twenty minutes; others go on with theirs. */
const ISSUERS = 8
const ROWS_A_ROUND = 12

/** `unauthorized`: not recorded. */
export type Told = CertStatus | { readonly type: 'unauthorized' }

export interface RealIssuer {
  readonly name: string
  readonly pki: TestPKI
}

export interface RealCertificate {
  readonly issuer: RealIssuer
  readonly serial: Uint8Array
  /** Hexadecimal. */
  readonly name: string
  /** What was acknowledged last. */
  acknowledged: Told
  /** What it becomes by the call that is under way. */
  pending: Told | undefined
  /** Before the last change, as long as nobody has said that it is published. */
  previous: Told | undefined
}

export interface RealOperation {
  readonly name: string
  /** Of the same lane are done in their order, of others at the same time. */
  readonly lane: string
  /** What it records needs no publication: it is answered at once, whoever answers. */
  readonly isNew?: boolean
  /** What is acknowledged by it, and to which status it leads. */
  readonly changes: readonly (readonly [RealCertificate, Told])[]
  /** @throws what a call throws; repeated until it does not */
  run(server: RealServer): Promise<unknown>
}

export interface RealScript {
  readonly issuers: readonly RealIssuer[]
  readonly certificates: readonly RealCertificate[]
  readonly operations: readonly RealOperation[]
}

/** @param now Unix seconds: all times are given, so that a repetition changes nothing */
export async function realScript(rounds: number, now: number): Promise<RealScript> {
  const issuers = await Promise.all(
    Array.from({ length: ISSUERS }, async (_, n): Promise<RealIssuer> => {
      const name = `chaos-${n}`
      return { name, pki: await makeTestPKI({ now, caName: name, freshKeys: true }) }
    }),
  )
  const certificates: RealCertificate[] = []
  const operations: RealOperation[] = issuers.map(addIssuer)
  for (let round = 0; round < rounds; round += 1) {
    const issuer = issuers[round % ISSUERS]
    if (issuer === undefined) throw new RangeError('no issuer')
    const own = Array.from({ length: ROWS_A_ROUND }, (_, n) => makeCertificate(issuer, round, n))
    certificates.push(...own)
    const [a, b, c, d] = own
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      throw new RangeError('no rows')
    const time = now - 3_600 - round
    const held: Told = { type: 'revoked', revocationTime: time, revocationReason: 6 }
    operations.push(
      record(own, now),
      presign(issuer),
      change(a, 'revocations', { reason: 'keyCompromise', at: time }, revoked(time, 1)),
      change(b, 'revocations', { reason: 'certificateHold', at: time }, held),
      change(c, 'revocations', { reason: 'superseded', at: time }, revoked(time, 4)),
      presign(issuer),
      change(d, 'revocations', { reason: 'certificateHold', at: time }, held),
      change(b, 'releases', {}, { type: 'good' }),
      change(d, 'revocations', { reason: 'keyCompromise', at: time }, revoked(time, 1)),
    )
  }
  return { issuers, certificates, operations }
}

function revoked(revocationTime: number, revocationReason: number): Told {
  return { type: 'revoked', revocationTime, revocationReason }
}

function makeCertificate(issuer: RealIssuer, round: number, n: number): RealCertificate {
  const serial = Uint8Array.of(0x51, round >>> 8, round & 0xff, (n * 57 + 11) & 0xff, n)
  const name = Buffer.from(serial).toString('hex')
  return {
    issuer,
    serial,
    name,
    acknowledged: { type: 'unauthorized' },
    pending: undefined,
    previous: undefined,
  }
}

function addIssuer({ name, pki }: RealIssuer): RealOperation {
  const body = {
    name,
    certificate: formatPEM('CERTIFICATE', pki.issuer.certificate),
    responder: {
      certificate: formatPEM('CERTIFICATE', pki.responder.certificate ?? new Uint8Array()),
      key: formatPEM('PRIVATE KEY', pki.responder.pkcs8),
    },
  }
  return {
    name: `add ${name}`,
    lane: name,
    changes: [],
    async run(server) {
      try {
        await server.admin('/issuers', body)
      } catch (error) {
        if (!(error instanceof RefusedCall && error.status === 409)) throw error
        // Its issuer is there, and perhaps nothing more: the call was killed in between.
        await addMissingResponder(server, name, body.responder)
      }
    },
  }
}

async function addMissingResponder(server: RealServer, name: string, responder: unknown): Promise<void> {
  try {
    await server.admin(`/issuers/${name}/responders`, responder)
  } catch (error) {
    if (!(error instanceof RefusedCall && error.status === 409)) throw error
  }
}

function record(certificates: readonly RealCertificate[], now: number): RealOperation {
  const issuer = certificates[0]?.issuer.name ?? ''
  const rows = certificates.map(({ name }) => ({
    serial: name,
    status: 'good',
    notBefore: now - 86_400,
    notAfter: now + 90 * 86_400,
  }))
  return {
    name: `record ${rows.length} of ${issuer}`,
    lane: issuer,
    isNew: true,
    changes: certificates.map((certificate) => [certificate, { type: 'good' }]),
    run: (server) => server.admin(`/issuers/${issuer}/certificates`, { certificates: rows }),
  }
}

function change(
  certificate: RealCertificate,
  path: 'revocations' | 'releases',
  body: Readonly<Record<string, unknown>>,
  to: Told,
): RealOperation {
  const { issuer, name } = certificate
  return {
    name: `${name} becomes ${to.type}`,
    lane: issuer.name,
    changes: [[certificate, to]],
    run: (server) => server.admin(`/issuers/${issuer.name}/${path}`, { serial: name, ...body }),
  }
}

function presign({ name }: RealIssuer): RealOperation {
  return {
    name: `presign ${name}`,
    lane: name,
    changes: [],
    run: (server) => server.admin('/presign', { issuer: name, all: true }),
  }
}
