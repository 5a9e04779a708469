/** What `npm run plan` takes, and what it says to what it does not take. */
import { describe, expect, test } from 'vitest'
import { HELP, readOptions, UsageError } from '../../scripts/plan/input.ts'

function inputOf(...args: string[]) {
  const options = readOptions(args)
  if (options === 'help') throw new Error('help')
  return options.input
}

describe('options', () => {
  test('those of a deployment of 100 million are the defaults', () => {
    const asked =
      '--certs 100e6 --requests 1e9 --validity 7d --alg P-256 --issued-per-day 1e6 --revoked-per-day 1e4 --cache-hit 0.9'
    expect(inputOf(...asked.split(' '))).toEqual(inputOf())
    expect(inputOf()).toMatchObject({ certs: 100_000_000, validitySeconds: 604_800, queue: true, hashes: 2 })
  })

  test('times have units, numbers may have exponents, the queue can be left out', () => {
    expect(inputOf('--validity', '16h', '--certs', '2e6', '--lifetime', '398d', '--no-queue')).toMatchObject({
      validitySeconds: 57_600,
      certs: 2_000_000,
      lifetimeSeconds: 398 * 86_400,
      queue: false,
    })
  })

  test.each([
    [['--certs', 'many'], '--certs many: a number from 1 to 1000000000000 is wanted'],
    [['--certs', '0'], '--certs 0'],
    [['--certs', '1.5'], '--certs 1.5: a whole number is wanted'],
    [['--cache-hit', '90'], '--cache-hit 90: a number from 0 to 1 is wanted'],
    [['--validity', '7'], '--validity 7: a time from 60s to 10d is wanted, such as 7d, 16h or 90m'],
    [['--validity', '11d'], '--validity 11d'],
    [['--alg', 'P256'], '--alg P256: one of P-256, P-384'],
    [['--hashes', '5'], '--hashes 5: a number from 1 to 4 is wanted'],
    [['--certs', '10', '--issuers', '11'], '--issuers 11 is more than --certs 10'],
    [['--certs', '10', '--issued-per-day', '11'], 'each would live less than a day'],
    [['--certificates', '5'], '--certificates'],
    [['100e6'], '100e6'],
  ])('%j is refused with what is wanted', (args, message) => {
    expect(() => readOptions(args)).toThrow(UsageError)
    expect(() => readOptions(args)).toThrow(message)
  })

  test('the help names every option with its default', () => {
    expect(readOptions(['--help'])).toBe('help')
    for (const flag of [
      'certs',
      'requests',
      'validity',
      'lifetime',
      'alg',
      'issued-per-day',
      'revoked-per-day',
    ])
      expect(HELP).toMatch(new RegExp(`--${flag} .*\\(`))
  })
})
