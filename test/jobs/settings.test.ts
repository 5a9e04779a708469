/** Variables of the Worker as numbers. */
import { expect, test } from 'vitest'
import { databasesOf, type Env, readSettings } from '../../src/env.ts'

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

test('databases are used in their order; one beyond a gap is not, and is reported', () => {
  const [DB, DB_1, DB_3] = ['first', 'second', 'fourth'].map((name) =>
    Object.assign(Object.create(null), { name }),
  )
  const bound = (env: object): Env => Object.assign(Object.create(null), env)
  expect(databasesOf(bound({ DB }))).toEqual({ databases: [DB], problems: [] })
  expect(databasesOf(bound({ DB_1, DB }))).toEqual({ databases: [DB, DB_1], problems: [] })
  expect(databasesOf(bound({ DB, DB_1, DB_3 }))).toEqual({
    databases: [DB, DB_1],
    problems: ['DB_3 is not used: DB_2 is missing'],
  })
})
