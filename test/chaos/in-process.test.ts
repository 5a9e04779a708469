/**
 * Processes that die at any call of D1, KV, cache, queue or signer, and come back as zombies (test/chaos/campaign.ts): the end
 * is that of an undisturbed run, and meanwhile everybody was answered. EDGE_OCSP_FAULTS sets how many faults, EDGE_OCSP_SEED
 * others; a failure prints what repeats it.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { type CampaignReport, campaign, describeFailure } from './campaign.ts'

const FAULTS = Number(process.env['EDGE_OCSP_FAULTS'] ?? 200)
const SEED = Number(process.env['EDGE_OCSP_SEED'] ?? 1)

describe('a pipeline that is killed anywhere', () => {
  let report: CampaignReport
  beforeAll(async () => {
    report = await campaign({ faults: FAULTS, seed: SEED })
  }, 900_000)

  test('ends as an undisturbed one, never without an answer, never from revoked to good (laws 1 to 5)', () => {
    expect(report.failures.map(describeFailure)).toEqual([])
  })

  test('was killed before and after every kind of call that it makes', () => {
    expect(report.missing).toEqual([])
    expect(report.kinds).toBeGreaterThan(40)
  })

  test('met as many faults as were asked for, zombies among them', () => {
    const met = Object.values(report.faults).reduce((sum, count) => sum + count, 0)
    expect(met).toBeGreaterThanOrEqual(FAULTS * 0.95) // one that was planned for a call that is not made any more is not met
    expect(report.lateEffects).toBeGreaterThan(report.kills)
  })

  test('answers: a responder that says tryLater would break no law either', () => {
    const { successful = 0, unauthorized = 0, ...others } = report.answers
    const refused = Object.values(others).reduce((sum, count) => sum + count, 0)
    expect(successful).toBeGreaterThan(5_000)
    expect(unauthorized).toBeGreaterThan(0)
    expect(refused).toBeLessThan(successful / 100)
  })
})
