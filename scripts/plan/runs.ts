/** The scaled-down deployments that the model is checked against. */
import type { ObservedRun } from './observe.ts'

const DAY = 86_400

/**
 * A hundredth of the certificates issued a day, as in the plan for 100 million; more revoked than there, since so few would be
 * left to chance. Cron comes every ten minutes of virtual time, and the model is told so.
 */
export const FULL_RUN: ObservedRun = {
  certificates: 20_000,
  issuedPerDay: 200,
  revokedPerDay: 24,
  validitySeconds: 3 * DAY,
  hashes: 2,
  importBatch: 5,
  queue: true,
  cronSeconds: 600,
  settleDays: 2,
  days: 6,
  requests: 50,
}

/** For the tests: less than a minute. */
export const QUICK_RUN: ObservedRun = {
  ...FULL_RUN,
  certificates: 6_000,
  issuedPerDay: 120,
  revokedPerDay: 24,
  validitySeconds: DAY,
  importBatch: 5,
  cronSeconds: 1_200,
  settleDays: 0.5,
  days: 2,
  requests: 20,
}
