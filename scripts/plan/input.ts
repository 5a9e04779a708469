/** What `npm run plan` is asked, and what it says when it is asked wrongly. */
import { parseArgs } from 'node:util'
import { ALGORITHMS, type Algorithm, algorithmNames } from './figures.ts'

export interface PlanInput {
  /** Certificates that are answered for. */
  readonly certs: number
  /** OCSP requests a month. */
  readonly requests: number
  readonly validitySeconds: number
  readonly lifetimeSeconds: number
  readonly algorithm: Algorithm
  readonly issuedPerDay: number
  readonly revokedPerDay: number
  /** Share of requests that are answered from isolate memory or the data centre's cache, 0 to 1. */
  readonly cacheHit: number
  /** CertID hashes that are pre-signed. */
  readonly hashes: number
  readonly issuers: number
  /** Isolates that answer at the same time, in all data centres together. */
  readonly isolates: number
  /** Certificates that one call records. */
  readonly importBatch: number
  readonly queue: boolean
  /** Between two runs of cron. */
  readonly cronSeconds: number
}

export interface PlanOptions {
  readonly input: PlanInput
  readonly json: boolean
}

export const HELP = `usage: npm run plan -- [options]
What a deployment costs a month, by item, for three ways: bundles (what this project does), one KV value per
response, and signing on demand; and what it needs of the platform's limits. Numbers may be written 100e6.
  --certs N            certificates that are answered for (100e6)
  --requests N         OCSP requests a month (1e9)
  --validity TIME      of a response: 7d, 16h, 90m (7d)
  --lifetime TIME      of a certificate, with the time it is kept after its end (90d)
  --alg NAME           ${algorithmNames().join(', ')} (P-256)
  --issued-per-day N   (1e6)
  --revoked-per-day N  (1e4)
  --cache-hit SHARE    of requests that isolate memory or the data centre's cache answers, 0 to 1 (0.9)
  --hashes N           CertID hashes that are signed in advance, 1 to 4 (2)
  --issuers N          that share the certificates evenly (1)
  --isolates N         that answer at the same time, everywhere together (300)
  --batch N            certificates recorded by one call, 1 to 1000 (500)
  --queue, --no-queue  whether a queue fans out the re-signing (--queue)
  --json               the same as JSON
  --help`

/** Wrong usage: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** @throws UsageError that names the flag and what is wanted */
export function readOptions(args: readonly string[]): PlanOptions | 'help' {
  const text = { type: 'string' } as const
  const values = parsed(() =>
    parseArgs({
      args: [...args],
      strict: true,
      allowNegative: true,
      options: {
        certs: text,
        requests: text,
        validity: text,
        lifetime: text,
        alg: text,
        'issued-per-day': text,
        'revoked-per-day': text,
        'cache-hit': text,
        hashes: text,
        issuers: text,
        isolates: text,
        batch: text,
        queue: { type: 'boolean', default: true },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }),
  ).values
  if (values.help) return 'help'
  const input: PlanInput = {
    certs: whole('certs', values.certs ?? '100e6', 1, 1e12),
    requests: whole('requests', values.requests ?? '1e9', 0, 1e15),
    validitySeconds: duration('validity', values.validity ?? '7d', 60, 10 * 86_400),
    lifetimeSeconds: duration('lifetime', values.lifetime ?? '90d', 3_600, 100 * 366 * 86_400),
    algorithm: algorithm(values.alg ?? 'P-256'),
    issuedPerDay: whole('issued-per-day', values['issued-per-day'] ?? '1e6', 0, 1e11),
    revokedPerDay: whole('revoked-per-day', values['revoked-per-day'] ?? '1e4', 0, 1e11),
    cacheHit: number('cache-hit', values['cache-hit'] ?? '0.9', 0, 1),
    hashes: whole('hashes', values.hashes ?? '2', 1, 4),
    issuers: whole('issuers', values.issuers ?? '1', 1, 1e6),
    isolates: whole('isolates', values.isolates ?? '300', 1, 1e7),
    importBatch: whole('batch', values.batch ?? '500', 1, 1_000),
    queue: values.queue,
    cronSeconds: 60,
  }
  if (input.issuers > input.certs)
    throw new UsageError(`--issuers ${input.issuers} is more than --certs ${input.certs}`)
  if (input.issuedPerDay > input.certs)
    throw new UsageError(
      `--issued-per-day ${input.issuedPerDay} is more than --certs ${input.certs}: each would live less than a day`,
    )
  if (input.revokedPerDay > input.certs)
    throw new UsageError(`--revoked-per-day ${input.revokedPerDay} is more than --certs ${input.certs}`)
  return { input, json: values.json }
}

function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function number(flag: string, text: string, low: number, high: number): number {
  const value = /^[+-]?[\d._]+(e[+-]?\d+)?$/i.test(text) ? Number(text.replaceAll('_', '')) : Number.NaN
  if (value >= low && value <= high) return value
  throw new UsageError(`--${flag} ${text}: a number from ${low} to ${high} is wanted`)
}

function whole(flag: string, text: string, low: number, high: number): number {
  const value = number(flag, text, low, high)
  if (Number.isInteger(value)) return value
  throw new UsageError(`--${flag} ${text}: a whole number is wanted`)
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

function duration(flag: string, text: string, low: number, high: number): number {
  const match = /^(\d+)([smhd])$/.exec(text)
  const seconds = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN)
  if (seconds >= low && seconds <= high) return seconds
  throw new UsageError(
    `--${flag} ${text}: a time from ${low}s to ${high / 86_400}d is wanted, such as 7d, 16h or 90m`,
  )
}

function algorithm(name: string): Algorithm {
  const found = algorithmNames().find((known) => known === name)
  if (found === undefined)
    throw new UsageError(`--alg ${name}: one of ${algorithmNames().join(', ')} is wanted`)
  return ALGORITHMS[found]
}
