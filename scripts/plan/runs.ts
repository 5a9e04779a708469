/** The scaled-down deployments that the model is checked against. */
import type { ObservedRun } from './observe.ts'

const DAY = 86_400

/**
 * A hundredth of the certificates issued a day, as in the plan for 100 million; more revoked than there, since so few would be
 * left to chance. Rows past their retention gather in the days that do not count; two weeks, after which the first of them would be
 * pruned, are not over in any run (test/plan/recycling.test.ts goes further). Cron comes every hour of virtual time, and the model
 * is told so; a hundred runs come first, since so many are kept on record.
 */
export const FULL_RUN: ObservedRun = {
  certificates: 20_000,
  issuedPerDay: 200,
  revokedPerDay: 24,
  validitySeconds: 3 * DAY,
  hashes: 2,
  importBatch: 10,
  queue: true,
  cronSeconds: 3_600,
  settleDays: 4.5,
  days: 6,
  requests: 50,
}

/** For the tests: less than a minute on a quiet machine. */
export const QUICK_RUN: ObservedRun = {
  ...FULL_RUN,
  certificates: 3_000,
  issuedPerDay: 60,
  validitySeconds: DAY,
  days: 3,
  requests: 10,
}
