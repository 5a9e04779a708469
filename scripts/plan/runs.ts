/** The scaled-down deployments that the model is checked against. */
import type { ObservedRun } from './observe.ts'

const DAY = 86_400

/**
 * A fiftieth of the certificates issued a day, and more revoked than in the plan for 100 million, since so few would be left to
 * chance. Rows past their retention gather in the days that do not count; two weeks, after which the first of them would be pruned,
 * are not over in any run (test/plan/recycling.test.ts goes further). Cron comes every hour of virtual time, and the model is told
 * so; a hundred runs come first, since so many are kept on record.
 */
export const FULL_RUN: ObservedRun = {
  certificates: 6_000,
  issuedPerDay: 120,
  revokedPerDay: 24,
  validitySeconds: DAY,
  hashes: 2,
  importBatch: 10,
  queue: true,
  cronSeconds: 3_600,
  settleDays: 4.5,
  days: 4,
  requests: 20,
}

/** For the tests: less than a minute on a quiet machine. */
export const QUICK_RUN: ObservedRun = {
  ...FULL_RUN,
  certificates: 3_000,
  issuedPerDay: 60,
  days: 3,
  requests: 10,
}
