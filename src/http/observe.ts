/**
 * One log line and one metric point an exchange, from the same answer. Never a client address, never a serial number
 * (R8.4): what is not written down cannot be asked for.
 */

import type { EventLog } from '../ports/ports.ts'
import type { Answer } from '../responder/answer.ts'
import type { Observe } from './ocsp.ts'

/** Structural part of AnalyticsEngineDataset. */
export interface MetricSink {
  writeDataPoint(point: { indexes: string[]; blobs: string[]; doubles: number[] }): void
}

/** JSON lines on the console: what Workers Logs, Logpush and a terminal read. */
export const consoleLog: EventLog = {
  event(level, fields) {
    const line = JSON.stringify({ level, ...fields })
    if (level === 'error') console.error(line)
    else console.log(line)
  },
}

/**
 * @param sampleRate share of ordinary exchanges that are logged; faults of ours are always logged
 * @param random in [0, 1)
 */
export function observer(
  log: EventLog,
  metrics: MetricSink | undefined,
  sampleRate: number,
  random: () => number,
): Observe {
  return (answer, method, octets) => {
    const ok = answer.responseStatus === 'successful'
    const fault = answer.responseStatus === 'internalError' || answer.responseStatus === 'tryLater'
    if (fault || (sampleRate > 0 && random() < sampleRate))
      log.event(fault ? 'error' : 'info', describe(answer, method, octets))
    metrics?.writeDataPoint({
      indexes: [ok ? `${answer.issuer}` : '0'],
      blobs: ok
        ? [
            method,
            answer.responseStatus,
            answer.origin,
            answer.certStatus,
            answer.hashAlgorithm,
            answer.personal ? 'nonce' : '',
          ]
        : [method, answer.responseStatus, '', '', '', ''],
      doubles: [1, octets],
    })
  }
}

function describe(answer: Answer, method: string, octets: number): Record<string, string | number | boolean> {
  if (answer.responseStatus !== 'successful')
    return { what: 'ocsp', method, status: answer.responseStatus, octets, ...reasons(answer.error) }
  const { responseStatus, origin, issuer, certStatus, hashAlgorithm, personal } = answer
  return {
    what: 'ocsp',
    method,
    status: responseStatus,
    origin,
    issuer,
    certStatus,
    hashAlgorithm,
    personal,
    octets,
  }
}

/** Class, reason, message and cause: our messages name no serial and no key. */
function reasons(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { error: String(error) }
  const reason = 'reason' in error && typeof error.reason === 'string' ? { reason: error.reason } : {}
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
  return { error: error.name, ...reason, message: error.message, ...cause }
}
