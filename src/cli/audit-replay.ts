/**
 * Brings recorded statuses back: most in bulk, releases one by one; then how issuers ended, which lets nothing follow.
 * Idempotent.
 */
import type { Certificate, CertificateInput } from '../admin-api/contract.ts'
import type { FinalIssuer, FinalState, FinalStates } from './audit-lines.ts'
import { batchesOf } from './batches.ts'
import type { AdminClient } from './client.ts'
import { CLIError, EXIT } from './exit.ts'

export interface ReplaySummary {
  /** Certificates. */
  added: number
  changed: number
  unchanged: number
  /** Certificates, and ends of issuers. */
  refused: number
  /** Issuers that were not so before. */
  compromised: number
  finalized: number
}

export interface ReplayOptions {
  /** @param done certificates so far */
  readonly onProgress: (done: number) => void
  /** @param what a serial number, or the reference of an issuer */
  readonly onProblem: (what: string, problem: string) => void
}

type Outcome = 'added' | 'changed' | 'unchanged' | 'refused'

/** @throws CLIError when the other side is not there; an issuer that it does not know refuses its certificates alone */
export async function replay(
  client: AdminClient,
  states: FinalStates,
  options: ReplayOptions,
): Promise<ReplaySummary> {
  const summary = { added: 0, changed: 0, unchanged: 0, refused: 0, compromised: 0, finalized: 0 }
  let done = 0
  const count = (outcome: Outcome, serial: string, problem?: string) => {
    summary[outcome] += 1
    if (problem !== undefined) options.onProblem(serial, problem)
    options.onProgress(++done)
  }
  for (const [issuer, final] of states) {
    const all = [...final.certificates.values()]
    if (!(await isKnown(client, issuer))) {
      const problem = `there is no issuer ${issuer}; add it first`
      for (const { serial } of all) count('refused', serial, problem)
      if (all.length === 0) refuse(summary, options, issuer, 'there is no such issuer; add it first')
      continue
    }
    for (const { rows, certificates } of batchesOf(
      all.filter(({ status }) => status !== 'released'),
      toInput,
    )) {
      const answer = await client.callPatiently('addCertificates', {
        params: { issuer },
        body: { certificates, publish: false },
      })
      for (const [index, { serial, outcome, message }] of answer.results.entries()) {
        const row = rows[index]
        const isOlder = outcome === 'refused' && row !== undefined && (await isOvertaken(client, issuer, row))
        if (isOlder) count('unchanged', serial)
        else count(outcome, serial, message)
      }
    }
    for (const state of all.filter(({ status }) => status === 'released')) {
      const { outcome, problem } = await release(client, issuer, state)
      count(outcome, state.serial, problem)
    }
    await end(client, issuer, final, summary, options)
  }
  return summary
}

/** Of what is reserved or was only issued, the record may know more than this export. */
async function isOvertaken(
  client: AdminClient,
  issuer: string,
  { serial, status }: FinalState,
): Promise<boolean> {
  if (status !== 'reserved' && status !== 'issued') return false
  const row = await recorded(client, issuer, serial)
  if (row === undefined || row.status === 'reserved') return false
  return status === 'reserved' || row.status === 'revoked' || row.status === 'hold'
}

/** After its certificates: of a final issuer nothing changes any more. */
async function end(
  client: AdminClient,
  issuer: string,
  { compromisedAt, isFinal }: FinalIssuer,
  summary: ReplaySummary,
  options: ReplayOptions,
): Promise<void> {
  try {
    const params = { issuer }
    if (compromisedAt !== undefined) {
      const before = await client.callPatiently('showIssuer', { params })
      if (before.compromisedAt === null || Date.parse(before.compromisedAt) > compromisedAt * 1000) {
        await client.callPatiently('compromiseIssuer', { params, body: { time: compromisedAt } })
        summary.compromised += 1
      }
    }
    if (isFinal && (await client.callPatiently('showIssuer', { params })).finalAt === null) {
      await client.callPatiently('finalizeIssuer', { params, body: {} })
      summary.finalized += 1
    }
  } catch (error) {
    if (!(error instanceof CLIError) || error.exitCode !== EXIT.no) throw error
    const hint = error.hint === undefined ? '' : `; ${error.hint}`
    refuse(summary, options, issuer, `${error.message}${hint}`)
  }
}

function refuse(summary: ReplaySummary, options: ReplayOptions, what: string, problem: string): void {
  summary.refused += 1
  options.onProblem(what, problem)
}

function toInput(state: FinalState): CertificateInput {
  const { serial, revocationTime, reason, notBefore, notAfter, isCA, facts = {} } = state
  const status = inputStatus(state.status)
  const { invalidityDate, crl, ...ofCertificate } = facts
  return {
    serial,
    status,
    ...(revocationTime === undefined ? {} : { revocationTime }),
    ...(reason === undefined ? {} : { reason }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(isCA === undefined ? {} : { ca: isCA }),
    // What is said of a revocation is refused of anything else.
    ...(status === 'good' ? ofCertificate : facts),
  }
}

function inputStatus(status: FinalState['status']): CertificateInput['status'] {
  // Released is good; whoever asks for it looked first that nothing is recorded.
  return status === 'released' || status === 'issued' ? 'good' : status
}

async function release(
  client: AdminClient,
  issuer: string,
  state: FinalState,
): Promise<{ outcome: Outcome; problem?: string | undefined }> {
  const row = await recorded(client, issuer, state.serial)
  switch (row?.status) {
    case undefined:
    case 'reserved': {
      const answer = await client.callPatiently('addCertificates', {
        params: { issuer },
        body: { certificates: [toInput(state)], publish: false },
      })
      const [result] = answer.results
      return result === undefined
        ? { outcome: 'unchanged' }
        : { outcome: result.outcome, problem: result.message }
    }
    case 'hold':
      await client.callPatiently('release', { params: { issuer }, body: { serial: state.serial } })
      return { outcome: 'changed' }
    case 'good':
    case 'released':
      return { outcome: 'unchanged' }
    case 'revoked':
      return {
        outcome: 'refused',
        problem: 'released in the audit, but revoked in the record: revoked stays',
      }
  }
}

function recorded(client: AdminClient, issuer: string, serial: string): Promise<Certificate | undefined> {
  return ifFound(client.callPatiently('showCertificate', { params: { issuer, serial } }))
}

async function isKnown(client: AdminClient, issuer: string): Promise<boolean> {
  return (await ifFound(client.callPatiently('showIssuer', { params: { issuer } }))) !== undefined
}

async function ifFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call
  } catch (error) {
    if (error instanceof CLIError && error.code === 'notFound') return undefined
    throw error
  }
}
