/**
 * What the Worker is given: bindings of wrangler.toml (worker-configuration.d.ts, generated), secrets and optional
 * variables. Everything optional is checked where it is used; /readyz names what is missing.
 */
export type Env = Cloudflare.Env & Optional & Partial<Record<FurtherDatabase, D1Database>>

/** Further databases, without a gap (ADR 0016). */
type FurtherDatabase = `DB_${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14 | 15}`
const FURTHER_DATABASES: readonly FurtherDatabase[] = [
  'DB_1',
  'DB_2',
  'DB_3',
  'DB_4',
  'DB_5',
  'DB_6',
  'DB_7',
  'DB_8',
  'DB_9',
  'DB_10',
  'DB_11',
  'DB_12',
  'DB_13',
  'DB_14',
  'DB_15',
]

/** What a deployment may have: as bindings of wrangler.toml some of it is generated too, and then always there. */
interface Optional {
  /** Secret: bearer token of the admin API. */
  readonly ADMIN_TOKEN?: string
  /** Secret: base64 of 32 octets, wraps responder keys. */
  readonly KEY_ENCRYPTION_KEY?: string
  /** Host that alone serves the admin API. */
  readonly ADMIN_HOST?: string
  /** Share of successful exchanges that are logged, 0 to 1. Default 0.01. */
  readonly LOG_SAMPLE_RATE?: string
  /** Bound B in seconds. Default 300. */
  readonly PROPAGATION_BOUND_SECONDS?: string
  /** Budget of one cron run in units of one P-256 signature. Default 200000. */
  readonly SIGNATURES_PER_RUN?: string
  /** Queue that fans re-signing out; without it the cron run signs by itself. */
  readonly RESIGN?: Queue
  /** Slots that one run or one consumer has in work at a time. Default 3. */
  readonly SLOTS_AT_ONCE?: string
  /** What may wait in the queue, in units of one P-256 signature. Default 2000000. */
  readonly SIGNATURES_PLANNED?: string
  /** What one message of the queue holds, in units of one P-256 signature. Default 50000. */
  readonly SIGNATURES_PER_MESSAGE?: string
  /** Workers Analytics Engine, one point an exchange. */
  readonly METRICS?: AnalyticsEngineDataset
}

/** The databases in their order, DB first. One that is bound beyond a gap is not used, and is reported. */
export function databasesOf(env: Env): {
  readonly databases: readonly [D1Database, ...D1Database[]]
  readonly problems: readonly string[]
} {
  const databases: [D1Database, ...D1Database[]] = [env.DB]
  const problems: string[] = []
  for (const [index, name] of FURTHER_DATABASES.entries()) {
    const db = env[name]
    if (db === undefined) continue
    if (databases.length === index + 1) databases.push(db)
    else problems.push(`${name} is not used: DB_${databases.length} is missing`)
  }
  return { databases, problems }
}

export interface Settings {
  readonly logSampleRate: number
  readonly boundSeconds: number
  readonly signaturesPerRun: number
  readonly slotsAtOnce: number
  readonly signaturesPlanned: number
  readonly signaturesPerMessage: number
}

type NumberName =
  | 'LOG_SAMPLE_RATE'
  | 'PROPAGATION_BOUND_SECONDS'
  | 'SIGNATURES_PER_RUN'
  | 'SLOTS_AT_ONCE'
  | 'SIGNATURES_PLANNED'
  | 'SIGNATURES_PER_MESSAGE'

/** Variables as numbers; what is not a number in range falls back to the default, and is reported by name. */
export function readSettings(env: Env): { settings: Settings; problems: readonly string[] } {
  const problems: string[] = []
  const number = (name: NumberName, low: number, high: number, otherwise: number) => {
    const text = env[name]
    if (text === undefined || text === '') return otherwise
    const value = Number(text)
    if (value >= low && value <= high) return value
    problems.push(`${name} is "${text}": a number from ${low} to ${high} is wanted, ${otherwise} is used`)
    return otherwise
  }
  const settings = {
    logSampleRate: number('LOG_SAMPLE_RATE', 0, 1, 0.01),
    boundSeconds: number('PROPAGATION_BOUND_SECONDS', 120, 3_600, 300),
    signaturesPerRun: number('SIGNATURES_PER_RUN', 1, 100_000_000, 200_000),
    slotsAtOnce: Math.floor(number('SLOTS_AT_ONCE', 1, 16, 3)),
    signaturesPlanned: number('SIGNATURES_PLANNED', 1, 1_000_000_000, 2_000_000),
    signaturesPerMessage: number('SIGNATURES_PER_MESSAGE', 1, 10_000_000, 50_000),
  }
  return { settings, problems }
}
