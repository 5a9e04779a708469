/** Brings recorded statuses back: revocations and holds in bulk, releases one by one. Idempotent. */
import { type CertificateInput, MAX_CERTIFICATES_PER_CALL } from '../admin-api/contract.ts'
import type { FinalState, FinalStates } from './audit-lines.ts'
import type { AdminClient } from './client.ts'
import { CLIError } from './exit.ts'

export interface ReplaySummary {
  added: number
  changed: number
  unchanged: number
  refused: number
}

export interface ReplayOptions {
  /** @param done certificates so far */
  readonly onProgress: (done: number) => void
  readonly onProblem: (serial: string, problem: string) => void
}

type Outcome = keyof ReplaySummary

/** @throws CLIError when the other side is not there; an issuer that it does not know refuses its certificates alone */
export async function replay(
  client: AdminClient,
  states: FinalStates,
  options: ReplayOptions,
): Promise<ReplaySummary> {
  const summary: ReplaySummary = { added: 0, changed: 0, unchanged: 0, refused: 0 }
  let done = 0
  const count = (outcome: Outcome, serial: string, problem?: string) => {
    summary[outcome] += 1
    if (problem !== undefined) options.onProblem(serial, problem)
    options.onProgress(++done)
  }
  for (const [issuer, certificates] of states) {
    const all = [...certificates.values()]
    if (!(await isKnown(client, issuer))) {
      for (const { serial } of all) count('refused', serial, `there is no issuer ${issuer}; add it first`)
      continue
    }
    const bulk = all.filter(({ status }) => status !== 'released')
    for (let start = 0; start < bulk.length; start += MAX_CERTIFICATES_PER_CALL) {
      const certificates = bulk.slice(start, start + MAX_CERTIFICATES_PER_CALL).map(toInput)
      const answer = await client.callPatiently('addCertificates', {
        params: { issuer },
        body: { certificates, publish: false },
      })
      for (const { serial, outcome, message } of answer.results) count(outcome, serial, message)
    }
    for (const state of all.filter(({ status }) => status === 'released')) {
      const { outcome, problem } = await release(client, issuer, state)
      count(outcome, state.serial, problem)
    }
  }
  return summary
}

function toInput({
  serial,
  status,
  revocationTime,
  reason,
  notBefore,
  notAfter,
}: FinalState): CertificateInput {
  return {
    serial,
    // Released is good; whoever asks for it looked first that nothing is recorded.
    status: status === 'released' ? 'good' : status,
    ...(revocationTime === undefined ? {} : { revocationTime }),
    ...(reason === undefined ? {} : { reason }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
  }
}

async function release(
  client: AdminClient,
  issuer: string,
  state: FinalState,
): Promise<{ outcome: Outcome; problem?: string }> {
  const row = await ifFound(
    client.callPatiently('showCertificate', { params: { issuer, serial: state.serial } }),
  )
  switch (row?.status) {
    case undefined:
    case 'reserved':
      await client.callPatiently('addCertificates', {
        params: { issuer },
        body: { certificates: [toInput(state)], publish: false },
      })
      return { outcome: 'added' }
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
