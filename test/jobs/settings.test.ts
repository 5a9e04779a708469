/** Variables of the Worker as numbers. */
import { expect, test } from 'vitest'
import { type Env, readSettings } from '../../src/env.ts'

const read = (variables: Record<string, string>) =>
  readSettings(Object.assign(Object.create(null), variables) satisfies Env)

test('without variables the defaults hold, and nothing is wrong', () => {
  expect(read({})).toEqual({
    settings: {
      logSampleRate: 0.01,
      boundSeconds: 300,
      signaturesPerRun: 200_000,
      slotsAtOnce: 3,
      signaturesPlanned: 2_000_000,
      signaturesPerMessage: 50_000,
    },
    problems: [],
  })
})

test('what is set is used', () => {
  const variables = { SLOTS_AT_ONCE: '8', SIGNATURES_PLANNED: '5e6', SIGNATURES_PER_MESSAGE: '20000' }
  expect(read(variables)).toMatchObject({
    settings: { slotsAtOnce: 8, signaturesPlanned: 5_000_000, signaturesPerMessage: 20_000 },
    problems: [],
  })
})

test.each([
  ['SLOTS_AT_ONCE', '0', 3],
  ['SLOTS_AT_ONCE', '17', 3],
  ['SLOTS_AT_ONCE', 'many', 3],
  ['SIGNATURES_PLANNED', '-1', 2_000_000],
  ['SIGNATURES_PER_MESSAGE', '1e9', 50_000],
])('%s = %s is reported by name, and the default is used', (name, value, otherwise) => {
  const { settings, problems } = read({ [name]: value })
  expect(problems).toEqual([expect.stringContaining(`${name} is "${value}"`)])
  expect(Object.values(settings)).toContain(otherwise)
})
