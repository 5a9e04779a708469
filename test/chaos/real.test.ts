/** `edge-ocsp dev` as a process group that SIGKILL ends at any moment, twenty times (test/chaos/real.ts). EDGE_OCSP_KILLS sets how often. */
import { beforeAll, describe, expect, test } from 'vitest'
import { type RealReport, realChaos } from './real.ts'

const KILLS = Number(process.env['EDGE_OCSP_KILLS'] ?? 20)
const SEED = Number(process.env['EDGE_OCSP_SEED'] ?? 1)

describe('a server that is killed again and again', () => {
  let report: RealReport
  beforeAll(async () => {
    report = await realChaos({ kills: KILLS, seed: SEED })
  }, 900_000)

  test('never says what is wrong, loses nothing that was acknowledged, and ends as an undisturbed one (laws 2 to 5)', () => {
    expect(report.violations, report.trail.join('\n')).toEqual([])
  })

  test('was killed and came back as often, also while it was starting', () => {
    expect(report.kills).toBeGreaterThanOrEqual(KILLS)
    expect(report.restarts).toBeGreaterThanOrEqual(KILLS)
  })

  test('had calls cut off, which were made again, and answered all the time', () => {
    const { good = 0, revoked = 0 } = report.answers
    expect(report.repeated).toBeGreaterThan(0)
    expect(good).toBeGreaterThan(100)
    expect(revoked).toBeGreaterThan(20)
  })
})
