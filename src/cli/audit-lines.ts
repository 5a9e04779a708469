/** Lines of `audit export` -> the last status that each certificate was given, and how each issuer ended. */
import * as z from 'zod/mini'
import { AuditRow } from '../admin-api/contract.ts'
import type { ByteSource } from '../importers/importer.ts'
import { readLines } from '../importers/lines.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import { type CertificateFacts, factsOfExtensions } from './certificate-facts.ts'
import { messageOf } from './exit.ts'

const MAX_LINE_BYTES = 1_048_576

/** A row with what names its issuer outside of the database it was made in. */
export const AuditLine = z.extend(AuditRow, {
  /** Where there are several; ids are its own. */
  database: z.optional(z.number()),
  issuerName: z.optional(z.string()),
  issuerSki: z.optional(z.string()),
})
export type AuditLine = z.infer<typeof AuditLine>

/** Detail of a change of one certificate, as the database writes it: statuses by number, times in Unix seconds. */
const ChangeDetail = z.object({
  to: z.number(),
  revocationTime: z.nullish(z.number()),
  reason: z.nullish(z.number()),
  notBefore: z.nullish(z.number()),
  notAfter: z.nullish(z.number()),
  isCA: z.nullish(z.number()),
  /** DER of Extensions in hex; empty for none. */
  extensions: z.nullish(z.string()),
})
/** Detail of issuer.compromised and issuer.finalized: since when, in Unix seconds. */
const EndDetail = z.object({ at: z.int().check(z.gte(1)) })

const STATUSES = ['good', 'revoked', 'hold', 'released'] as const

export interface FinalState {
  readonly id: number
  readonly database: number
  /** The issuer's sequence after the change. */
  readonly revision: number
  readonly serial: string
  /** `issued`: reserved before, and good now. */
  readonly status: 'revoked' | 'hold' | 'released' | 'reserved' | 'issued'
  readonly revocationTime?: number
  readonly reason?: string
  readonly notBefore?: number
  readonly notAfter?: number
  readonly isCA?: true
  readonly facts?: CertificateFacts
}

/** What is left of one issuer. */
export interface FinalIssuer {
  readonly certificates: ReadonlyMap<string, FinalState>
  /** The earliest that was recorded. */
  readonly compromisedAt?: number
  readonly isFinal: boolean
}

/** By reference of the issuer: SKI, else name, else id. */
export type FinalStates = ReadonlyMap<string, FinalIssuer>

interface Collected {
  readonly certificates: Map<string, FinalState>
  compromisedAt?: number
  isFinal: boolean
}

type AuditChange = { readonly issuer: string } & (
  | { readonly state: FinalState }
  | { readonly compromisedAt: number }
  | { readonly isFinal: true }
)

/**
 * @param onProblem line (from 1) and what is wrong with it
 * @returns count: certificates
 */
export async function collectFinalStates(
  source: ByteSource,
  onProblem: (line: number, problem: string) => void,
): Promise<{ states: FinalStates; count: number; rows: number; bad: number }> {
  const states = new Map<string, Collected>()
  let [rows, bad] = [0, 0]
  for await (const { number, text } of readLines(source, MAX_LINE_BYTES)) {
    if (text !== undefined && text.trim() === '') continue
    rows += 1
    try {
      if (text === undefined) throw new RangeError(`longer than ${MAX_LINE_BYTES} octets`)
      const change = parseAuditLine(text)
      if (change === undefined) continue
      const known: Collected = states.get(change.issuer) ?? { certificates: new Map(), isFinal: false }
      states.set(change.issuer, known)
      collect(known, change)
    } catch (error) {
      bad += 1
      onProblem(number, messageOf(error))
    }
  }
  const count = [...states.values()].reduce((sum, { certificates }) => sum + certificates.size, 0)
  return { states, count, rows, bad }
}

function collect(issuer: Collected, change: AuditChange): void {
  if ('isFinal' in change) issuer.isFinal = true
  else if ('compromisedAt' in change)
    issuer.compromisedAt = Math.min(change.compromisedAt, issuer.compromisedAt ?? change.compromisedAt)
  else {
    const { serial } = change.state
    const known = issuer.certificates.get(serial)
    // Not by place: exports may overlap or be joined in any order.
    if (known === undefined || isOlder(known, change.state)) issuer.certificates.set(serial, change.state)
  }
}

/** A certificate may have moved to another database, where ids are others: sequences follow the clock everywhere. */
function isOlder(one: FinalState, other: FinalState): boolean {
  return one.database === other.database ? one.id < other.id : one.revision < other.revision
}

/** @returns undefined for rows about something else. @throws Error that says what is wrong */
function parseAuditLine(text: string): AuditChange | undefined {
  const line = AuditLine.safeParse(parseJSON(text))
  if (!line.success)
    throw new RangeError(`not a row of "audit export": ${z.prettifyError(line.error).replaceAll('\n', ' ')}`)
  const { action, serial, issuer: id, issuerName, issuerSki, detail } = line.data
  if (id === null) return undefined
  const issuer = issuerSki ?? issuerName ?? String(id)
  if (action === 'issuer.compromised') return { issuer, compromisedAt: readEnd(action, detail) }
  if (action === 'issuer.finalized') {
    readEnd(action, detail)
    return { issuer, isFinal: true }
  }
  if (serial === null || !action.startsWith('certificate.')) return undefined
  const state = readState(line.data, serial)
  return state === undefined ? undefined : { issuer, state }
}

function readEnd(action: string, detail: unknown): number {
  const end = EndDetail.safeParse(detail)
  if (!end.success) throw new RangeError(`${action} without the time since when`)
  return end.data.at
}

/** @returns undefined for a certificate that only ever was good */
function readState(
  { id, action, detail, database = 0, revision }: AuditLine,
  serial: string,
): FinalState | undefined {
  const change = ChangeDetail.safeParse(detail)
  const status = change.success ? statusOf(action, change.data.to) : undefined
  if (!change.success || status === undefined) throw new RangeError(`${action} without the status it led to`)
  if (status === 'good') return undefined
  const { revocationTime, reason, notBefore, notAfter, isCA, extensions } = change.data
  const isEnded = status === 'revoked' || status === 'hold'
  const reasonName = reason === undefined || reason === null ? undefined : crlReasonName(reason)
  return {
    id,
    database,
    revision,
    serial,
    status,
    ...(isTime(revocationTime) && isEnded ? { revocationTime } : {}),
    ...(reasonName === undefined || !isEnded ? {} : { reason: reasonName }),
    ...(isTime(notBefore) ? { notBefore } : {}),
    ...(isTime(notAfter) ? { notAfter } : {}),
    ...(isCA === 1 ? { isCA: true } : {}),
    ...(typeof extensions === 'string' && extensions !== ''
      ? { facts: factsOfExtensions(Buffer.from(extensions, 'hex')) }
      : {}),
  }
}

function statusOf(action: string, to: number): FinalState['status'] | 'good' | undefined {
  if (action === 'certificate.reserved') return 'reserved'
  return action === 'certificate.issued' ? 'issued' : STATUSES[to]
}

/** 0 stands for "not known". */
function isTime(time: number | null | undefined): time is number {
  return time !== undefined && time !== null && time > 0
}

function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RangeError('not JSON')
  }
}
