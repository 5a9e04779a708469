/** Lines of `audit export` -> the last status that each certificate was given. */
import * as z from 'zod/mini'
import { AuditRow } from '../admin-api/contract.ts'
import type { ByteSource } from '../importers/importer.ts'
import { readLines } from '../importers/lines.ts'
import { crlReasonName } from '../pkix/crl-reason.ts'
import { messageOf } from './exit.ts'

const MAX_LINE_BYTES = 1_048_576

/** A row with what names its issuer outside of the database it was made in. */
export const AuditLine = z.extend(AuditRow, {
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
})

const STATUSES = ['good', 'revoked', 'hold', 'released'] as const

export interface FinalState {
  readonly id: number
  readonly serial: string
  readonly status: 'revoked' | 'hold' | 'released'
  readonly revocationTime?: number
  readonly reason?: string
  readonly notBefore?: number
  readonly notAfter?: number
}

/** States by reference of the issuer (SKI, else name, else id) and serial. */
export type FinalStates = ReadonlyMap<string, ReadonlyMap<string, FinalState>>

/** @param onProblem line (from 1) and what is wrong with it */
export async function collectFinalStates(
  source: ByteSource,
  onProblem: (line: number, problem: string) => void,
): Promise<{ states: FinalStates; count: number; rows: number; bad: number }> {
  const states = new Map<string, Map<string, FinalState>>()
  let [count, rows, bad] = [0, 0, 0]
  for await (const { number, text } of readLines(source, MAX_LINE_BYTES)) {
    if (text !== undefined && text.trim() === '') continue
    rows += 1
    try {
      if (text === undefined) throw new RangeError(`longer than ${MAX_LINE_BYTES} octets`)
      const change = parseAuditLine(text)
      if (change === undefined) continue
      const ofIssuer = states.get(change.issuer) ?? new Map<string, FinalState>()
      states.set(change.issuer, ofIssuer)
      const known = ofIssuer.get(change.state.serial)
      if (known === undefined) count += 1
      // By id, not by place: exports may overlap or be joined in any order.
      if (known === undefined || known.id < change.state.id) ofIssuer.set(change.state.serial, change.state)
    } catch (error) {
      bad += 1
      onProblem(number, messageOf(error))
    }
  }
  return { states, count, rows, bad }
}

/** @returns undefined for rows about something else than the status of one certificate. @throws Error that says what is wrong */
function parseAuditLine(text: string): { issuer: string; state: FinalState } | undefined {
  const line = AuditLine.safeParse(parseJSON(text))
  if (!line.success)
    throw new RangeError(`not a row of "audit export": ${z.prettifyError(line.error).replaceAll('\n', ' ')}`)
  const { id, action, serial, issuer, issuerName, issuerSki } = line.data
  if (serial === null || issuer === null || !action.startsWith('certificate.')) return undefined
  const detail = ChangeDetail.safeParse(line.data.detail)
  const status = detail.success ? STATUSES[detail.data.to] : undefined
  if (!detail.success || status === undefined) throw new RangeError(`${action} without the status it led to`)
  if (status === 'good') return undefined
  const { revocationTime, reason, notBefore, notAfter } = detail.data
  const reasonName = reason === undefined || reason === null ? undefined : crlReasonName(reason)
  return {
    issuer: issuerSki ?? issuerName ?? String(issuer),
    state: {
      id,
      serial,
      status,
      ...(isTime(revocationTime) && status !== 'released' ? { revocationTime } : {}),
      ...(reasonName === undefined || status === 'released' ? {} : { reason: reasonName }),
      ...(isTime(notBefore) ? { notBefore } : {}),
      ...(isTime(notAfter) ? { notAfter } : {}),
    },
  }
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
